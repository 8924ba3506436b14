"""Devices other than the CPU: names, what stands in for one that is not here, and the devices that are."""

import logging
import pickle

import numpy as np
import onnxruntime
import pytest

from lightpose import PoseEstimator
from lightpose.bench.variants import find_source, variants_of
from lightpose.detect.open import open_detector
from lightpose.errors import ConfigError
from lightpose.runtime.devices import find_device, provider_of
from lightpose.runtime.onnx import open_session
from lightpose.weights import DEFAULT, find_weights
from lightpose.weights.open import find_twin, open_runtime

HERE = set(onnxruntime.get_available_providers())
CROPS = np.random.default_rng(0).integers(0, 256, (3, 256, 192, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "name",
    ["gpu", "CUDA", "cuda:", "cuda:one", "cuda:-1", "coreml:1", "openvino", "openvino:", "openvino:gpu", "", "cpu:0"],
)
def test_a_name_that_is_none_is_refused_with_those_there_are(name):
    with pytest.raises(ConfigError, match="is unknown; use cpu, auto, cuda"):
        find_device(name)


@pytest.mark.parametrize(
    ("engine", "device"),
    [("openvino", "cuda"), ("onnxruntime", "openvino:GPU"), ("torch", "coreml"), ("torch", "openvino:CPU")],
)
def test_a_device_of_another_engine_is_refused(engine, device):
    with pytest.raises(ConfigError, match=f"{engine} cannot run on {device}"):
        find_device(device, engine)


@pytest.mark.parametrize(("device", "provider"), [("cuda", "CUDA"), ("directml", "Dml"), ("coreml", "CoreML")])
def test_a_device_that_onnx_runtime_lacks_is_replaced_by_the_cpu_and_that_is_said(device, provider, caplog):
    if f"{provider}ExecutionProvider" in HERE:
        pytest.skip(f"this ONNX Runtime has {device}")
    with caplog.at_level(logging.WARNING, "lightpose"):
        runtime = open_runtime(DEFAULT, 1, device=device, precision="auto")
    assert f"{device} cannot be used, so the CPU is: it needs " in caplog.text
    np.testing.assert_array_equal(
        runtime.heatmaps(CROPS), open_runtime(DEFAULT, 1, precision="auto").heatmaps(CROPS), err_msg="not as on the CPU"
    )


def test_a_device_that_the_file_cannot_be_opened_on_is_replaced_by_the_cpu(monkeypatch, caplog):
    """As with onnxruntime-gpu where CUDA's own libraries are missing: the provider is listed, and does not come up."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    assert find_device("cuda:1") == "cuda:1"
    assert find_device("auto") == "cuda"
    if "CUDAExecutionProvider" in HERE:
        pytest.skip("this ONNX Runtime has CUDA")
    with caplog.at_level(logging.WARNING, "lightpose"):
        runtime = open_runtime(DEFAULT, 1, device="cuda")
    assert caplog.text.count("cuda cannot be used, so the CPU is: ") == 1
    assert runtime.heatmaps(CROPS).shape == (3, 17, 64, 48)


def test_a_damaged_file_is_not_blamed_on_the_device(monkeypatch, tmp_path):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    (tmp_path / "net.onnx").write_bytes(find_weights(DEFAULT).read_bytes()[:1000])
    with pytest.raises(Exception, match="is not a whole ONNX file"):
        open_session(tmp_path / "net.onnx", device="cuda")


def test_other_devices_run_the_float_file_and_no_int8(monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    assert open_runtime(DEFAULT, 1, device="cuda", precision="auto").precision == "float32"
    assert open_detector(device="cuda", precision="auto").precision == "float32"
    with pytest.raises(ConfigError, match="int8 is for the CPU, not for cuda"):
        open_runtime(DEFAULT, device="cuda", precision="int8")
    with pytest.raises(ConfigError, match="is in int8, which is for the CPU"):
        open_runtime(find_twin(find_weights(DEFAULT)), device="cuda")


def test_numbers_of_devices_reach_onnx_runtime():
    assert provider_of("cuda:1") == ("CUDAExecutionProvider", {"device_id": 1})
    assert provider_of("coreml") == ("CoreMLExecutionProvider", {})


def test_openvino_runs_on_the_device_that_is_named():
    pytest.importorskip("openvino")
    runtime = open_runtime(DEFAULT, 1, device="openvino:CPU")
    assert runtime.name == "openvino"
    wanted = open_runtime(DEFAULT, 1, "openvino").heatmaps(CROPS)
    # on a named device OpenVINO chooses the precision itself, so on CPUs with bfloat16 they differ a little
    np.testing.assert_allclose(runtime.heatmaps(CROPS), wanted, atol=0.05)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(runtime)).heatmaps(CROPS), runtime.heatmaps(CROPS))


def test_openvino_says_which_devices_it_sees(caplog):
    openvino = pytest.importorskip("openvino")
    seen = openvino.Core().available_devices
    if "NPU" in seen:
        pytest.skip("there is an NPU")
    assert open_runtime(DEFAULT, 1, device="openvino:NPU").name == "onnxruntime"
    assert f"OpenVINO sees {', '.join(seen)} alone" in caplog.text


def test_a_detector_stays_on_the_cpu_where_the_network_runs_on_a_device_of_openvinos():
    pytest.importorskip("openvino")
    estimator = PoseEstimator(device="openvino:CPU", threads=1)
    assert estimator.runtime.name == "openvino"
    image = np.full((64, 64, 3), 114, np.uint8)
    assert len(estimator.predict(image)) == 0


def test_torch_says_how_many_devices_it_sees(caplog):
    torch = pytest.importorskip("torch")
    seen = torch.cuda.device_count()
    assert find_device(f"cuda:{seen}", "torch") == "cpu"
    assert f"PyTorch sees {seen} of these devices" in caplog.text


def test_a_device_that_is_not_here_is_not_measured(tmp_path):
    if "CUDAExecutionProvider" in HERE:
        pytest.skip("this ONNX Runtime has CUDA")
    (variant,) = variants_of(find_source(DEFAULT), ["cuda"], [1], [1], tmp_path)
    with pytest.raises(ConfigError, match="there is no cuda here to measure"):
        variant.open()


@pytest.mark.parametrize("device", ["cuda", "directml", "coreml", "openvino:GPU"])
def test_a_device_that_is_here_gives_what_the_cpu_gives(device):
    if find_device(device) != device:
        pytest.skip(f"there is no {device} here")
    runtime = open_runtime(DEFAULT, device=device)
    wanted = open_runtime(DEFAULT).heatmaps(CROPS)
    np.testing.assert_allclose(runtime.heatmaps(CROPS), wanted, atol=0.02 * float(wanted.max()))
