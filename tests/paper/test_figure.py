"""Figure 4: what is drawn, what is not, and speeds from files."""

import dataclasses
import json

import cv2
import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from lightpose.errors import ConfigError, DataError
from lightpose.paper import figure
from lightpose.paper.figure import MeasuredSpeed, figure4, plot_figure4, read_speeds
from tests.paper.test_tables import measured


@pytest.fixture(scope="module")
def bare():
    return figure4([], [])


def ours_of(table, network):
    return [row for row in table.rows if row.whose == "ours" and row.network == network]


@pytest.mark.slow
def test_of_the_paper_only_printed_speeds_are_there_and_nothing_is_ours(bare):
    theirs = {row.network: row.cells["FPS"] for row in bare.rows if row.whose == "paper"}
    assert {name: fps for name, fps in theirs.items() if fps} == {
        "lpn50 256x192": 33, "lpn152 256x192": 23, "hrnet_w48 256x192": 7.7, "hrnet_w48 384x288": 3.2,
        "simple152 256x192": 11, "hrnet_w32 256x192": 11,
    }  # fmt: skip
    assert {row.note for row in bare.rows if row.whose == "ours"} == {"not measured"}
    assert len(theirs) == 12


def test_speed_and_ap_meet_in_one_row_and_what_is_missing_is_said(tmp_path):
    speeds = [MeasuredSpeed("lpn50", (256, 192), 20.0, None), MeasuredSpeed("lpn152", (256, 192), 9.0, 5.0),
              MeasuredSpeed("lpn50", (128, 96), 70.0, 40.0)]  # fmt: skip
    elsewhere = measured(tmp_path, data="val.json", pictures=47, persons=124)
    table = figure4([elsewhere, measured(tmp_path, network="lpn101")], speeds)
    [both], [fast], [right] = (ours_of(table, f"{name} 256x192") for name in ("lpn50", "lpn152", "lpn101"))
    assert (both.cells["FPS"], both.cells["FPS flip"], both.cells["AP"]) == (20, None, 50)
    assert both.data == "val.json (47 images, 124 persons)"
    assert (fast.cells["FPS flip"], fast.cells["AP"], fast.note) == (5, None, "AP not measured")
    assert (right.cells["FPS"], right.cells["AP"]) == (None, 50)
    assert right.note == "mine.onnx: as in the paper; speed not measured"
    assert "not in this figure: lpn50 128x96" in table.remarks


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_picture_has_the_points_with_speed_and_ap(tmp_path, bare, suffix, monkeypatch):
    assert plot_figure4(bare, tmp_path / f"f{suffix}") == 6
    assert (tmp_path / f"f{suffix}").stat().st_size > 5000
    if suffix == ".png":
        assert cv2.imread(str(tmp_path / "f.png")).std() > 5
    row = ours_of(bare, "lpn50 256x192")[0]
    mine = dataclasses.replace(row, cells={**row.cells, "FPS": 20.0, "AP": 12.0}, data="val.json (47 images)")
    monkeypatch.setattr(figure, "POINTS_PER_GFLOP", 30.0)
    both = dataclasses.replace(bare, rows=(*bare.rows, mine))
    assert plot_figure4(both, tmp_path / f"g{suffix}") == 7
    if suffix == ".svg":
        monkeypatch.setitem(__import__("matplotlib").rcParams, "svg.fonttype", "none")
        plot_figure4(both, tmp_path / "h.svg")
        text = (tmp_path / "h.svg").read_text()
        assert "val.json (47 images)" in text, "the set is named where it is not the paper's"
        assert ">paper<" in text
        assert ">ours<" in text


def test_a_speed_without_ap_is_drawn_at_the_papers(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("matplotlib").rcParams, "svg.fonttype", "none")
    speeds = [MeasuredSpeed("lpn101", (256, 192), 15.0, None), MeasuredSpeed("simple50", (256, 192), 9.0, None)]
    assert plot_figure4(figure4([], speeds), tmp_path / "f.svg") == 8
    text = (tmp_path / "f.svg").read_text()
    assert ">our speed at the paper's AP<" in text
    assert "lpn101 256x192" in text


def test_a_picture_of_an_unknown_kind_is_refused(tmp_path, bare):
    with pytest.raises(ConfigError, match="a plot cannot be written to"):
        plot_figure4(bare, tmp_path / "f.doc")


def test_speeds_are_read_and_other_keys_passed_over(tmp_path):
    rows = [{"model": "lpn50", "input_hw": [256, 192], "fps": 20, "fps_flip": None, "threads": 2},
            {"model": "a.onnx", "input_hw": [64, 48], "fps_flip": 1.5},
            {"model": "lpn50", "input_hw": [256, 192], "fps": 9, "batch": 8}]  # fmt: skip
    (tmp_path / "b.json").write_text(json.dumps(rows))
    assert read_speeds([tmp_path / "b.json"]) == [
        MeasuredSpeed("lpn50", (256, 192), 20, None), MeasuredSpeed("a.onnx", (64, 48), None, 1.5),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{}", "must be a list of objects with model, input_hw, fps and fps_flip"),
        ("[3]", "row 0 must have a model, an input_hw of two whole numbers"),
        ('[{"model": "lpn50", "input_hw": [256], "fps": 3}]', "row 0 must have"),
        ('[{"model": "lpn50", "input_hw": [256, 192], "fps": 0}]', "fps or fps_flip above 0"),
        ('[{"model": "lpn50", "input_hw": [256, 192], "fps": NaN}]', "fps or fps_flip above 0"),
        ("[", "is not a json file"),
    ],
)
def test_what_holds_no_speeds_is_refused_in_a_sentence(tmp_path, content, complaint):
    (tmp_path / "b.json").write_text(content)
    with pytest.raises(DataError, match=complaint):
        read_speeds([tmp_path / "b.json"])
