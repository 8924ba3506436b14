"""The opsets of exported graphs: refusals, and the same answers in each of them."""

from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
import onnxruntime  # noqa: E402

from lightpose.errors import ConfigError  # noqa: E402
from lightpose.export import run  # noqa: E402
from lightpose.export.opset import LEAST_OPSET, OPSETS  # noqa: E402
from lightpose.export.pose import export_onnx  # noqa: E402
from lightpose.models.lpn import LPN  # noqa: E402
from tests.export.test_pose import SMALL_SPEC, random_crops, randomise  # noqa: E402

WEIGHTS = Path(__file__).parents[2] / "weights" / "lpn50.safetensors"

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    """A small network in each opset, and in the usual one under None."""
    folder, network = tmp_path_factory.mktemp("opset"), randomise(LPN((1, 1, 1, 1), 3).eval())
    found = {opset: folder / f"{opset}.onnx" for opset in (None, *OPSETS)}
    for opset, path in found.items():
        export_onnx(network, SMALL_SPEC, path, **({} if opset is None else {"opset": opset}))
    return found


@pytest.fixture(scope="module")
def bundled(tmp_path_factory):
    """The bundled weights in the usual opset."""
    return run(WEIGHTS, tmp_path_factory.mktemp("bundled") / "usual.onnx").path


def answers(path, crops):
    return onnxruntime.InferenceSession(path).run(["heatmaps", "keypoints"], {"crops": crops})


@pytest.mark.slow
def test_each_opset_gives_the_answers_of_the_usual_one_to_the_bit(graphs):
    crops = random_crops(2, SMALL_SPEC)
    usual = answers(graphs[None], crops)
    for opset in OPSETS:
        model = onnx.load(graphs[opset])
        onnx.checker.check_model(model, full_check=True)
        assert [each.version for each in model.opset_import] == [opset]
        assert [each.key for each in model.metadata_props] == ["lightpose"]
        for found, expected in zip(answers(graphs[opset], crops), usual, strict=True):
            assert np.array_equal(found, expected)


@pytest.mark.slow
def test_the_usual_graph_is_in_the_oldest_opset_and_format(bundled):
    model = onnx.load(bundled)
    assert [each.version for each in model.opset_import] == [LEAST_OPSET]
    assert model.ir_version == 8


@pytest.mark.slow
def test_opencv_reads_the_graph_and_gives_the_same_answers(bundled):
    cv2 = pytest.importorskip("cv2", minversion="5.0")
    crops = np.random.default_rng(1).integers(0, 256, (2, 256, 192, 3), dtype=np.uint8)
    network = cv2.dnn.readNetFromONNX(str(bundled))
    network.setInput(crops, "crops")
    heatmaps, keypoints = network.forward(["heatmaps", "keypoints"])
    expected = answers(bundled, crops)
    assert np.abs(heatmaps - expected[0]).max() <= 1e-5
    assert np.abs(keypoints - expected[1]).max() <= 0.01


@pytest.mark.parametrize(
    ("name", "opset", "message"),
    [
        ("mine.onnx", 16, "opset 16 has no layer normalization, which the networks need; take 17 or newer"),
        ("mine.onnx", 21, "opset 21 is not known; take one from 17 to 20"),
        ("mine.xml", 17, "has no opset: only .onnx files have; leave --opset out"),
    ],
)
def test_an_opset_that_cannot_be_written_is_refused(tmp_path, name, opset, message):
    with pytest.raises(ConfigError, match=message):
        run(WEIGHTS, tmp_path / name, opset=opset)
    assert not list(tmp_path.iterdir())
