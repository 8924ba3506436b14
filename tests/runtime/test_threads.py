"""Counting usable cores, on systems made of files."""

import os
import pickle
import threading

import numpy as np
import pytest

from lightpose.errors import ConfigError
from lightpose.runtime.onnx import OnnxRuntime, open_session
from lightpose.runtime.threads import Lanes, choose_threads, usable_cores
from lightpose.weights import DEFAULT, find_weights


def machine(root, siblings, files=None):
    """A root folder with CPUs 0, 1, …, each with its list of sibling threads, and other files."""
    for cpu, shared in enumerate(siblings):
        files = {f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list": f"{shared}\n", **(files or {})}
    for name, content in (files or {}).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


TWICE = ["0,4", "1,5", "2,6", "3,7"] * 2
"""Four cores of two threads each."""


@pytest.mark.parametrize(
    ("cpus", "cores"),
    [(range(8), 4), ([0, 4], 1), ([0, 1], 2), ([3, 4, 5, 7], 3)],
    ids=["all", "both threads of one core", "two cores", "three cores"],
)
def test_threads_of_one_core_count_once(tmp_path, cpus, cores):
    assert usable_cores(cpus, machine(tmp_path, TWICE)) == cores


def test_without_topology_every_cpu_is_a_core(tmp_path):
    assert usable_cores(range(6), tmp_path) == 6


@pytest.mark.parametrize(
    ("limit", "cores"),
    [("max 100000", 4), ("200000 100000", 2), ("350000 100000", 3), ("50000 100000", 1), ("900000 100000", 4)],
)
def test_the_quota_of_a_container_holds_in_version_2(tmp_path, limit, cores):
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": limit}
    assert usable_cores(range(8), machine(tmp_path, TWICE, files)) == cores


def test_the_narrowest_group_on_the_way_up_counts(tmp_path):
    files = {
        "proc/self/cgroup": "0::/site.slice/job\n",
        "sys/fs/cgroup/site.slice/cpu.max": "200000 100000",
        "sys/fs/cgroup/site.slice/job/cpu.max": "max 100000",
    }
    assert usable_cores(range(8), machine(tmp_path, TWICE, files)) == 2


@pytest.mark.parametrize("mount", ["cpu,cpuacct", "cpu"])
@pytest.mark.parametrize("inside", ["", "docker/4f/"], ids=["top", "own folder"])
def test_the_quota_of_a_container_holds_in_version_1(tmp_path, mount, inside):
    folder = f"sys/fs/cgroup/{mount}/{inside}"
    files = {
        "proc/self/cgroup": "5:memory:/docker/4f\n4:cpu,cpuacct:/docker/4f\n",
        f"{folder}cpu.cfs_quota_us": "300000\n",
        f"{folder}cpu.cfs_period_us": "100000\n",
    }
    assert usable_cores(range(8), machine(tmp_path, TWICE, files)) == 3


def test_no_quota_in_version_1_is_none(tmp_path):
    files = {
        "proc/self/cgroup": "1:cpu:/\n",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
    }
    assert usable_cores(range(8), machine(tmp_path, TWICE, files)) == 4


@pytest.mark.parametrize("content", ["", "nonsense", "0::", "0:/:\n:::\n", "200000", "0 0", "a b"])
def test_strange_files_limit_nothing(tmp_path, content):
    files = {"proc/self/cgroup": content if ":" in content else "0::/", "sys/fs/cgroup/cpu.max": content}
    assert usable_cores(range(8), machine(tmp_path, TWICE, files)) == 4


def test_a_number_that_is_given_is_taken_as_it_is():
    assert choose_threads(3) == 3


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not tell")
def test_here_there_is_a_core_at_least_and_no_more_than_the_process_may_use():
    assert 1 <= choose_threads() <= len(os.sched_getaffinity(0))


def test_fewer_than_no_threads_are_refused():
    with pytest.raises(ConfigError, match="threads must not be below 0, not -1"):
        choose_threads(-1)


def test_idle_threads_of_one_session_leave_the_cores_to_the_next():
    options = open_session(find_weights(DEFAULT), threads=2).get_session_options()
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"


def test_lanes_give_what_work_gives_in_order_and_travel():
    """A copy and a fork have threads of their own."""
    lanes = Lanes(3)
    assert lanes.map(lambda each: each * each, range(7)) == [0, 1, 4, 9, 16, 25, 36]
    assert lanes.map(str, []) == []
    copy = pickle.loads(pickle.dumps(lanes))
    assert (copy.count, copy.map(str, [1, 2])) == (3, ["1", "2"])
    with pytest.raises(ZeroDivisionError):
        lanes.map(lambda each: 1 / each, [1, 2, 0])


def test_a_thread_that_is_held_up_leaves_the_rest_to_the_others():
    """The caller works too; the first item lasts until all others are done."""
    rest = threading.Barrier(2, timeout=20)
    names: dict[int, str] = {}

    def work(item: int) -> int:
        names[item] = threading.current_thread().name
        if item in (0, 9):
            rest.wait()
        return item

    assert Lanes(2).map(work, range(10)) == list(range(10))
    assert len(set(names.values())) == 2
    assert len({names[item] for item in range(1, 10)}) == 1
    assert threading.current_thread().name in names.values()


def test_lanes_run_side_by_side():
    """Each waits until all have come."""
    everyone = threading.Barrier(3, timeout=20)
    assert sorted(Lanes(3).map(lambda _: everyone.wait(), range(3))) == [0, 1, 2]


@pytest.mark.parametrize("name", ["lpn50", "lpn50_int8"])
def test_any_number_of_threads_gives_the_same_answers(name):
    crops = np.random.default_rng(0).integers(0, 256, (5, 256, 192, 3), dtype=np.uint8)
    expected = OnnxRuntime(find_weights(name), 1).heatmaps(crops)
    for threads in (2, 3, 7):  # less than the crops, as many or less, and more
        np.testing.assert_array_equal(OnnxRuntime(find_weights(name), threads).heatmaps(crops), expected)
    runtime = OnnxRuntime(find_weights(name), 2)
    np.testing.assert_array_equal(runtime.heatmaps(crops[:1]), expected[:1])
    assert runtime.heatmaps(crops[:0]).shape == (0, *expected.shape[1:])
