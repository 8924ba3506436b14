"""Engines against each other, on the bundled weights; and which engine opens what."""

import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lightpose import PoseEstimator
from lightpose.errors import ConfigError, ShapeError, WeightsError
from lightpose.io.images import read_image
from lightpose.ops.geometry import cut_crops
from lightpose.runtime.ir import BIN_KEY, read_facts
from lightpose.runtime.onnx import OnnxRuntime
from lightpose.types import SPEC_KEY, ModelSpec
from lightpose.weights import DEFAULT, find_weights
from lightpose.weights.open import open_runtime


@pytest.fixture(scope="module")
def reference():
    return OnnxRuntime(find_weights(DEFAULT), threads=1)


@pytest.fixture(scope="module")
def ir(tmp_path_factory):
    """The bundled weights as OpenVINO's own files."""
    engine = pytest.importorskip("lightpose.runtime.openvino", exc_type=Exception)
    path = tmp_path_factory.mktemp("ir") / "net.xml"
    engine.save_graph(*engine.read_graph(find_weights(DEFAULT)), path)
    return path


@pytest.fixture(scope="module")
def crops():
    return np.random.default_rng(0).integers(0, 256, (3, 256, 192, 3), dtype=np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["latency", "throughput"])
@pytest.mark.parametrize("kind", ["onnx", "xml"])
def test_openvino_gives_what_onnx_runtime_gives_in_any_batch(reference, ir, crops, kind, mode):
    runtime = open_runtime(ir if kind == "xml" else DEFAULT, 1, "openvino", mode)
    assert runtime.name == "openvino"
    assert runtime.spec == reference.spec
    for count in (0, 1, 3):
        np.testing.assert_allclose(runtime.heatmaps(crops[:count]), reference.heatmaps(crops[:count]), atol=1e-4)
        np.testing.assert_allclose(runtime.keypoints(crops[:count]), reference.keypoints(crops[:count]), atol=0.05)
    strided = np.repeat(crops, 2, 0)[::2]
    np.testing.assert_allclose(runtime.heatmaps(strided), reference.heatmaps(crops), atol=1e-4)


def test_a_float_file_gives_nearly_its_keypoints_to_programs_that_set_no_precision(ir, reference):
    """On CPUs with bfloat16 OpenVINO would use it, were it not for the marks."""
    openvino = pytest.importorskip("openvino")
    image = read_image(Path(__file__).parents[2] / "examples/photos/astronaut.jpg")
    crops = cut_crops(image, np.array([[100.0, 0, 300, 512]], np.float32), (256, 192), "msra")[0]
    plain = openvino.Core().compile_model(str(ir), "CPU")(crops)["keypoints"]
    expected = reference.keypoints(crops)
    sure = expected[..., 2] > 0.3
    assert sure.sum() >= 5
    off_px = np.linalg.norm((plain - expected)[..., :2], axis=-1)[sure]
    assert off_px.max() < 0.5


def test_openvino_may_be_called_from_several_threads(ir, crops):
    runtime = open_runtime(ir, 1)
    expected = [runtime.heatmaps(crop[None]) for crop in crops]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda place: runtime.heatmaps(crops[place % 3][None]), range(6)))
    for place, heatmaps in enumerate(found):
        np.testing.assert_array_equal(heatmaps, expected[place % 3])


def test_an_xml_file_goes_to_openvino_unasked(ir):
    estimator = PoseEstimator(ir, "whole", threads=1)
    assert estimator.runtime.name == "openvino"
    assert estimator.predict(np.zeros((64, 48, 3), np.uint8)).keypoints.shape == (1, 17, 3)


def test_openvino_refuses_crops_of_another_shape(ir):
    with pytest.raises(ShapeError, match=r"crops must be uint8 of shape \(N, 256, 192, 3\)"):
        open_runtime(ir, 1).heatmaps(np.zeros((1, 192, 256, 3), np.uint8))


def test_an_xml_file_without_its_numbers_is_refused(ir, tmp_path):
    (tmp_path / "net.xml").write_bytes(ir.read_bytes())
    with pytest.raises(WeightsError, match=r"net\.xml needs net\.bin beside it; copy both files"):
        open_runtime(tmp_path / "net.xml")
    (tmp_path / "net.bin").write_bytes(ir.with_suffix(".bin").read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"net\.xml is not a whole OpenVINO file"):
        open_runtime(tmp_path / "net.xml")


def test_an_xml_file_with_the_numbers_of_another_graph_is_refused(ir, tmp_path):
    """As where one file of the two was copied: here a number of it differs, which no engine would notice."""
    numbers = bytearray(ir.with_suffix(".bin").read_bytes())
    numbers[1000] ^= 1
    (tmp_path / "net.xml").write_bytes(ir.read_bytes())
    (tmp_path / "net.bin").write_bytes(numbers)
    with pytest.raises(WeightsError, match=r"the net\.bin beside .*net\.xml is damaged or another graph's; copy both"):
        open_runtime(tmp_path / "net.xml")


def test_an_xml_file_can_be_looked_at_without_openvino(ir, reference, tmp_path):
    facts = read_facts(ir)
    assert ModelSpec.from_json(facts[SPEC_KEY]) == reference.spec
    assert facts[BIN_KEY] == hashlib.sha256(ir.with_suffix(".bin").read_bytes()).hexdigest()
    with pytest.raises(WeightsError, match=r"none\.xml is not a whole OpenVINO file"):
        read_facts(tmp_path / "none.xml")


@pytest.mark.parametrize("content", [b"", b"<net", b"not a graph"], ids=["empty", "cut", "text"])
def test_what_is_no_xml_graph_is_refused(tmp_path, content):
    pytest.importorskip("openvino")
    (tmp_path / "net.xml").write_bytes(content)
    (tmp_path / "net.bin").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"net\.xml is not a whole OpenVINO file"):
        open_runtime(tmp_path / "net.xml")


def test_an_xml_graph_of_another_program_is_refused(tmp_path):
    openvino = pytest.importorskip("openvino")
    value = openvino.opset13.parameter([1, 2], np.float32)
    openvino.save_model(openvino.Model([openvino.opset13.relu(value)], [value]), tmp_path / "net.xml")
    with pytest.raises(WeightsError, match="does not say which model, joints and input it is for"):
        open_runtime(tmp_path / "net.xml")


def test_engines_that_cannot_run_a_file_are_refused_with_those_that_can(tmp_path):
    (tmp_path / "net.xml").write_text("<net/>")
    with pytest.raises(ConfigError, match=r"cannot be run by onnxruntime; use openvino$"):
        open_runtime(tmp_path / "net.xml", engine="onnxruntime")
    with pytest.raises(ConfigError, match="cannot be run by torch; use onnxruntime or openvino"):
        open_runtime(engine="torch")
    with pytest.raises(ConfigError, match="mode throughput is for the engine openvino, not onnxruntime"):
        open_runtime(mode="throughput")
    with pytest.raises(ConfigError, match="threads must not be below 0, not -2"):
        open_runtime(threads=-2)


HIDE = "import sys; sys.modules['openvino'] = sys.modules['nncf'] = None;"
"""A process that finds neither package, as where they are not installed."""


def test_without_openvino_the_error_says_how_to_install_it(tmp_path):
    code = HIDE + "from lightpose.weights.open import open_runtime; open_runtime(engine='openvino')"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "MissingPackageError" in done.stderr
    assert "install it with: pip install 'lightpose[openvino]'" in done.stderr


def test_predicting_with_onnx_runtime_leaves_openvino_alone(tmp_path):
    code = (
        "import sys, numpy as np, lightpose;"
        "lightpose.PoseEstimator(detector='whole').predict(np.zeros((64, 48, 3), np.uint8));"
        "sys.exit('openvino' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0
