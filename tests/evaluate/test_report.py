"""What is printed of an evaluation, and the plot."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from lightpose.errors import ConfigError, MissingPackageError
from lightpose.evaluate.bootstrap import Interval, Intervals
from lightpose.evaluate.breakdown import Breakdown
from lightpose.evaluate.plot import check_plot, plot_breakdown
from lightpose.evaluate.report import Against, Report, manner

HOW = {
    "boxes": "given", "flip": True, "decoder": "softargmax", "beta": 160.0, "geometry": "msra",
    "padding": 1.25, "nms": "hard", "nms_oks": 0.9, "nms_areas": "box",
}  # fmt: skip
NAN = float("nan")
BROKEN = Breakdown(
    ("nose", "tail"), np.array([[6, 1, 1, 0, 2], [0] * 5]), np.array([0.25, NAN]), persons=9, found=8, poses=7, astray=2
)
INTERVALS = Intervals(Interval(0.25, 0.35), Interval(0.5, 0.7), Interval(0.1, 0.2), Interval(NAN, NAN), 1000, 3, 0.95)
REPORT = Report(
    HOW, {"ap": 0.31, "ap50": 0.6, "ap75": 0.123, "ap_large": -1.0, "pck_0.1": NAN},
    {"pckh_0.5_parts": {"head": 0.875, "wrist": NAN}}, INTERVALS, BROKEN,
)  # fmt: skip


def test_the_text_has_every_figure_with_its_interval_and_manner():
    lines = REPORT.to_text().splitlines()
    assert lines[1] == (
        "ap 31.0 [25.0, 35.0]  ap50 60.0 [50.0, 70.0]  ap75 12.3 [10.0, 20.0]  ap_large -  pck_0.1 -  (given boxes, "
        "flip test, softargmax β=160, msra geometry, crops 1.25 × the boxes, OKS-NMS hard 0.9 by box areas)"
    )
    assert lines[2] == "in brackets: 95 % percentile intervals of 1000 draws of the images with replacement, seed 3"
    assert lines[3:5] == ["                head  wrist", "pckh_0.5_parts  87.5      -"]
    assert lines[6].split() == ["nose", "60.0", "10.0", "10.0", "0.0", "20.0", "10", "25.0"]
    assert lines[7].split() == ["tail", *"-----", "0", "-"]
    assert lines[8].split() == ["all", "60.0", "10.0", "10.0", "0.0", "20.0", "10"]
    assert lines[9] == "8 of 9 people are found (OKS of 0.1 or more); 2 of 7 poses match nobody"


def test_the_json_has_the_same_as_shares_and_null_for_what_is_not_known():
    document = json.loads(REPORT.to_json(), parse_constant=pytest.fail)
    assert {name: document[name] for name in HOW} == HOW
    assert (document["ap"], document["ap_large"], document["pck_0.1"]) == (0.31, -1.0, None)
    assert document["ap_interval"] == [0.25, 0.35]
    assert document["pck_0.1_interval"] == [None, None]
    assert document["bootstrap"] == {"resamples": 1000, "seed": 3, "level": 0.95}
    assert document["pckh_0.5_parts"] == {"head": 0.875, "wrist": None}
    assert document["breakdown"]["joints"]["nose"] == {
        "good": 6, "jitter": 1, "inversion": 1, "swap": 0, "miss": 2, "ap": 0.25
    }  # fmt: skip
    assert document["breakdown"]["joints"]["tail"]["ap"] is None
    assert (document["breakdown"]["miss"], document["breakdown"]["found"]) == (0.2, 8)


def test_another_network_stands_beside_it_with_what_is_gained():
    gains = Intervals(Interval(-0.01, 0.03), Interval(0, 0.1), Interval(-0.2, 0), Interval(NAN, NAN), 1000, 3, 0.95)
    report = replace(
        REPORT,
        tables={},
        breakdown=None,
        against=Against("old.onnx", {"ap": 0.3, "ap50": 0.65, "pck_0.1": NAN, "ap75": 0.1}, gains),
    )
    assert report.to_text().splitlines()[-1] == (
        "old.onnx on the same people (in parentheses: what this network gains): "
        "ap 30.0 (+1.0 [-1.0, +3.0])  ap50 65.0 (-5.0 [+0.0, +10.0])  ap75 10.0 (+2.3 [-20.0, +0.0])"
    )
    told = json.loads(report.to_json())["against"]
    assert (told["model"], told["ap"]) == ("old.onnx", 0.3)
    assert told["gained"]["ap"] == pytest.approx(0.01)
    assert told["gained"]["ap_interval"] == [-0.01, 0.03]


def test_a_report_without_figures_says_what_was_done():
    assert Report(HOW).to_text() == "  ".join(f"{name}={value}" for name, value in HOW.items())
    assert json.loads(Report(HOW).to_json()) == HOW


def test_the_manner_names_what_was_not_done_too():
    how = {**HOW, "flip": False, "decoder": "dark", "geometry": "udp", "nms": "none", "boxes": "yolo.json"}
    assert manner(how) == "boxes of yolo.json, no flip test, dark, udp geometry, crops 1.25 × the boxes, no NMS"


def test_without_matplotlib_a_plot_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingPackageError, match=r"matplotlib; install it with: pip install 'lightpose\[plot\]'"):
        check_plot("a.png")


@pytest.mark.parametrize("name", ["a.png", "a.svg"])
def test_a_plot_is_written_in_the_kind_that_its_name_says(tmp_path, name):
    pytest.importorskip("matplotlib")
    plot_breakdown(BROKEN, tmp_path / name)
    content = (tmp_path / name).read_bytes()
    assert content.startswith(b"\x89PNG") if name == "a.png" else b"<svg" in content


def test_a_plot_of_an_unknown_kind_is_refused(tmp_path):
    pytest.importorskip("matplotlib")
    with pytest.raises(ConfigError, match=r"a plot cannot be written to .*a\.txt; use one of .*\.png"):
        plot_breakdown(BROKEN, tmp_path / "a.txt")
