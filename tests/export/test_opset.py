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

WEIGHTS = Path(__file__).parents[2] / "weights" / "lpn50.safetensors"

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    """The bundled weights in each opset, and in the usual one under None."""
    folder = tmp_path_factory.mktemp("opset")
    return {opset: run(WEIGHTS, folder / f"{opset}.onnx", opset=opset).path for opset in (None, *OPSETS)}


def answers(path, crops):
    return onnxruntime.InferenceSession(path).run(["heatmaps", "keypoints"], {"crops": crops})


@pytest.mark.slow
def test_each_opset_gives_the_answers_of_the_usual_one_to_the_bit(graphs):
    crops = np.random.default_rng(0).integers(0, 256, (2, 256, 192, 3), dtype=np.uint8)
    usual = answers(graphs[None], crops)
    for opset in OPSETS:
        model = onnx.load(graphs[opset])
        onnx.checker.check_model(model, full_check=True)
        assert [each.version for each in model.opset_import] == [opset]
        assert [each.key for each in model.metadata_props] == ["lightpose"]
        for found, expected in zip(answers(graphs[opset], crops), usual, strict=True):
            assert np.array_equal(found, expected)


@pytest.mark.slow
def test_the_usual_graph_is_in_the_oldest_opset_and_format(graphs):
    model = onnx.load(graphs[None])
    assert [each.version for each in model.opset_import] == [LEAST_OPSET]
    assert model.ir_version == 8


@pytest.mark.slow
def test_opencv_reads_the_graph_and_gives_the_same_answers(graphs):
    cv2 = pytest.importorskip("cv2", minversion="5.0")
    crops = np.random.default_rng(1).integers(0, 256, (2, 256, 192, 3), dtype=np.uint8)
    network = cv2.dnn.readNetFromONNX(str(graphs[None]))
    network.setInput(crops, "crops")
    heatmaps, keypoints = network.forward(["heatmaps", "keypoints"])
    expected = answers(graphs[None], crops)
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
