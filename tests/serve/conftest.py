"""Servers in processes of their own, on free ports of this computer."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
import httpx

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"

STARTED = """
import json, sys
from lightpose.inference.estimator import PoseEstimator
from lightpose.serve.run import serve
from lightpose.serve.settings import Settings
given = json.loads(sys.argv[1])
given["allowed_hosts"] = tuple(given.get("allowed_hosts", ()))
serve(PoseEstimator(threads=1), Settings(port=0, **given), lambda address: print("at", address, flush=True))
"""


class Running:
    """A server that runs. url: where it is."""

    def __init__(self, process: subprocess.Popen, url: str) -> None:
        self.process, self.url = process, url
        self.host, self.port = "127.0.0.1", int(url.rpartition(":")[2])

    def wait_until_ready(self) -> None:
        with httpx.Client(transport=httpx.HTTPTransport(retries=3)) as client:
            while client.get(f"{self.url}/health/ready").status_code != 200:
                assert self.process.poll() is None
                time.sleep(0.05)


@contextmanager
def started(command: list[str], environment: dict[str, str] | None = None, alone: bool = False) -> Iterator[Running]:
    """A server by its command, which tells its address in the last word of its first line; ended by its id.

    alone: in a group of its own, to which a test can send what a terminal does.
    """
    variables = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "", **(environment or {})}
    process = subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables,
        start_new_session=alone,
    )  # fmt: skip
    try:
        line = process.stdout.readline()
        assert "http://" in line, process.stderr.read()
        running = Running(process, line.split()[-1])
        running.wait_until_ready()
        yield running
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(12)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        process.stderr.close()


def with_settings(**settings: object):
    """A server with settings that the command has no options for, such as short times."""
    return started(["-c", STARTED, json.dumps(settings)])


@pytest.fixture(scope="session")
def server() -> Iterator[Running]:
    """`lightpose serve`, as users start it."""
    with started(["-m", "lightpose", "serve", "--port", "0", "--threads", "1", "--max-upload", "4MB"]) as running:
        yield running


@pytest.fixture
def http(server: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def photo() -> bytes:
    return (PHOTOS / "astronaut.jpg").read_bytes()
