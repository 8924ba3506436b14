"""Two processes of torchrun on one CPU against one process alone, and a run that loses one of them."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from lightpose.train import read_config  # noqa: E402
from tests.train.runs import Diary, checkpoint, log, train  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="this PyTorch has no gloo"),
]

CONFIG = """
out = "{out}"
seed = 3
device = "cpu"
checkpoint_every_s = 0
preview_every = 0
[model]
input_hw = [64, 48]
sigma = 1.0
init = "kaiming"
[optim]
batch = 4
accumulate = {parts}
epochs = 2
milestones = []
ema = 0.9
[augment]
color = 0.1
[data]
store = "{store}"
[[data.train]]
annotations = "{annotations}"
images = "{images}"
repeat = 2
[data.val]
annotations = "{annotations}"
images = "{images}"
"""


def write_config(path, people, parts):
    source = people.val
    text = CONFIG.format(
        out=path.with_suffix(""), parts=parts, store=people.store, annotations=source.annotations, images=source.images
    )
    path.write_text(text)
    return path


def torchrun(config):
    """Two processes that train as a file says."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    command = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(port)]
    return subprocess.Popen(
        [sys.executable, *command, "-m", "lightpose", "train", str(config)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ranks(launcher):
    """Process ids of a launcher's children by their rank."""
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    settings = {pid: Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") for pid in children}
    return {rank: int(pid) for pid, values in settings.items() for rank in (0, 1) if f"RANK={rank}".encode() in values}


def train_and_lose_one(config, out):
    """Train in two processes, and kill the second outright once there is a checkpoint: the launcher ends the other."""
    launcher = torchrun(config)
    deadline = time.monotonic() + 300
    try:
        while not (out / "last.pt").exists():
            assert launcher.poll() is None, launcher.stdout.read()
            assert time.monotonic() < deadline, "no checkpoint"
            time.sleep(0.01)
        os.kill(ranks(launcher)[1], signal.SIGKILL)
        output, _ = launcher.communicate(timeout=300)
    finally:
        launcher.terminate()  # which passes it on to the processes
    assert launcher.returncode == 1, output


@pytest.fixture(scope="module")
def alone(few_people, tmp_path_factory):
    """One process that takes each batch in two parts: its folder and diary."""
    config, diary = write_config(tmp_path_factory.mktemp("alone") / "run.toml", few_people, parts=2), Diary()
    train(read_config(config), diary)
    return config.with_suffix(""), diary


@pytest.fixture(scope="module")
def together(few_people, alone, tmp_path_factory):  # noqa: ARG001 (the crops are there already)
    """Two processes, one of which is lost on the way, and started again: their folder, how far the first start came,
    and what the second wrote on the terminal."""
    config = write_config(tmp_path_factory.mktemp("together") / "run.toml", few_people, parts=1)
    out = config.with_suffix("")
    train_and_lose_one(config, out)
    reached = checkpoint(out)["progress"]
    launcher = torchrun(config)
    output, _ = launcher.communicate(timeout=600)
    assert launcher.returncode == 0, output
    return out, reached, output


needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="this system has no /proc")


@needs_proc
def test_a_run_that_lost_a_process_is_taken_up_at_its_last_checkpoint(together):
    _, reached, output = together
    assert (0, 1) <= (reached["epoch"], reached["step"]) < (2, 0), "it ended before it could be killed"
    assert output.count("going on at epoch") == 1
    assert f"going on at epoch {reached['epoch'] + 1}, step {reached['step'] + 1}\n" in output


@needs_proc
def test_two_processes_have_the_losses_of_one_with_two_parts(together, alone):
    """Though one of the two was lost on the way."""
    found, expected = (log(folder)["epochs"] for folder in (together[0], alone[0]))
    assert [entry["epoch"] for entry in found] == [0, 1]
    for one, other in zip(found, expected, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-5)


@needs_proc
def test_two_processes_end_with_the_weights_of_one_with_two_parts(together, alone):
    """All that is learned; batch norm's statistics are those of the first process's parts."""
    found, expected = (checkpoint(folder)["states"] for folder in (together[0], alone[0]))
    for name, value in expected["network"].items():
        if not name.endswith(("running_mean", "running_var", "num_batches_tracked")):
            torch.testing.assert_close(found["network"][name], value, rtol=1e-3, atol=1e-5, msg=name)
    steps = [{int(state["step"]) for state in each["optimizer"]["state"].values()} for each in (found, expected)]
    assert steps == [{4}, {4}]
    assert int(found["ema"]["n_averaged"]) == 4


@needs_proc
def test_only_the_first_of_the_processes_writes_and_speaks(together):
    out, _, output = together
    assert sorted(path.name for path in out.iterdir()) == [
        ".lock",
        "best.safetensors",
        "last.pt",
        "log.json",
        "tensorboard",
    ]
    assert len(list((out / "tensorboard").iterdir())) == 2, "a file for each start"
    assert output.count("best AP") == 2, "in the table and at the end"
    assert "Warning" not in output
