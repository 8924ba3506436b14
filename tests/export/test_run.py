"""Exporting and quantizing from Python: what the two functions write, and what they say of it."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

from lightpose import export  # noqa: E402
from lightpose.data.calibration import calibration_crops  # noqa: E402
from lightpose.errors import ConfigError, WeightsError  # noqa: E402
from lightpose.models import build, build_detector, initialise_kaiming  # noqa: E402
from lightpose.runtime.onnx import OnnxRuntime  # noqa: E402
from lightpose.runtime.torch import TorchRuntime  # noqa: E402
from lightpose.skeletons import COCO17  # noqa: E402
from lightpose.types import DetectorSpec, ModelSpec  # noqa: E402
from lightpose.weights import DEFAULT  # noqa: E402
from lightpose.weights.network import load_any, load_network, save_network  # noqa: E402

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.slow]

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"


@pytest.fixture(scope="module")
def pose(tmp_path_factory):
    """An untrained pose network's weights."""
    path, spec = tmp_path_factory.mktemp("pose") / "pose.safetensors", ModelSpec("lpn50", COCO17, (64, 48))
    torch.manual_seed(0)
    network = build(spec)
    initialise_kaiming(network)
    save_network(path, network, spec)
    return path


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """An untrained detector's weights, with statistics of noise and a head that tells places apart."""
    path, spec = tmp_path_factory.mktemp("detector") / "detector.safetensors", DetectorSpec("lpn50_person", (64, 64))
    torch.manual_seed(0)
    network = build_detector(spec)
    initialise_kaiming(network)
    for head in network.heads:
        torch.nn.init.normal_(head[1].weight, std=0.05)
    with torch.no_grad():
        for _ in range(5):
            network.train()(torch.randn(8, 3, *spec.input_hw))
    save_network(path, network, spec)
    return path


def test_the_difference_from_pytorch_is_that_of_the_file_on_the_images(pose, tmp_path):
    done = export.run(pose, tmp_path / "net", to="onnx", images=PHOTOS)
    assert (done.path, done.title, done.images) == (tmp_path / "net.onnx", "17 joints", PHOTOS)
    assert done.size_bytes == sum(file.stat().st_size for file in tmp_path.iterdir())
    network, spec = load_network(pose)
    assert done.spec == spec
    crops = calibration_crops(PHOTOS, spec, 16)
    expected, found = (run.heatmaps(crops) for run in (TorchRuntime(network, spec), OnnxRuntime(done.path, threads=1)))
    assert done.parity.reach == np.abs(expected).max()
    assert done.parity.heatmaps == pytest.approx(np.abs(found - expected).max(), abs=1e-5)


def test_weights_are_handed_on_in_half_the_size_and_compared_with_nothing(pose, tmp_path):
    done = export.run(pose, tmp_path / "small.safetensors")
    assert done.parity is None
    assert done.size_bytes < 0.6 * pose.stat().st_size
    assert load_network(done.path)[1] == done.spec


def test_a_detector_is_exported_for_an_input_of_another_size(detector, tmp_path):
    done = export.run(detector, tmp_path / "net.onnx", input_hw=(32, 64))
    assert (done.title, done.spec.input_hw) == ("a person detector", (32, 64))
    assert done.parity.to_text() == f"scores {done.parity.scores:.1e}, boxes {done.parity.boxes_px:.1e} px"
    assert load_any(detector)[1].input_hw == (64, 64)


def test_what_does_not_go_together_is_refused_and_leaves_no_file(pose, detector, tmp_path):
    for weights, out, options, error, text in (
        (pose, "a.onnx", {"input_hw": (64, 64)}, ConfigError, "is a pose network, whose input size is fixed"),
        (detector, "a.onnx", {"images": PHOTOS}, ConfigError, "is a person detector"),
        (detector, "a.xml", {}, ConfigError, "can be written as .onnx or .safetensors"),
        (pose, "a.zip", {}, WeightsError, "must end in one of .onnx, .xml, .pt, .safetensors"),
        (pose, "a.onnx", {"to": "openvino"}, WeightsError, "must end in .xml for --to openvino"),
        (pose, "nowhere/a.onnx", {}, ConfigError, "there is no folder"),
        (tmp_path / "none.safetensors", "a.onnx", {}, WeightsError, "cannot read the weights"),
    ):
        with pytest.raises(error) as raised:
            export.run(weights, tmp_path / out, **options)
        assert text in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_an_int8_network_is_compared_on_a_quarter_of_the_crops(tmp_path):
    pytest.importorskip("nncf")
    done = export.run_quantize(
        DEFAULT, PHOTOS, tmp_path / "net.xml", boxes=PHOTOS / "boxes.json", crops=9, max_shift_px=9
    )
    people = len(calibration_crops(PHOTOS, ModelSpec("lpn50", COCO17), 99, boxes=PHOTOS / "boxes.json"))
    assert (done.shift.crops, done.calibrated_on) == (-(-people // 4), people - -(-people // 4))
    assert done.size_bytes == sum(file.stat().st_size for file in tmp_path.iterdir())
    assert (done.before, done.after) == ("onnxruntime", "openvino")
    with pytest.raises(ConfigError, match="calibration needs a crop at least, not 0"):
        export.run_quantize(DEFAULT, PHOTOS, tmp_path / "other.xml", crops=0)
