"""Too many requests, clients that go, and the end: nothing is lost, swapped, written or said."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest

from lightpose.io.images import encode_image
from tests.serve.conftest import STARTED, started, with_settings

pytestmark = pytest.mark.slow

CROWD = {"boxes": json.dumps([[40, 10, 320, 410]] * 60)}
"""People enough to keep the network busy for a while."""


def numbered(number: int) -> bytes:
    """An image that is told by its size."""
    return encode_image(np.full((100 + number, 90, 3), number % 255, np.uint8), ".png")


def test_more_than_there_is_room_for_gets_503_at_once_and_no_reply_is_swapped():
    with with_settings(queue=4) as running, httpx.Client(base_url=running.url, timeout=60) as http:

        def ask(number: int) -> tuple[int, int]:
            answer = http.post("/v1/poses", content=numbered(number))
            if answer.status_code == 200:
                assert answer.json()["height"] == 100 + number
            else:
                assert answer.status_code == 503
                assert int(answer.headers["retry-after"]) >= 1
                assert "try again" in answer.json()["detail"]
            return answer.status_code, number

        with ThreadPoolExecutor(16) as pool:
            codes = [code for code, _ in pool.map(ask, range(200))]
        assert codes.count(200) >= 4
        assert codes.count(503) >= 1
        assert "lightpose_queue_images 0.0" in http.get("/metrics").text


def figure(http: httpx.Client, name: str) -> float:
    lines = http.get("/metrics").text.splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(name))


def test_requests_whose_clients_hung_up_are_never_worked_on(photo):
    with with_settings() as running, httpx.Client(base_url=running.url, timeout=60) as http:
        body = f"POST /v1/poses?boxes={json.dumps([[40, 10, 320, 410]] * 60).replace(' ', '')} HTTP/1.1\r\n"
        head = f"{body}host: 127.0.0.1\r\ncontent-length: {len(photo)}\r\n\r\n".encode()
        clients = []
        for _ in range(6):
            clients.append(socket.create_connection((running.host, running.port), timeout=20))
            clients[-1].sendall(head + photo)
            while figure(http, "lightpose_queue_images") < len(clients):
                pass
        for client in clients:
            client.close()
        while figure(http, "lightpose_queue_images"):
            time.sleep(0.05)
        assert http.post("/v1/poses", content=photo).status_code == 200
        assert figure(http, "lightpose_images_total") == 1
        assert figure(http, "lightpose_batch_images_sum") <= 3  # one in work, the good one, one between


def test_a_request_that_takes_too_long_is_given_up(photo):
    with with_settings(timeout_s=0.05) as running, httpx.Client(base_url=running.url, timeout=60) as http:
        answer = http.post("/v1/poses", content=photo, params=CROWD)
        assert answer.status_code == 503
        assert "within 0.05 s" in answer.json()["detail"]
        files = [("i", (f"{n}", photo)) for n in range(3)]
        results = http.post("/v1/poses/batch", files=files, params={"flip": True}).json()["results"]
        assert {each["status"] for each in results} <= {200, 503}


def test_sigterm_under_load_loses_no_request_that_was_taken(photo):
    with with_settings(drain_s=1.5) as running:
        lost, codes, unready = [], [], []
        going = threading.Event()

        def load() -> None:
            with httpx.Client(base_url=running.url, timeout=60) as http:
                while True:
                    try:
                        answer = http.post("/v1/poses", content=photo)
                        codes.append(answer.status_code)
                    except httpx.ConnectError:
                        return  # it takes no connections any more
                    except httpx.HTTPError as error:
                        lost.append(repr(error))
                        return
                    going.set()

        clients = [threading.Thread(target=load) for _ in range(4)]
        for client in clients:
            client.start()
        assert going.wait(60)
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        with httpx.Client(base_url=running.url, timeout=60) as http:
            unready.append(http.get("/health/ready").status_code)
            unready.append(http.get("/health/live").status_code)
        assert running.process.wait(12) == 0
        for client in clients:
            client.join(60)
        assert unready == [503, 200]
        assert lost == []
        assert set(codes) == {200}
        assert running.process.stdout.read() + running.process.stderr.read() == ""


def test_ctrl_c_ends_it_at_once():
    with started(["-m", "lightpose", "serve", "--port", "0", "--detector", "whole"]) as running:
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(10) == 0
        assert running.process.stdout.read() + running.process.stderr.read() == ""


WATCHED = f"""
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # no file can get a byte
def watch(event, given):
    writes = event == "open" and isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR)
    if getattr(sys, "serving", False) and (writes or event == "socket.connect"):
        os._exit(77)
sys.addaudithook(watch)
{STARTED.replace("print(", "setattr(sys, 'serving', True) or print(")}
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of file sizes are POSIX's")
def test_no_file_is_written_and_no_connection_is_made(photo):
    with started(["-c", WATCHED, json.dumps({})]) as running, httpx.Client(base_url=running.url, timeout=60) as http:
        large = encode_image(np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), np.uint8), ".png")
        assert len(large) > 2_000_000
        assert http.post("/v1/poses", content=large).status_code == 200
        assert http.post("/v1/poses", files={"i": large}).status_code == 200
        assert http.post("/v1/poses/batch", files=[("i", large), ("i", photo)]).status_code == 200
        assert http.post("/v1/poses?draw=png", content=photo).status_code == 200
        assert http.post("/v1/videos", content=b"text").status_code == 422
        assert http.get("/").status_code == 200
        assert running.process.poll() is None


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--host", "0.0.0.0"], "give a --token"),
        (["--host", "192.168.1.1"], "give a --token"),
        (["--host", "no.such.host.invalid", "--open"], "no address of this computer"),
        (["--max-upload", "much"], "--max-upload must be an amount such as 20MB"),
        (["--max-pixels", "0"], "--max-pixels must be an amount"),
        (["--queue", "0"], "queue must be from 1"),
        (["--max-wait", "nan"], "max_wait_ms must be from 0"),
        (["--timeout", "-1"], "timeout_s must be"),
        (["--port", "70000"], "port must be from 0 to 65535"),
        (["--token", "short"], "a token has 8 to 256"),
        (["--detector", "boxes.json"], "take a detector"),
        (["--model", "nothing.onnx"], "nothing.onnx"),
        (["--model", "nothing.onnx", "--workers", "2"], "nothing.onnx"),
        (["--workers", "0"], "workers must be from 1 to 256"),
    ],
)
def test_what_cannot_be_served_is_refused_in_one_sentence(options, sentence):
    ran = subprocess.run(
        [sys.executable, "-m", "lightpose", "serve", "--port", "0", *options],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (2, "")
    assert sentence in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_a_port_that_is_in_use_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ran = subprocess.run(
            [sys.executable, "-m", "lightpose", "serve", "--port", str(port), "--detector", "whole"],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert ran.returncode == 2
    assert f"port {port} is in use; choose another with --port" in ran.stderr
