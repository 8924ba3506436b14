"""An S3 server on this computer, in a process of its own, and the proxy before it."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.scale.flaky import Flaky

SERVER = """
import logging, sys, threading
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="session")
def moto_port() -> Iterator[int]:
    """The port of moto's server, which ends with its standard input, and by its id if it does not."""
    pytest.importorskip("moto")
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def flaky_proxy(moto_port: int) -> Iterator[Flaky]:
    proxy = Flaky(moto_port)
    yield proxy
    proxy.close()


@dataclass
class Bucket:
    """A bucket behind the proxy. where: its address. store: a handle on it that no fault stands before."""

    where: str
    proxy: Flaky
    store: object

    def put(self, name: str, content: bytes) -> str:
        """Write an object; its address."""
        self.store.put(name, content)
        return f"{self.where}/{name}"

    def get(self, name: str) -> bytes:
        return bytes(self.store.get(name).bytes())


@pytest.fixture
def bucket(moto_port: int, flaky_proxy: Flaky, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bucket:
    """A bucket, and the environment by which it is found: also by the processes that a test starts."""
    httpx = pytest.importorskip("httpx")
    from_url = pytest.importorskip("obstore.store").from_url
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", flaky_proxy.url)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LIGHTPOSE_REQUEST_TIMEOUT", "1")
    flaky_proxy.reset()
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    assert httpx.put(f"{flaky_proxy.url}/{name}").status_code == 200
    handle = from_url(f"s3://{name}", endpoint=f"http://127.0.0.1:{moto_port}", client_options={"allow_http": True})
    return Bucket(f"s3://{name}", flaky_proxy, handle)
