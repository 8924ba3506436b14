"""The paper's tables with our counts and measurements under its numbers."""

import json
import math

import pytest

pytest.importorskip("torch")

from lightpose.evaluate.record import Record, record
from lightpose.evaluate.report import Report
from lightpose.paper import facts
from lightpose.paper.protocol import describe, differences, other_data
from lightpose.paper.stages import read_log
from lightpose.paper.table import NOT_MEASURED
from lightpose.paper.tables import table1, table2, table3, table4, table5

VAL = {
    "network": "lpn50", "gc": True, "data": "coco/person_keypoints_val2017.json", "pictures": 5000, "persons": 6352,
    "boxes": f"boxes/{facts.DETECTIONS['val2017']}", "box_threshold": None, "flip": True, "decoder": "softargmax",
    "beta": 160.0, "geometry": "msra", "padding": 1.25, "nms": "hard", "nms_oks": 0.9, "nms_areas": "crop",
    "input": "256x192",
}  # fmt: skip
COUNTS_DIFFER = {("hourglass8", (256, 192)), ("simple152", (384, 288))}
"""Of Table 1's networks those whose FLOPs no one count gives; see tests/models/test_peers.py."""


def measured(tmp_path, ap=0.5, **changes):
    figures = {"ap": ap, "ap50": 0.75, "ap75": 0.625, "ap_medium": 0.25, "ap_large": -1.0, "ar": 0.125}
    return Record(tmp_path / "r.json", record("mine.onnx", Report(VAL | changes, figures), {}))


def printed(value, figure, places):
    """Whether a figure with so many decimals is the value, rounded or cut, as the paper does both."""
    return figure in (round(value, places), math.floor(value * 10**places) / 10**places)


def pairs(table):
    """The paper's row before each of ours, and that."""
    found, last = [], None
    for row in table.rows:
        if row.whose == "ours":
            found.append((last, row))
        else:
            last = row
    return found


@pytest.fixture(scope="module", params=[table1, table2, table3], ids=["1", "2", "3"])
def unmeasured(request):
    return request.param([])


def test_our_counts_are_the_papers_to_the_printed_digits(unmeasured):
    compared = 0
    for theirs, ours in pairs(unmeasured):
        assert printed(ours.cells["params M"], theirs.cells["params M"], 1)
        if not ours.network.startswith(tuple(f"{name} {h}x{w}" for name, (h, w) in COUNTS_DIFFER)):
            places = unmeasured.columns["FLOPs G"][0]
            assert printed(ours.cells["FLOPs G"], theirs.cells["FLOPs G"], places), ours.network
            compared += 1
    assert compared >= 6


def test_without_results_no_accuracy_is_ours_and_every_row_says_so(unmeasured):
    ours = [row for row in unmeasured.rows if row.whose == "ours"]
    assert all(row.note == NOT_MEASURED and set(row.cells) == {"params M", "FLOPs G"} for row in ours)
    lines = [line for line in unmeasured.to_text().splitlines() if " ours " in line]
    assert len(lines) == len(ours)
    assert all(line.endswith("-  (not measured)") for line in lines)


def test_networks_that_are_not_ours_have_the_papers_row_alone():
    rows = table2([]).rows
    assert [row.network for row in rows[:4]] == [
        "Mask-RCNN ResNet-50-FPN", "G-RMI ResNet-101 353x257", "Integral Regression ResNet-101 256x256",
        "simple50 256x192",
    ]  # fmt: skip
    assert [row.whose for row in rows[:5]] == ["paper"] * 4 + ["ours"]


def test_a_record_made_as_in_the_paper_stands_under_its_network(tmp_path):
    row = next(ours for _, ours in pairs(table1([measured(tmp_path)])) if ours.network == "lpn50 256x192")
    assert row.note == "mine.onnx: as in the paper"
    assert [row.cells[name] for name in ("AP", "AP50", "AP75", "APM", "APL", "AR")] == [50, 75, 62.5, 25, None, 12.5]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"data": "sets/val.json", "pictures": 47, "persons": 124},
         "data sets/val.json (47 images, 124 persons), not COCO val2017"),
        ({"pictures": 500}, "data coco/person_keypoints_val2017.json (500 images, 6352 persons), not COCO val2017"),
        ({"boxes": "given"}, "given boxes"),
        ({"boxes": "x/mine.json"}, "boxes of mine.json"),
        ({"box_threshold": 0.5}, "boxes from a score of 0.5"),
        ({"flip": False}, "no flip test"),
        ({"decoder": "dark"}, "decoder dark"),
        ({"beta": 100.0}, "decoder softargmax β=100"),
        ({"geometry": "udp"}, "udp geometry"),
        ({"padding": 1.15}, "crops 1.15 × the boxes"),
        ({"nms": "none"}, "no OKS-NMS"),
        ({"nms_areas": "box"}, "OKS-NMS hard 0.9 by box areas"),
    ],
)  # fmt: skip
def test_what_is_not_as_in_the_paper_is_said(tmp_path, changes, says):
    one = measured(tmp_path, **changes)
    assert differences(one, "val2017", "softargmax", 160) == [says]
    assert describe(one, "val2017", "softargmax", 160) == f"mine.onnx: differs from the paper: {says}"
    assert bool(other_data(one, "val2017")) == says.startswith("data ")


def test_every_difference_is_in_the_row(tmp_path):
    one = measured(tmp_path, data="val.json", pictures=47, boxes="given", flip=False)
    row = next(ours for _, ours in pairs(table3([one])) if ours.cells.get("AP") is not None)
    assert row.network == "lpn50 with GC"
    for part in ("val.json", "given boxes", "no flip test", "decoder softargmax β=160"):
        assert part in row.note


def test_global_context_tells_two_networks_apart(tmp_path):
    one = measured(tmp_path, gc=False, decoder="quarter")
    rows = [(ours.network, ours.note) for _, ours in pairs(table3([one])) if ours.note != NOT_MEASURED]
    assert rows == [("lpn50 without GC", "mine.onnx: as in the paper")]
    assert "not in this table: " in table1([one]).to_text()


def test_what_no_row_shows_is_named(tmp_path):
    table = table1([measured(tmp_path, input="128x96")])
    assert f"not in this table: {tmp_path / 'r.json'} (lpn50 128x96)" in table.remarks
    assert all(row.note == NOT_MEASURED for row in table.rows if row.whose == "ours")


def test_decoders_of_one_run_are_one_row_of_table_5(tmp_path):
    run = [
        measured(tmp_path, 0.50, decoder="argmax"),
        measured(tmp_path, 0.51, decoder="quarter"),
        *(measured(tmp_path, 0.5 + beta / 10_000, beta=beta) for beta in (40.0, 160.0)),
        measured(tmp_path, 0.9, decoder="softargmax_quarter"),
    ]
    other = measured(tmp_path, 0.6, decoder="quarter", flip=False)
    table = table5([*run, other])
    rows = [row for row in table.rows if row.whose == "ours" and row.network == "lpn50"]
    assert [{name: round(ap, 6) for name, ap in row.cells.items()} for row in rows] == [
        {"Common": 60.0}, {"Common": 51.0, "β=40": 50.4, "β=160": 51.6},
    ]  # fmt: skip
    assert rows[1].note == "mine.onnx: as in the paper"
    assert "no flip test" in rows[0].note
    assert not [remark for remark in table.remarks if remark.startswith("not in")], "what is in ablate is passed over"
    assert "51.60" in table.to_text()


def test_a_runs_stages_are_under_table_4(tmp_path):
    epochs = [{"epoch": n, "stage": n, "ap": ap} for n, ap in enumerate((0.5, 0.6, 0.58, 0.7))]
    log = {"model": "lpn50", "data": "val.json", "epochs": epochs, "stages": [{"stage": n} for n in range(3)]}
    (tmp_path / "log.json").write_text(json.dumps(log))
    table = table4([read_log(tmp_path)])
    ours = next(row for row in table.rows if row.whose == "ours")
    known = [ours.cells[f"stage {stage}"] for stage in range(4)]
    assert known == [50, 60, pytest.approx(58), None], "the fourth stage is not over"
    assert ours.cells["gain"] == pytest.approx(10)
    assert "on val.json, given boxes, flip test" in ours.note
    assert [row.cells["gain"] for row in table.rows if row.whose == "paper"] == pytest.approx([2.02, 1.40, 1.50])


def test_a_table_is_json_too(tmp_path):
    document = json.loads(table5([measured(tmp_path)]).to_json())
    assert document["title"].startswith("Table 5")
    assert document["rows"][0]["cells"]["Common"] == 70.44
    assert {row["whose"] for row in document["rows"]} == {"paper", "ours"}
