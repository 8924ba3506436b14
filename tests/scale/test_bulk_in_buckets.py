"""Whole runs from a bucket into a bucket, behind a proxy that fails, hangs and lies; drivers are killed.

A longer proof: BUCKET_IMAGES=2000 BUCKET_KILLS=20 python -m pytest tests/scale/test_bulk_in_buckets.py
"""

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lightpose.scale.bulk import run_bulk
from lightpose.scale.check import verify
from lightpose.scale.local import LocalEngine
from tests.scale.flaky import Rates
from tests.scale.s3 import Bucket

pytest.importorskip("pyarrow")

from tests.scale.small import draw_images, rows_of, tiny_settings

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups to kill")]

COUNT, KILLS = int(os.environ.get("BUCKET_IMAGES", 60)), int(os.environ.get("BUCKET_KILLS", 4))
SHARD, BROKEN = max(4, COUNT // 100), max(3, COUNT // 100)
FAULTS = Rates(fail=0.05, hang=0.02, lie=0.01)

DRIVER = """
import sys
from pathlib import Path
from lightpose.scale.bulk import run_bulk
from lightpose.scale.local import LocalEngine
from tests.scale.small import tiny_settings
if __name__ == "__main__":
    settings = tiny_settings(Path(sys.argv[3]), shard=int(sys.argv[4]))
    run_bulk([sys.argv[1]], sys.argv[2], settings, LocalEngine(2, 1))
"""


@pytest.fixture
def photos(bucket: Bucket, tmp_path: Path) -> Path:
    """The folder whose images are in the bucket too, below in/."""
    folder = draw_images(tmp_path / "in", COUNT, broken=BROKEN)
    for path in folder.iterdir():
        bucket.put(f"in/{path.name}", path.read_bytes())
    return folder


@pytest.fixture
def expected(photos: Path, tmp_path: Path) -> list[dict]:
    """The rows of an unbroken run in folders."""
    run_bulk([str(photos)], str(tmp_path / "local"), tiny_settings(tmp_path / "nets", shard=SHARD), LocalEngine(1, 1))
    return rows_of(tmp_path / "local")


def fetched_rows(bucket: Bucket, tmp_path: Path) -> list[dict]:
    """The rows in the bucket, with names as a folder gives them."""
    bucket.proxy.reset()
    out = tmp_path / "fetched"
    out.mkdir()
    for name in (f"part-{shard:06}.parquet" for shard in range(-(-COUNT // SHARD))):
        (out / name).write_bytes(bucket.get(f"out/{name}"))
    rows = rows_of(out)
    for row in rows:
        for name in ("source", "error"):
            row[name] = row[name] and row[name].replace(f"{bucket.where}/in/", "")
    return rows


def driver(bucket: Bucket, tmp_path: Path) -> subprocess.Popen:
    """A run in a group of processes of its own."""
    given = [f"{bucket.where}/in", f"{bucket.where}/out", str(tmp_path / "nets"), str(SHARD)]
    (tmp_path / "driver.py").write_text(DRIVER)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])}  # noqa: PTH109
    return subprocess.Popen(
        [sys.executable, str(tmp_path / "driver.py"), *given],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def test_the_rows_are_those_of_folders_whatever_the_store_does(bucket: Bucket, expected: list[dict], tmp_path: Path):
    bucket.proxy.reset(seed=6, rates=FAULTS)
    settings = tiny_settings(tmp_path / "nets", shard=SHARD)
    report = run_bulk([f"{bucket.where}/in"], f"{bucket.where}/out", settings, LocalEngine(2, 1))
    assert bucket.proxy.counts["fail"] + bucket.proxy.counts["hang"] > 0
    bucket.proxy.reset()
    assert (report.images, report.failed, report.total) == (COUNT, BROKEN, COUNT)
    assert verify(f"{bucket.where}/out").count == 0
    assert fetched_rows(bucket, tmp_path) == expected


def test_after_kills_of_the_whole_group_each_image_counts_once(bucket: Bucket, expected: list[dict], tmp_path: Path):
    rng = random.Random(0)
    bucket.proxy.reset(seed=7, rates=FAULTS)
    for _ in range(KILLS):
        process = driver(bucket, tmp_path)
        puts = bucket.proxy.counts["PUT"] + rng.randint(1, 5)
        while process.poll() is None and bucket.proxy.counts["PUT"] < puts:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    last = driver(bucket, tmp_path)
    _, told = last.communicate()
    assert last.returncode == 0, told
    assert fetched_rows(bucket, tmp_path) == expected


def test_two_drivers_at_once_write_each_part_once(bucket: Bucket, expected: list[dict], tmp_path: Path):
    bucket.proxy.reset(seed=8, rates=FAULTS)
    running = [driver(bucket, tmp_path) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(lambda process: process.communicate()[1], running))
    assert [process.returncode for process in running] == [0, 0], told
    assert fetched_rows(bucket, tmp_path) == expected
