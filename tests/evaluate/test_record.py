"""Records of measurements: written, read again, and refused where they are something else."""

import hashlib
import json
import sys

import pytest

from lightpose.errors import DataError, WeightsError
from lightpose.evaluate.record import read_records, record, weight_facts
from lightpose.evaluate.report import Report
from lightpose.skeletons import COCO17
from lightpose.types import ModelSpec
from lightpose.weights import find_weights

HOW = {
    "network": "lpn50", "gc": False, "data": "sets/val.json", "pictures": 47, "persons": 124, "boxes": "given",
    "flip": True, "decoder": "softargmax", "beta": 160.0, "geometry": "msra", "padding": 1.25,
    "nms": "hard", "nms_oks": 0.9, "nms_areas": "box", "input": "256x192",
}  # fmt: skip

SPEC = ModelSpec("lpn50", COCO17)


def a_record(**changes):
    return {**record("mine.onnx", Report(HOW, {"ap": 0.25, "ap50": -1.0, "pck_0.1": float("nan")}), {}), **changes}


def test_a_record_is_read_as_it_was_written(tmp_path):
    (tmp_path / "one.json").write_text(json.dumps(a_record()))
    (tmp_path / "two.json").write_text(json.dumps([a_record(gc=True), a_record(network="simple50")]))
    first, second, third = read_records([tmp_path / "one.json", tmp_path / "two.json"])
    assert (first.network, first.input_hw, first.gc) == ("lpn50", (256, 192), False)
    assert (second.gc, third.network, third.path) == (True, "simple50", tmp_path / "two.json")
    assert (first.figure("ap"), first.figure("ap50"), first.figure("pck_0.1"), first.figure("ar")) == (
        0.25, None, None, None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "is not a json file"),
        ("3", "record 0 is not an object; write it with lightpose evaluate --report"),
        ("{}", "record 0 has no usable 'model'; write it with lightpose evaluate --report"),
        (json.dumps([a_record(), a_record(flip="yes")]), "record 1 has no usable 'flip'"),
        (json.dumps(a_record(input="large")), "has the input 'large', which is not HEIGHTxWIDTH"),
        (json.dumps(a_record(input="²x3")), "which is not HEIGHTxWIDTH"),
    ],
)
def test_what_is_no_record_is_refused_in_a_sentence(tmp_path, content, complaint):
    (tmp_path / "bad.json").write_text(content)
    with pytest.raises(DataError, match=complaint):
        read_records([tmp_path / "bad.json"])


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*none\.json: No such file"):
        read_records([tmp_path / "none.json"])


@pytest.mark.slow
def test_the_facts_of_the_bundled_weights_are_those_of_the_paper():
    pytest.importorskip("torch")
    facts = weight_facts("lpn50", SPEC)
    assert facts["sha256"] == hashlib.sha256(find_weights("lpn50").read_bytes()).hexdigest()
    assert (facts["parameters"], facts["paper_gflops"]) == (2_911_153, 1.007971)
    with pytest.raises(WeightsError, match="no weights at nothing"):
        weight_facts("nothing", SPEC)


def test_without_torch_the_counts_are_not_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightpose.weights.cost", None)
    facts = weight_facts("lpn50", SPEC)
    assert len(facts["sha256"]) == 64
    assert (facts["parameters"], facts["paper_gflops"], facts["macs"]) == (None, None, None)
