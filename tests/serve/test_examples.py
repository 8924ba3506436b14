"""examples/serve: the same network on other servers, and the client that asks them."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import onnxruntime
import pytest

from lightpose import PoseEstimator
from lightpose.weights import find_weights
from tests.serve.conftest import PHOTOS
from tests.test_docs import ROOT

EXAMPLES = ROOT / "examples" / "serve"
SERVERS = ROOT / ".servers-test"
CONFIG = EXAMPLES / "triton" / "lpn50" / "config.pbtxt"
TYPES = {"TYPE_UINT8": "tensor(uint8)", "TYPE_FP32": "tensor(float)"}
CLOSE_PX = 0.05
START_S = 90


def read_config(text: str) -> dict[str, object]:
    """Protobuf's text format, as far as config.pbtxt goes: blocks, lists, names, numbers and texts."""
    tokens = re.findall(r'"[^"]*"|[\w.]+|[\[\]{}:,]', re.sub(r"#.*", "", text))

    def value() -> object:
        token = tokens.pop(0)
        if token == "[":
            found = []
            while tokens[0] != "]":
                found.append(value())
                if tokens[0] == ",":
                    tokens.pop(0)
            tokens.pop(0)
            return found
        if token == "{":
            return block()
        return token.strip('"') if token.startswith('"') else int(token) if token.isdigit() else token

    def block() -> dict[str, object]:
        found: dict[str, object] = {}
        while tokens and tokens[0] != "}":
            name = tokens.pop(0)
            if tokens[0] == ":":
                tokens.pop(0)
            assert name not in found
            found[name] = value()
        if tokens:
            tokens.pop(0)
        return found

    return block()


@pytest.fixture(scope="module")
def config() -> dict:
    return read_config(CONFIG.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def session() -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(find_weights("lpn50"), providers=["CPUExecutionProvider"])


def test_tritons_configuration_has_names_types_and_shapes_of_the_network(config, session):
    assert (config["name"], config["backend"]) == (CONFIG.parent.name, "onnxruntime")
    assert config["max_batch_size"] > 1
    for kind, real in (("input", session.get_inputs()), ("output", session.get_outputs())):
        described = [(each["name"], TYPES[each["data_type"]], each["dims"]) for each in config[kind]]
        assert described == [(each.name, each.type, each.shape[1:]) for each in real]
        assert all(isinstance(each.shape[0], str) for each in real)  # the batch, which Triton adds, is open


def run_client(kind: str, url: str) -> np.ndarray:
    """The joints (people, joints, 3) that the client prints."""
    command = [sys.executable, str(EXAMPLES / "client.py"), kind, url, str(PHOTOS / "astronaut.jpg")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == 0, ran.stderr
    return np.array([list(json.loads(line).values()) for line in ran.stdout.splitlines()])


def check_same(found: np.ndarray) -> None:
    """They are those of lightpose with the decoder of the graph."""
    estimator = PoseEstimator(threads=1, decoder="softargmax", precision="float32")
    expected = estimator.predict(PHOTOS / "astronaut.jpg").keypoints
    assert found.shape == expected.shape == (1, 17, 3)
    assert np.abs(found[..., :2] - expected[..., :2]).max() < CLOSE_PX
    assert np.abs(found[..., 2] - expected[..., 2]).max() < 1e-3


@contextmanager
def serving(command: list[str], ready: str, folder: Path, variables: dict[str, str]) -> Iterator[None]:
    """A server in a process of its own, from when it answers at that address."""
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env={**own, **variables}, stdout=log, stderr=log)
    try:
        deadline_s = time.monotonic() + START_S
        while not is_ready(ready):
            begins = process.poll() is None and time.monotonic() < deadline_s
            assert begins, (folder / "log").read_text(errors="replace")
            time.sleep(0.2)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def is_ready(url: str) -> bool:
    try:
        return httpx.get(url, timeout=60).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def servers() -> Path:
    """The environment that has the servers."""
    if not (SERVERS / "bin" / "bentoml").exists():
        pytest.skip("the model servers are not here; scripts/servers installs them")
    return SERVERS


@pytest.mark.slow
def test_triton_serves_the_network_and_the_client_gets_lightposes_joints(servers: Path, tmp_path: Path):
    """The real server with the example's own configuration. Its backend for ONNX files alone is replaced."""
    (triton,) = servers.glob("lib/python3.*/site-packages/pytriton/tritonserver")
    backends, models = tmp_path / "backends", tmp_path / "models"
    shutil.copytree(triton / "backends" / "python", backends / "python")
    version = triton.parents[2].name.removeprefix("python")
    shutil.copy(triton / "python_backend_stubs" / version / "triton_python_backend_stub", backends / "python")
    (backends / "onnxruntime").mkdir()
    shutil.copy(Path(__file__).with_name("triton_backend.py"), backends / "onnxruntime" / "model.py")
    shutil.copytree(CONFIG.parent, models / CONFIG.parent.name)
    (models / CONFIG.parent.name / "1").mkdir()
    shutil.copy(find_weights("lpn50"), models / CONFIG.parent.name / "1" / "model.onnx")
    port = free_port()
    command = [
        str(triton / "bin" / "tritonserver"), "--model-repository", str(models), "--backend-directory", str(backends),
        "--http-address", "127.0.0.1", "--http-port", str(port), "--allow-grpc", "0", "--allow-metrics", "0",
    ]  # fmt: skip
    own = {
        "PATH": f"{servers / 'bin'}:{os.environ['PATH']}",
        "LD_LIBRARY_PATH": str(triton.parents[1] / "nvidia_pytriton.libs"),
    }
    url = f"http://127.0.0.1:{port}"
    with serving(command, f"{url}/v2/health/ready", tmp_path, own):
        check_same(run_client("triton", url))


@pytest.mark.slow
def test_bentoml_serves_the_network_and_the_client_gets_lightposes_joints(servers: Path, tmp_path: Path):
    port = free_port()
    shutil.copy(EXAMPLES / "bento_service.py", tmp_path)
    own = {"LIGHTPOSE_ONNX": str(find_weights("lpn50")), "BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(tmp_path)}
    command = [
        str(servers / "bin" / "bentoml"), "serve", "bento_service:Keypoints", "--host", "127.0.0.1", "--port", str(port)
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    with serving(command, f"{url}/readyz", tmp_path, own):
        check_same(run_client("bento", url))


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
