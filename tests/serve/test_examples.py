"""examples/serve: the same network on other servers, and the client that asks them."""

import http.server
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
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
CONFIG = EXAMPLES / "triton" / "lpn50" / "config.pbtxt"
TYPES = {"TYPE_UINT8": "tensor(uint8)", "TYPE_FP32": "tensor(float)"}
CLOSE_PX = 0.05


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
def open_inference(config: dict, session: onnxruntime.InferenceSession) -> Iterator[str]:
    """A server of one model by the Open Inference Protocol (version 2), as Triton has it; gives its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            document = json.loads(self.rfile.read(int(self.headers["content-length"])))
            (given,) = document["inputs"]
            (expected,) = config["input"]
            assert self.path == f"/v2/models/{config['name']}/infer"
            assert (given["name"], f"TYPE_{given['datatype']}") == (expected["name"], expected["data_type"])
            assert given["shape"][1:] == expected["dims"]
            assert 1 <= given["shape"][0] <= config["max_batch_size"]
            crops = np.array(given["data"], np.uint8).reshape(given["shape"])
            names = [each["name"] for each in document["outputs"]]
            outputs = [
                {"name": name, "datatype": "FP32", "shape": list(array.shape), "data": array.ravel().tolist()}
                for name, array in zip(names, session.run(names, {given["name"]: crops}), strict=True)
            ]
            content = json.dumps({"model_name": config["name"], "model_version": "1", "outputs": outputs}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.slow
def test_the_client_asks_by_the_protocol_of_triton_and_gets_lightposes_joints(config, session):
    with open_inference(config, session) as url:
        check_same(run_client("triton", url))


@pytest.mark.slow
def test_bentoml_serves_the_network_and_the_client_gets_lightposes_joints(tmp_path: Path):
    command = shutil.which("bentoml")
    if command is None:
        pytest.skip("there is no BentoML here; pip install bentoml, or put its folder into PATH")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shutil.copy(EXAMPLES / "bento_service.py", tmp_path)
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    own = {"LIGHTPOSE_ONNX": str(find_weights("lpn50")), "BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(tmp_path)}
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [command, "serve", "bento_service:Keypoints", "--host", "127.0.0.1", "--port", str(port)],
            cwd=tmp_path, env={**variables, **own}, stdout=log, stderr=log,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        while not is_ready(url):
            assert process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.2)
        check_same(run_client("bento", url))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=60).status_code == 200
    except httpx.TransportError:
        return False
