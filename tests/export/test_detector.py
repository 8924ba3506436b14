"""Exported detectors: the same boxes as PyTorch, in a file that says what it is, and commands that use it."""

import copy
import dataclasses
import io
import json
import re
from contextlib import redirect_stdout

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

from lightpose.cli import main  # noqa: E402
from lightpose.detect.onnx import OnnxDetector  # noqa: E402
from lightpose.errors import WeightsError  # noqa: E402
from lightpose.export.detector import export_detector  # noqa: E402
from lightpose.models import build_detector, initialise_kaiming  # noqa: E402
from lightpose.runtime.onnx import OnnxRuntime, open_session  # noqa: E402
from lightpose.runtime.torch import DetectorNetwork  # noqa: E402
from lightpose.skeletons import COCO17  # noqa: E402
from lightpose.types import SPEC_KEY, DetectorSpec, ModelSpec  # noqa: E402
from lightpose.weights.network import load_detector, save_network  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

SPEC = DetectorSpec("lpn50_person", (64, 96), {"stride": 4, "gc": True}, threshold=0.1)


@pytest.fixture(scope="module")
def network():
    """Untrained, with statistics of noise, and a head that is neither sure nor unsure."""
    torch.manual_seed(0)
    network = build_detector(SPEC)
    initialise_kaiming(network)
    for head in network.heads:
        torch.nn.init.normal_(head[1].weight, std=0.05)
    torch.nn.init.zeros_(network.heads[0][1].bias)
    with torch.no_grad():
        for _ in range(5):
            network.train()(torch.randn(8, 3, 64, 96))
    return network.eval()


@pytest.fixture(scope="module")
def weights(network, tmp_path_factory):
    """As training leaves it, for an input of another size."""
    path = tmp_path_factory.mktemp("trained") / "best.safetensors"
    save_network(path, network, dataclasses.replace(SPEC, input_hw=(128, 128)))
    return path


@pytest.fixture(scope="module")
def written(weights, tmp_path_factory):
    """The file that the command exports, and what it says."""
    path, said = tmp_path_factory.mktemp("exported") / "detector.onnx", io.StringIO()
    with redirect_stdout(said), pytest.raises(SystemExit) as done:
        main(["export", str(weights), "--out", str(path), "--input-hw", "64", "96"])
    assert done.value.code == 0
    return path, said.getvalue()


@pytest.fixture(scope="module")
def exported(written):
    return written[0]


def test_the_file_keeps_the_contract(exported):
    """Names, types and shapes of the input and outputs, any number of pictures, and the spec."""
    session = open_session(exported)
    (given,), found = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type, given.shape[1:]) == ("images", "tensor(uint8)", [64, 96, 3])
    assert [(one.name, one.type, one.shape[1:]) for one in found] == [
        ("boxes", "tensor(float)", [300, 4]), ("scores", "tensor(float)", [300])
    ]  # fmt: skip
    assert DetectorSpec.from_json(session.get_modelmeta().custom_metadata_map[SPEC_KEY]) == SPEC
    for count in (1, 3):
        boxes, scores = session.run(None, {"images": np.zeros((count, 64, 96, 3), np.uint8)})
        assert (boxes.shape, scores.shape) == ((count, 300, 4), (count, 300))
        assert ((scores >= 0) & (scores <= 1)).all()
        assert (np.diff(scores) <= 0).all()


def test_weights_are_stored_in_half_the_bytes_and_cost_little(exported, network):
    """Against the network with its own weights, in full precision: not the ones that were rounded."""
    assert exported.stat().st_size < 3_000_000
    pixels = np.random.default_rng(1).integers(0, 256, (2, 64, 96, 3), dtype=np.uint8)
    with torch.inference_mode():
        boxes, scores = DetectorNetwork(network, SPEC)(torch.from_numpy(pixels))
    found_boxes, found_scores = open_session(exported).run(None, {"images": pixels})
    np.testing.assert_allclose(found_scores[:, :20], scores[:, :20], atol=5e-3)
    apart = np.abs(found_boxes[:, :20, None] - boxes.numpy()[:, None]).max(-1).min(-1)
    assert np.median(apart) < 0.3


def test_prediction_takes_it_for_what_it_is(exported):
    detector = OnnxDetector(exported)
    assert detector.threshold == 0.1
    boxes = detector(np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8))
    assert len(boxes)
    assert (boxes.scores >= 0.1).all()
    assert (boxes.xywh[:, :2] >= 0).all()
    assert (boxes.xywh[:, :2] + boxes.xywh[:, 2:] <= np.array([70, 50]) + 1e-3).all()


def test_a_detector_is_not_taken_for_a_pose_network(exported):
    with pytest.raises(WeightsError, match="this is a person detector, not a pose network; give it to --detector"):
        OnnxRuntime(exported)


def test_a_detector_that_gives_no_numbers_leaves_no_file(network, tmp_path):
    broken = copy.deepcopy(network)
    torch.nn.init.constant_(broken.heads[0][1].bias, float("nan"))
    with pytest.raises(WeightsError, match="boxes that are no numbers; its weights are damaged or training diverged"):
        export_detector(broken, SPEC, tmp_path / "broken.onnx")
    assert not list(tmp_path.iterdir())


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as done:
        main([*map(str, arguments)])
    output, errors = capsys.readouterr()
    return done.value.code, " ".join(output.split()), " ".join(errors.split())


def test_the_export_command_says_what_it_wrote_and_how_near_it_is_to_pytorch(written):
    path, said = written
    found = re.search(
        r"lpn50_person 64×96, a person detector\n.* PyTorch, on noise: scores (\S+), boxes (\S+) px", said
    )
    assert f"{path}: 2.7 MB" in said
    assert float(found[1]) < 1e-5
    assert float(found[2]) < 0.01


def test_the_export_command_writes_small_weights_to_hand_on(weights, tmp_path, capsys):
    code, output, _ = run(capsys, "export", weights, "--out", tmp_path / "small.safetensors")
    assert (code, "lpn50_person 128×128, a person detector" in output) == (0, True)
    assert (tmp_path / "small.safetensors").stat().st_size < weights.stat().st_size * 0.6
    assert load_detector(tmp_path / "small.safetensors")[1].input_hw == (128, 128)


def test_the_export_command_refuses_what_does_not_go_together(weights, tmp_path, capsys):
    code, _, errors = run(capsys, "export", weights, "--out", tmp_path / "x.onnx", "--input-hw", 100, 64)
    assert (code, "must be two multiples of 32" in errors) == (2, True)
    code, _, errors = run(capsys, "export", weights, "--out", tmp_path / "x.xml")
    assert (code, "is a person detector: it can be written as .onnx or .safetensors" in errors) == (2, True)
    pose = ModelSpec("lpn50", COCO17, (64, 48))
    save_network(tmp_path / "pose.safetensors", torch.nn.Conv2d(1, 1, 1), pose)
    code, _, errors = run(
        capsys, "export", tmp_path / "pose.safetensors", "--out", tmp_path / "x.onnx", "--input-hw", 64, 64
    )
    assert (code, "is a pose network, whose input size is fixed; leave --input-hw out" in errors) == (2, True)


def test_the_evaluate_detector_command_prints_figures(exported, drawn, capsys):
    pytest.importorskip("faster_coco_eval")
    command = ("evaluate-detector", exported, "--annotations", drawn.annotations, "--images", drawn.images)
    code, output, _ = run(capsys, *command, "--bootstrap", 20)
    assert code == 0
    for title in ("AP ", "AP50 ", "AP75 ", "recall@0.5 ", "3 images, 4 people"):
        assert title in output
    assert output.count("[") == 4
    code, output, _ = run(capsys, *command, "--bootstrap", 20, "--json")
    document = json.loads(output)
    assert 0 <= document["ap"] <= document["ap50"] <= document["recall"] <= 1
    low, high = document["intervals"]["recall"]
    assert low <= document["recall"] <= high


@pytest.mark.parametrize(
    ("detector", "text"),
    [
        ("nowhere.onnx", "nowhere.onnx"),
        ("lightpose/weights/bundled/lpn50.onnx", "this is a pose network, not a person detector"),
    ],
)
def test_the_evaluate_detector_command_refuses_what_is_no_detector(detector, text, drawn, capsys, pytestconfig):
    path = pytestconfig.rootpath / detector
    code, _, errors = run(
        capsys, "evaluate-detector", path, "--annotations", drawn.annotations, "--images", drawn.images
    )
    assert (code, text in errors) == (2, True)
