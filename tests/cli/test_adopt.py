"""Other projects' graphs, as a user runs all commands on them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from lightpose.cli import main
from lightpose.weights.foreign.graphs import adopt_graph
from lightpose.weights.foreign.settings import Settings
from lightpose.weights.open import open_runtime
from tests.helpers import draw_set
from tests.runtime import pose_graphs as graphs

PHOTO = Path(__file__).parents[2] / "examples/photos/astronaut.jpg"
Run = Callable[..., tuple[int | str | None, str, str]]


@pytest.fixture
def lightpose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in the test's folder; gives exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int | str | None, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(map(str, arguments)))
        return ended.value.code, *capsys.readouterr()

    return run


def test_adopt_prints_what_was_assumed_and_writes_it_into_the_file(lightpose, tmp_path):
    graphs.simcc(tmp_path / "rtmpose.onnx", joints=26)
    options = ("--mean", 123.675, 116.28, 103.53, "--skeleton", "halpe26")
    code, output, _ = lightpose("weights", "adopt", "rtmpose.onnx", "--out", "mine.onnx", *options)
    assert code == 0
    assert "rtmpose.onnx: SimCC of 26 joints" in output
    rows = {line.split()[0]: line for line in output.splitlines() if line.strip()}
    assert "as asked" in rows["mean"]
    assert "assumed: as in MMPose's rtmpose configurations" in rows["color_order"]
    spec = open_runtime(tmp_path / "mine.onnx", 1).spec
    np.testing.assert_allclose(spec.mean, (0.485, 0.456, 0.406))
    told = json.loads(lightpose("weights", "info", "mine.onnx", "--json")[1])
    assert (told["spec"]["family"], told["spec"]["skeleton"]["name"]) == ("simcc", "halpe26")


def test_info_of_a_file_that_was_not_adopted_says_how_to(lightpose, tmp_path):
    graphs.simcc(tmp_path / "rtmpose.onnx")
    code, output, _ = lightpose("weights", "info", "rtmpose.onnx")
    assert code == 0
    assert "lightpose weights adopt rtmpose.onnx --out mine.onnx" in output
    told = json.loads(lightpose("weights", "info", "rtmpose.onnx", "--json")[1])
    assert (told["gives"], told["origins"]["input_hw"]) == ("SimCC", "read")


def test_predict_runs_it_as_it_is_and_says_what_it_assumes(lightpose, tmp_path):
    graphs.simcc(tmp_path / "rtmpose.onnx")
    adopt_graph(tmp_path / "rtmpose.onnx", tmp_path / "mine.onnx", Settings())
    found = []
    for name, notes in (("rtmpose", 1), ("mine", 0)):
        code, _, errors = lightpose("predict", PHOTO, "--model", f"{name}.onnx", "--out", name, "--flip")
        assert (code, errors.count("assumed: skeleton coco17")) == (0, notes)
        found.append(json.loads((tmp_path / name / "keypoints.json").read_text()))
    assert found[0] == found[1]
    assert len(found[0][0]["keypoints"]) == 51


def test_evaluate_measures_it_with_the_flip_test(lightpose, tmp_path):
    graphs.simcc(tmp_path / "rtmpose.onnx")
    data = draw_set(tmp_path / "data")
    command = ("evaluate", "--model", "rtmpose.onnx", "--annotations", data.annotations, "--images", data.images)
    code, output, errors = lightpose(*command, "--json", "--report", "r.json", "--bootstrap", 10)
    assert (code, errors.count("assumed")) == (0, 1)
    told = json.loads(output)
    assert (told["persons"], told["flip"]) == (4, True)
    assert json.loads((tmp_path / "r.json").read_text())["macs"] is None
    code, _, errors = lightpose(*command, "--protocol", "paper")
    assert code == 2
    assert "a decoder needs a network that gives heatmaps; this one gives simcc" in errors


def test_bench_times_it_and_passes_pytorch_over(lightpose, tmp_path):
    graphs.simcc(tmp_path / "rtmpose.onnx")
    engines = ("--engines", "onnxruntime", "torch", "--repeats", 1, "--threads", 1, "--no-memory")
    code, output, _ = lightpose("bench", "rtmpose.onnx", *engines, "--flip", "--stages", "--people", 2)
    assert code == 0
    assert "onnxruntime" in output
    assert "torch " not in output


def test_int8_of_it_is_checked_and_says_what_it_is(lightpose, tmp_path):
    graphs.convolutional(tmp_path / "hrnet.onnx")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").write_bytes(PHOTO.read_bytes())
    (tmp_path / "photos/b.png").write_bytes((PHOTO.parent / "photographer.png").read_bytes())
    command = ("quantize", "hrnet.onnx", "--calibrate", "photos", "--out")
    assert lightpose(*command, "hrnet_int8.onnx", "--max-shift-px", 30)[0] == 0
    runtime = open_runtime(tmp_path / "hrnet_int8.onnx", 1)
    assert (runtime.precision, runtime.spec.adopted) == ("int8", True)
    kinds = {node.op_type for node in onnx.load(tmp_path / "hrnet_int8.onnx").graph.node}
    assert "QuantizeLinear" in kinds
    crops = graphs.crops_of(2)
    near = np.abs(runtime.heatmaps(crops) - open_runtime(tmp_path / "hrnet.onnx", 1).heatmaps(crops))
    assert 0 < near.max() < 0.2
    assert open_runtime(tmp_path / "hrnet.onnx", 1, precision="int8").precision == "int8"
    code, _, errors = lightpose(*command, "hrnet_int8.xml")
    assert (code, "int8 is for ONNX Runtime alone" in errors) == (2, True)


def test_profile_counts_its_convolutions_and_products(lightpose, tmp_path):
    pytest.importorskip("torch")
    graphs.convolutional(tmp_path / "hrnet.onnx")
    graphs.simcc(tmp_path / "rtmpose.onnx")
    first, second = json.loads(lightpose("profile", "hrnet.onnx", "rtmpose.onnx", "--json")[1])
    assert first["parameters"] == 8 * (3 * 16 + 1) + 17 * (8 * 9 + 1)
    assert first["macs"] == 16 * 12 * (8 * 3 * 16 + 17 * 8 * 9)
    assert first["activation_bytes"] == 4 * (3 * 64 * 48 + 8 * 16 * 12)
    assert second["macs"] == graphs.CELLS * 17 * 2 * (64 + 48)


def test_what_cannot_be_done_with_it_is_one_sentence(lightpose, tmp_path):
    graphs.simcc(tmp_path / "rtmpose.onnx")
    for words, told in (
        (("profile", "rtmpose.onnx", "--joints", 3), "has 17 joints at 64x48"),
        (("export", "rtmpose.onnx", "--out", "mine.xml"), "rtmpose.onnx"),
        (("predict", PHOTO, "--model", "rtmpose.onnx", "--out", "o", "--engine", "torch"), "cannot be run by torch"),
        (("predict", PHOTO, "--model", "rtmpose.onnx", "--out", "o", "--engine", "openvino", "--mode", "throughput"),
         "mode throughput is for graphs of lightpose"),
    ):  # fmt: skip
        code, _, errors = lightpose(*words)
        assert code == 2
        assert told in errors
        assert errors.count("\n") == 1
