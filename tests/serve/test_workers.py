"""Several worker processes on one port: real ones, killed and ended by real signals."""

import json
import os
import re
import signal
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from lightpose.runtime.threads import choose_threads
from lightpose.serve.metrics import forget
from lightpose.serve.supervisor import share_of_threads
from tests.serve.conftest import Running, started

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it finds processes in Linux's /proc"),
]

COMMAND = ["-m", "lightpose", "serve", "--port", "0", "--workers", "2", "--threads", "2", "--detector", "whole"]
IMPATIENT = """
from lightpose.__main__ import main
from lightpose.serve import supervisor
supervisor._SILENT_S = 3.0
main()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where temporary files of a server are."""
    path = tmp_path / "temporary"
    path.mkdir()
    return path


@pytest.fixture
def running(folder: Path):
    with started(COMMAND, {"TMPDIR": str(folder)}, alone=True) as server:
        yield server


def workers(running: Running) -> set[int]:
    """The ids of the processes that serve."""
    number = running.process.pid
    children = Path(f"/proc/{number}/task/{number}/children").read_text(encoding="utf-8").split()
    return {int(child) for child in children if b"spawn_main" in command_of(child)}


def command_of(process: str) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:  # it ended meanwhile
        return b""


def figures(running: Running) -> dict[str, float]:
    """Prometheus' figures by name and labels, asked for on a new connection."""
    text = httpx.get(f"{running.url}/metrics", timeout=60).text
    return {name: float(value) for name, value in re.findall(r"^(lightpose\S+) (\S+)$", text, re.MULTILINE)}


class Load:
    """Clients that ask without a pause. lost: what went wrong, but that no connection is taken.

    anew: over a new connection each time, so that all workers get some.
    """

    def __init__(self, running: Running, photo: bytes, clients: int = 4, anew: bool = False) -> None:
        self.codes: list[int] = []
        self.lost: list[str] = []
        self._running, self._photo, self._over = running, photo, threading.Event()
        self._headers = {"Connection": "close"} if anew else {}
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def wait_for(self, more: int) -> None:
        """Wait until so many more are answered."""
        wanted = len(self.codes) + more
        while len(self.codes) < wanted:
            assert self._running.process.poll() is None
            time.sleep(0.02)

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def _ask(self) -> None:
        with httpx.Client(base_url=self._running.url, timeout=60) as http:
            while not self._over.is_set():
                try:
                    self.codes.append(http.post("/v1/poses", content=self._photo, headers=self._headers).status_code)
                except httpx.ConnectError:
                    return
                except httpx.HTTPError as error:
                    self.lost.append(repr(error))


def test_a_worker_killed_under_load_comes_back_while_the_others_answer_and_no_count_is_lost(running, photo, folder):
    load = Load(running, photo, anew=True)
    load.wait_for(8)
    images = [f'lightpose_worker_images_total{{worker="{number}"}}' for number in (1, 2)]
    while not all(figures(running).get(name) for name in images):
        load.wait_for(1)
    before = workers(running)
    os.kill(min(before), signal.SIGKILL)
    load.wait_for(8)
    while len(workers(running) - {min(before)}) < 2:
        time.sleep(0.05)
    starts = "lightpose_worker_starts_total"
    while sum(value for name, value in figures(running).items() if name.startswith(starts)) < 3:
        time.sleep(0.1)
    load.wait_for(8)
    load.end()
    assert set(load.codes) == {200}
    assert len(load.lost) <= 4  # one for each client, whose request the killed process had
    found = figures(running)
    assert sorted(found[f'{starts}{{worker="{number}"}}'] for number in (1, 2)) == [1, 2]
    assert len(load.codes) <= found["lightpose_images_total"] <= len(load.codes) + len(load.lost)
    for name in ("images", "requests"):
        each = [found[f'lightpose_worker_{name}_total{{worker="{number}"}}'] for number in (1, 2)]
        of_all = sum(value for key, value in found.items() if key.startswith(f"lightpose_{name}_total"))
        assert min(each) > 0
        assert sum(each) == of_all
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(12) == 0
    told = running.process.stderr.read()
    assert re.fullmatch(
        rf"lightpose: worker [12], process {min(before)}, is started again: it ended by SIGKILL\n", told
    )
    assert list(folder.iterdir()) == []


def test_sigterm_under_load_loses_no_request_that_was_taken(running, photo):
    load = Load(running, photo)
    load.wait_for(8)
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(10) == 0
    load.end()
    assert load.lost == []
    assert set(load.codes) == {200}
    assert running.process.stderr.read() == ""


def test_ctrl_c_goes_to_all_processes_of_a_terminal_and_loses_nothing_either(running, photo, folder):
    load = Load(running, photo)
    load.wait_for(8)
    os.killpg(running.process.pid, signal.SIGINT)
    assert running.process.wait(10) == 0
    load.end()
    assert set(load.codes) == {200}
    assert not [each for each in load.lost if "Timeout" in each]
    assert running.process.stderr.read() == ""
    assert list(folder.iterdir()) == []


def test_a_worker_that_dies_again_and_again_ends_the_server_with_a_sentence(running, photo):
    kept = max(workers(running))
    answers = []
    while running.process.poll() is None:
        for process in workers(running) - {kept}:
            os.kill(process, signal.SIGKILL)
        try:
            answers.append(httpx.post(f"{running.url}/v1/poses", content=photo, timeout=60).status_code)
        except httpx.HTTPError:
            continue  # it has ended, or the process that was just killed had the request
    assert running.process.returncode == 2
    told = running.process.stderr.read().splitlines()
    why = "(it ended by SIGKILL|it cannot be started: Broken pipe)"
    again = re.compile(f"worker [12].* is started again: {why}")
    assert [bool(again.search(line)) for line in told][-5:] == [True] * 4 + [False]
    assert re.search(f"worker [12] has ended 6 times soon after its start: {why}; .*fewer --workers", told[-1])
    assert answers.count(200) >= 3


def test_workers_whose_supervisor_is_killed_end_by_themselves(running, photo):
    assert httpx.post(f"{running.url}/v1/poses", content=photo, timeout=60).status_code == 200
    running.process.kill()
    running.process.wait()
    with pytest.raises(httpx.TransportError):  # noqa: PT012 - until nobody has the port
        while True:
            httpx.get(f"{running.url}/health/live", timeout=60)
            time.sleep(0.1)


def test_a_worker_that_stands_still_is_ended_and_another_is_started(photo):
    with started(["-c", IMPATIENT, *COMMAND[2:]], alone=True) as running:
        before = workers(running)
        os.kill(min(before), signal.SIGSTOP)
        while min(before) in workers(running) or len(workers(running)) < 2:
            assert running.process.poll() is None
            time.sleep(0.05)
        while httpx.get(f"{running.url}/health/ready", timeout=60).status_code != 200:
            time.sleep(0.05)
        assert httpx.post(f"{running.url}/v1/poses", content=photo, timeout=60).status_code == 200
        assert max(before) in workers(running), "the other one goes on"
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(12) == 0
        told = running.process.stderr.read()
    line = f"lightpose: worker [12], process {min(before)}, is started again: it stood still for 3 s, and was ended\n"
    assert re.fullmatch(line, told)


def answered(stream: ClientConnection, photo: bytes) -> int:
    """The number of a frame that is answered, which its stream counts."""
    stream.send(photo)
    return json.loads(stream.recv(60))["frame"]


def test_a_stream_stays_with_its_worker_and_one_of_another_goes_on_when_that_dies(running, photo):
    names = [f'lightpose_worker_streams{{worker="{number}"}}' for number in (1, 2)]
    streams: list[ClientConnection] = []
    with ExitStack() as opened:
        while not all(figures(running).get(name) for name in names):
            assert len(streams) < 40
            address = f"ws{running.url.removeprefix('http')}/v1/stream"
            streams.append(opened.enter_context(connect(address, open_timeout=60)))
            time.sleep(0.2)  # a worker notes its streams ten times a second
        for number in range(2):
            assert {answered(stream, photo) for stream in streams} == {number}
        os.kill(min(workers(running)), signal.SIGKILL)
        alive = []
        for stream in streams:
            with suppress(ConnectionClosed):
                alive.append(answered(stream, photo))
    assert 0 < len(alive) < len(streams)
    assert set(alive) == {2}


def test_threads_are_divided_and_each_worker_has_one():
    cores = choose_threads(0)
    assert share_of_threads(0, 1) == cores
    assert share_of_threads(0, 2 * cores) == 1
    assert [share_of_threads(8, workers) for workers in (1, 2, 3, 16)] == [8, 4, 2, 1]


def test_a_file_of_figures_that_a_process_did_not_come_to_fill_is_taken_away(tmp_path):
    for name in ("counter_7.db", "counter_77.db"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "histogram_7.db").write_bytes(b"x")
    (tmp_path / "gauge_livesum_7.db").write_bytes(b"x")
    forget(7, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"counter_77.db", "histogram_7.db"}
