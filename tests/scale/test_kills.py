"""Runs killed at random, twenty times, and two drivers at once: every input once, and the parts of an unbroken run."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lightpose.scale.check import verify
from lightpose.scale.settings import Network
from tests.scale.small import draw_images, parts_of, tiny_network

pytest.importorskip("onnx")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="looks for workers in /proc")]


def command(folder: Path, out: Path, network: Network) -> list[str]:
    """A run over a folder, in shards of ten."""
    words = [sys.executable, "-m", "lightpose", "bulk", folder, "--out", out, "--model", network.model]
    return list(map(str, [*words, "--detector", network.detector, "--workers", "2", "--threads", "1", "--shard", "10"]))


def start(words: list[str]) -> subprocess.Popen[str]:
    """A run in a group of its own."""
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True)


def workers_of(driver: subprocess.Popen[str]) -> list[int]:
    """The processes that a driver has started."""
    try:
        found = [
            int(child)
            for task in Path(f"/proc/{driver.pid}/task").glob("*")
            for child in (task / "children").read_text().split()
        ]
    except OSError:
        return []
    return sorted(found)


def kill(what: str, driver: subprocess.Popen[str], chance: random.Random) -> None:
    """Kill the driver, one of its processes, or all of them."""
    workers = workers_of(driver)
    if what == "group":
        os.killpg(driver.pid, signal.SIGKILL)
    elif what == "driver" or not workers:
        driver.kill()
    else:
        os.kill(chance.choice(workers), signal.SIGKILL)


def test_twenty_kills_leave_the_parts_of_an_unbroken_run(tmp_path: Path):
    folder, network = draw_images(tmp_path / "in", 200, broken=4), tiny_network(tmp_path / "networks")
    out, chance = tmp_path / "killed", random.Random(0)
    subprocess.run(command(folder, tmp_path / "whole", network), check=False, capture_output=True)
    expected = parts_of(tmp_path / "whole")
    assert len(expected) == 20
    kills, driver = 0, start(command(folder, out, network))
    while kills < 20:
        before = len(parts_of(out))
        until = time.monotonic() + chance.uniform(0.2, 4)
        while driver.poll() is None and time.monotonic() < until and len(parts_of(out)) < before + 2:
            time.sleep(0.02)
        if driver.poll() is None:
            kill(chance.choice(("driver", "worker", "group")), driver, chance)
            kills += 1
        elif driver.returncode in (0, 1):  # it is done: something is lost, and it goes on
            (out / chance.choice(list(parts_of(out)))).unlink()
        time.sleep(0.05)
        if driver.poll() is not None:
            assert driver.returncode in (0, 1, -signal.SIGKILL), driver.communicate()[1]
            driver.communicate()
            driver = start(command(folder, out, network))
    driver.communicate()
    again = subprocess.run(command(folder, out, network), capture_output=True, text=True, check=False)
    assert (again.returncode, again.stderr) == (1, "")
    assert parts_of(out) == expected
    checked = verify(str(out))
    assert (checked.images, checked.count) == (200, 0)
    assert not list(out.glob(".*partial*"))


def test_two_drivers_at_once_both_end_well_and_write_each_part_once(tmp_path: Path):
    folder, network = draw_images(tmp_path / "in", 200), tiny_network(tmp_path / "networks")
    out = tmp_path / "out"
    drivers = [start(command(folder, out, network)) for _ in range(2)]
    said = [driver.communicate()[1] for driver in drivers]
    assert [(driver.returncode, text) for driver, text in zip(drivers, said, strict=True)] == [(0, ""), (0, "")]
    subprocess.run(command(folder, tmp_path / "whole", network), check=True, capture_output=True)
    assert parts_of(out) == parts_of(tmp_path / "whole")
    assert verify(str(out)).count == 0


def test_a_worker_that_is_killed_costs_no_image_its_row(tmp_path: Path):
    folder, network = draw_images(tmp_path / "in", 200), tiny_network(tmp_path / "networks")
    out = tmp_path / "out"
    driver = start(command(folder, out, network))
    for count in (1, 5, 9):
        while driver.poll() is None and len(parts_of(out)) < count:
            time.sleep(0.01)
        assert driver.poll() is None
        os.kill(workers_of(driver)[-1], signal.SIGKILL)
    assert driver.communicate()[1] == ""
    assert driver.returncode == 0, "no image is taken for poison"
    assert verify(str(out)).images == 200
