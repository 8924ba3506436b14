"""The Ray engine on a cluster of two nodes on this computer, of which actors and nodes are killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lightpose.errors import ConfigError, StoreError
from lightpose.scale.bulk import run_bulk
from lightpose.scale.engines import open_engine
from lightpose.scale.local import LocalEngine
from lightpose.scale.settings import Settings

pytest.importorskip("pyarrow")

from tests.scale.small import draw_images, rows_of, tiny_settings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL"),
    pytest.mark.filterwarnings("ignore::ResourceWarning:ray"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
    pytest.mark.filterwarnings("ignore::FutureWarning:ray"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Ray's own cluster of several nodes on one computer; a node has one core."""
    pytest.importorskip("ray.data")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        node = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
        made = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
        made.node = node
        made.add_node(**node)
        yield made
        made.shutdown()


@pytest.fixture(scope="module")
def engine(cluster: Any) -> Iterator[Any]:
    from lightpose.scale.ray_engine import RayEngine

    with RayEngine(cluster.address) as opened:
        yield opened


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A shard for each image, so that a kill finds some not done yet."""
    return tiny_settings(tmp_path_factory.mktemp("networks"), shard=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_images(tmp_path_factory.mktemp("in"), 16, broken=1)


@pytest.fixture(scope="module")
def expected(folder: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    out = tmp_path_factory.mktemp("local") / "out"
    run_bulk([str(folder)], str(out), settings, LocalEngine(1, 1))
    return rows_of(out)


def processes(name: str) -> list[int]:
    """The ids of the processes below this one whose command has that in it."""
    psutil = pytest.importorskip("psutil")
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if name in " ".join(process.cmdline()):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def test_the_rows_are_those_of_the_local_engine(
    engine: Any, folder: Path, settings: Settings, expected: list[dict], tmp_path: Path
):
    report = run_bulk([str(folder)], str(tmp_path / "out"), settings, engine)
    assert rows_of(tmp_path / "out") == expected
    assert (report.images, sum(report.failures.values())) == (16, 1)


def test_actors_that_are_killed_are_replaced_and_each_image_counts_once(
    engine: Any, folder: Path, settings: Settings, expected: list[dict], tmp_path: Path
):
    killed = []

    def kill(progress: Any) -> None:
        if progress.images in (3, 8) and progress.images not in killed:
            killed.append(progress.images)
            for actor in processes("ray::MapWorker"):
                os.kill(actor, signal.SIGKILL)

    run_bulk([str(folder)], str(tmp_path / "out"), settings, engine, progress=kill)
    assert killed
    assert rows_of(tmp_path / "out") == expected


def test_a_node_that_is_killed_takes_no_image_with_it(
    cluster: Any, engine: Any, folder: Path, settings: Settings, expected: list[dict], tmp_path: Path
):
    node = next(iter(cluster.worker_nodes))

    def kill(progress: Any) -> None:
        if progress.images >= 3 and node in cluster.worker_nodes:
            cluster.remove_node(node, allow_graceful=False)

    run_bulk([str(folder)], str(tmp_path / "out"), settings, engine, progress=kill)
    assert node not in cluster.worker_nodes
    assert rows_of(tmp_path / "out") == expected
    cluster.add_node(**cluster.node)


def test_no_process_of_ray_talks_to_another_computer(engine: Any):
    psutil = pytest.importorskip("psutil")
    assert engine.processes >= 1
    others = {
        connection.raddr.ip
        for pid in processes("ray")
        for connection in psutil.Process(pid).net_connections("inet")
        if connection.raddr
    }
    mine = {address.address for each in psutil.net_if_addrs().values() for address in each}
    assert {other.removeprefix("::ffff:") for other in others} <= mine


def test_a_worker_larger_than_any_machine_is_refused(engine: Any, cluster: Any):
    from lightpose.scale.ray_engine import RayEngine

    with pytest.raises(ConfigError, match="no machine of the Ray cluster has 64 cores for a worker"):
        RayEngine(cluster.address, threads=64)
    with pytest.raises(ConfigError, match=r"has 1 cores and 1 GPUs for a worker; it has \d cores and 0 GPUs"):
        RayEngine(cluster.address, num_gpus=1)
    assert engine.threads == 1


def test_an_out_that_a_machine_does_not_share_is_told(
    engine: Any, folder: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shards = engine.run

    def moved(worker: Any, numbers: Iterator[int]) -> Any:
        worker.settings = replace(worker.settings, out=str(tmp_path / "another disk"))
        return shards(worker, numbers)

    monkeypatch.setattr(engine, "run", moved)
    with pytest.raises(StoreError, match=r"another disk is not the same place on .*; give --out a bucket, or a folder"):
        run_bulk([str(folder)], str(tmp_path / "out"), settings, engine)


def run_alone(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_without_ray_the_engine_says_what_to_install():
    code = "import sys; sys.modules['ray'] = None; from lightpose.scale.ray_engine import RayEngine; RayEngine()"
    assert "install it with: pip install 'lightpose[ray]'" in run_alone(code).stderr.splitlines()[-1]


def test_without_ray_the_command_says_what_to_install(tmp_path: Path):
    argv = ["lightpose", "bulk", str(tmp_path), "--out", str(tmp_path / "out"), "--ray", "auto"]
    done = run_alone(
        f"import sys; sys.modules['ray'] = None; sys.argv = {argv!r}; import lightpose.__main__ as m; m.main()"
    )
    assert done.returncode != 0
    assert "install it with: pip install 'lightpose[ray]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_gpus_without_ray_are_refused():
    with pytest.raises(ConfigError, match="--num-gpus is for Ray"), open_engine(num_gpus=1):
        pass


def test_an_address_without_a_cluster_says_how_to_start_one():
    pytest.importorskip("ray.data")
    code = "from lightpose.scale.ray_engine import RayEngine; RayEngine('127.0.0.1:1')"
    last = run_alone(code).stderr.splitlines()[-1]
    assert "there is no Ray cluster at 127.0.0.1:1" in last
    assert "ray start --head" in last
