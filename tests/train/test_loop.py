"""The training loop on a few drawn persons: that it learns, and that no accident changes what it ends with."""

import dataclasses
import itertools
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from lightpose.errors import ConfigError, DataError, LightposeError, TrainingError, WeightsError  # noqa: E402
from lightpose.train.config import ModelConfig, OptimConfig, SourceConfig, TrainConfig  # noqa: E402
from lightpose.train.distributed import World, choose_device, join  # noqa: E402
from lightpose.train.loop import Trainer, rank  # noqa: E402
from lightpose.train.loss import LossConfig  # noqa: E402
from lightpose.train.pose import PoseTask  # noqa: E402
from lightpose.weights.network import load_network  # noqa: E402
from tests.train.runs import (  # noqa: E402
    INPUT_HW,
    PLAIN,
    ROOT,
    Diary,
    ap_of,
    assert_same,
    checkpoint,
    config_for,
    log,
    train,
    trainer,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module")
def uninterrupted(people, tmp_path_factory):
    """A run from start to end: its folder and diary."""
    out, diary = tmp_path_factory.mktemp("uninterrupted"), Diary()
    train(config_for(people, out), diary)
    return out, diary


def test_a_few_persons_are_learned_by_heart(learned, people):
    config, diary = learned
    losses = [loss for _, loss, _, _ in diary.evaluations]
    assert losses[-1] < losses[0] / 2
    assert all(later < earlier * 1.05 for earlier, later in itertools.pairwise(losses))
    assert ap_of(Path(config.out) / "best.safetensors", people) > 0.5


def test_the_diary_tells_every_step_and_evaluation(learned):
    config, diary = learned
    assert [entry[:3] for entry in diary.steps] == [(e, s, 8) for e in range(8) for s in range(1, 9)]
    assert [entry[0] for entry in diary.evaluations] == list(range(8))
    assert diary.prepared[-1] == ("people.json", 4, 4)
    assert not diary.resumptions
    for epoch, loss, _, _ in diary.evaluations:
        of_epoch = [entry[3] for entry in diary.steps if entry[0] == epoch]
        assert loss == pytest.approx(np.mean(of_epoch))
    rates = [rate for *_, rate in diary.steps]
    moments = (np.arange(64) / 8) / 8
    np.testing.assert_allclose(rates, 3e-3 * (1 + np.cos(np.pi * moments)) / 2, atol=1e-12)
    assert config.optim.lr == 3e-3


def test_the_log_holds_what_the_diary_was_told(learned):
    config, diary = learned
    written = log(config.out)
    assert (written["model"], [entry["stage"] for entry in written["epochs"]]) == ("lpn50", [0] * 8)
    assert [(entry["epoch"], entry["loss"], entry["ap"]) for entry in written["epochs"]] == [
        told[:3] for told in diary.evaluations
    ]
    for entry in written["epochs"]:
        assert 0 <= entry["ap"] <= entry["ap50"] <= 1
        assert 0 <= entry["pck"] <= 1
    best = max(written["epochs"], key=rank)
    assert written["stages"] == [{"stage": 0, "ap": best["ap"], "epoch": best["epoch"]}]
    ((result,),) = diary.stages
    assert (result.stage, result.ap, result.epoch) == (0, best["ap"], best["epoch"])


def test_previews_are_made_as_often_as_asked_and_at_the_end(learned):
    """Six persons' pairs of crops a row; four persons' make a shorter one."""
    _, diary = learned
    assert [epoch for epoch, _ in diary.previews] == [2, 5, 7]
    for _, picture in diary.previews:
        assert (picture.shape, picture.dtype) == ((64, 4 * 2 * 48, 3), np.uint8)
        assert picture.std() > 5


def test_the_best_weights_are_those_of_the_epoch_that_ranks_highest(learned, people):
    config, diary = learned
    progress = checkpoint(config.out)["progress"]
    ranks = [rank(measured) for measured in progress["epochs"]]
    assert [best for *_, best in diary.evaluations] == [
        each == max(ranks[: number + 1]) for number, each in enumerate(ranks)
    ]
    epoch = ranks.index(max(ranks))
    best = progress["epochs"][epoch]["ap"]
    assert best == max(ap for _, _, ap, _ in diary.evaluations)
    kept = {"best_ap": best, "best_epoch": epoch, "stage_ap": best, "stage_epoch": epoch}
    assert {name: progress[name] for name in kept} == kept
    assert (progress["epoch"], progress["step"], progress["loss"]) == (8, 0, 0.0)
    assert ap_of(Path(config.out) / "best.safetensors", people) == pytest.approx(best, abs=1e-9)


def test_a_validation_that_fails_loses_no_epoch(few_people, tmp_path, monkeypatch):
    """As on a full disk: the epoch is kept, and the run that goes on validates it without another step."""
    config = config_for(few_people, tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr(PoseTask, "evaluate", lambda *_: (_ for _ in ()).throw(OSError("No space left on device")))
        with pytest.raises(OSError, match="No space"):
            train(config, Diary())
    assert not (tmp_path / "best.safetensors").exists()
    diary = Diary()
    train(config, diary)
    assert diary.steps[0][0] == 1
    assert [number for number, *_ in diary.evaluations] == [0, 1]


def test_weights_that_got_worse_do_not_replace_the_best(learned, people, tmp_path):
    """A run that starts from good weights with a rate of 0, and then takes a step that ruins them."""
    start = Path(learned[0].out) / "best.safetensors"
    config = TrainConfig(
        data=dataclasses.replace(people, train=(people.val,)),
        out=str(tmp_path / "run"),
        model=ModelConfig(input_hw=INPUT_HW, sigma=1.0, exact_target=True, init=str(start)),
        optim=OptimConfig(lr=0.1, batch=4, epochs=2, warmup_epochs=1),
        augment=PLAIN,
        device="cpu",
    )
    diary = Diary()
    progress = train(config, diary)
    (_, _, first, first_best), (_, _, second, second_best) = diary.evaluations
    assert first > 0.5 > second
    assert (first_best, second_best) == (True, False)
    assert (progress.best_ap, progress.best_epoch) == (first, 0)
    assert ap_of(tmp_path / "run" / "best.safetensors", people) == pytest.approx(first, abs=1e-9)


def test_a_finished_run_leaves_weights_checkpoint_and_log(uninterrupted):
    out, diary = uninterrupted
    assert sorted(path.name for path in out.iterdir()) == [".lock", "best.safetensors", "last.pt", "log.json"]
    assert len(diary.steps) == 16


def test_a_finished_run_started_again_says_so_and_does_nothing(uninterrupted, people, caplog):
    out, _ = uninterrupted
    before = {path: path.read_bytes() for path in out.iterdir()}
    diary = Diary()
    progress = train(config_for(people, out), diary)
    assert (diary.steps, diary.evaluations, diary.stages) == ([], [], [])
    assert progress.epoch == 2
    assert "all of its 2 epochs are done" in caplog.text
    assert {path: path.read_bytes() for path in out.iterdir()} == before


def test_the_same_configuration_gives_the_same_weights(uninterrupted, people, tmp_path):
    out, diary = uninterrupted
    again = Diary()
    train(config_for(people, tmp_path), again)
    assert again.steps == diary.steps
    assert (tmp_path / "best.safetensors").read_bytes() == (out / "best.safetensors").read_bytes()


def test_the_running_average_is_what_is_kept(people, tmp_path):
    """Averaged by hand over the steps of one epoch: new average = old + (1 - decay) · (weights - old), where the decay
    after n updates is the asked one, or (1 + n) / (10 + n) if that is smaller; the first is the weights themselves."""
    weights = []

    class Watcher(Diary):
        def stepped(self, _epoch, step, *_):
            if step > 1:  # the checkpoint of this step is yet to be written
                weights.append(checkpoint(tmp_path)["states"]["network"])

    train(config_for(people, tmp_path, epochs=1, batch=8, ema=0.2), Watcher())
    weights.append(checkpoint(tmp_path)["states"]["network"])
    assert len(weights) == 4
    average = {name: value.double() for name, value in weights[0].items()}
    for updates, now in enumerate(weights[1:], start=1):
        decay = min(0.2, (1 + updates) / (10 + updates))
        average = {name: old + (1 - decay) * (now[name] - old) for name, old in average.items()}
    kept, _ = load_network(tmp_path / "best.safetensors")
    for name, value in kept.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value.double(), average[name], rtol=1e-4, atol=1e-6)


CHILD = """
import sys
import torch
torch.set_num_threads(1)
from tests.train.runs import DataConfig, Diary, SourceConfig, config_for, train

class Teller(Diary):
    def stepped(self, epoch, step, *_):
        print(epoch, step, flush=True)

annotations, images, store, out = sys.argv[1:]
source = SourceConfig(annotations, images)
data = DataConfig((SourceConfig(annotations, images, repeat=8),), source, store)
train(config_for(data, out), Teller())
"""


def run_until_killed(data, out, epoch, step):
    """Train in a process of its own, and kill that outright once it tells of the step."""
    arguments = [data.val.annotations, data.val.images, data.store, str(out)]
    child = subprocess.Popen([sys.executable, "-c", CHILD, *arguments], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    for line in child.stdout:
        if line.split() == [str(epoch), str(step)]:
            child.kill()
            break
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL, "the run ended before it could be killed"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_run_started_again_ends_as_if_nothing_had_happened(uninterrupted, people, tmp_path):
    run_until_killed(people, tmp_path, epoch=0, step=4)
    reached = checkpoint(tmp_path)["progress"]
    assert reached["epoch"] == 0
    assert 3 <= reached["step"] < 8, "killed in the middle of an epoch"
    diary = Diary()
    train(config_for(people, tmp_path), diary)
    out, expected = uninterrupted
    assert diary.resumptions == [(0, reached["step"])]
    assert diary.steps == expected.steps[reached["step"] :]
    assert_same(checkpoint(tmp_path), checkpoint(out))
    for name in ("best.safetensors", "log.json"):
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes()


def stopped_at(data, out, epoch, step, **optim):
    """A run that ends by an exception at that step."""

    class Stop(Diary):
        def stepped(self, at_epoch, at_step, *_):
            if (at_epoch, at_step) == (epoch, step):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config_for(data, out, **optim), Stop())


def test_what_a_killed_run_left_half_written_is_gone_after_the_next(people, tmp_path):
    small = {"epochs": 1, "batch": 16}
    stopped_at(people, tmp_path, 0, 2, **small)
    (tmp_path / ".last.pt.0123456789abcdef.partial").write_bytes((tmp_path / "last.pt").read_bytes()[:1000])
    train(config_for(people, tmp_path, **small))
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "best.safetensors", "last.pt", "log.json"]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"optim": OptimConfig(batch=4, epochs=2, milestones=(), ema=0.9, lr=5e-4)}, r"another optim\.lr;"),
        ({"seed": 4}, r"another seed;"),
        ({"augment": PLAIN}, r"another augment\.color, augment\.flip_probability, augment\.rotation_deg, augm"),
        ({"loss": LossConfig(cross_entropy=0.1)}, r"another loss\.cross_entropy;"),
        ({"amp": "bf16"}, r"another amp;"),
        ({"model": ModelConfig(input_hw=INPUT_HW, sigma=1.5)}, r"another model\.sigma;"),
    ],
)
def test_a_run_is_not_taken_up_with_other_settings(uninterrupted, people, change, name):
    out, _ = uninterrupted
    before = (out / "last.pt").read_bytes()
    other = dataclasses.replace(config_for(people, out), **change)
    with pytest.raises(ConfigError, match=rf"holds a run with {name}.* name another `out`, or delete"):
        train(other)
    assert (out / "last.pt").read_bytes() == before


def test_a_run_is_not_taken_up_with_other_data(uninterrupted, people):
    out, _ = uninterrupted
    heavier = dataclasses.replace(people.train[0], label_weights=(0.5, 1.0))
    other = config_for(dataclasses.replace(people, train=(heavier,)), out)
    with pytest.raises(ConfigError, match=r"holds a run with another data\.train; name another `out`, or delete"):
        train(other)


def test_settings_that_change_no_weight_may_differ(uninterrupted, people):
    out, _ = uninterrupted
    data = dataclasses.replace(people, verify=False, on_device=False)
    other = dataclasses.replace(config_for(data, out), evaluate_every=2, preview_every=1, checkpoint_every_s=5)
    assert train(other).epoch == 2


@pytest.mark.parametrize("damage", ["cut short", "empty", "no checkpoint", "half a checkpoint", "older"])
def test_a_damaged_or_older_checkpoint_is_refused(uninterrupted, people, tmp_path, damage):
    """The older one has the settings of its time and less progress, as lightpose 0.1 wrote it first."""
    whole = (uninterrupted[0] / "last.pt").read_bytes()
    if damage == "half a checkpoint":
        torch.save({"fingerprint": checkpoint(uninterrupted[0])["fingerprint"]}, tmp_path / "last.pt")
    elif damage == "older":
        content = checkpoint(uninterrupted[0])
        content["progress"] = {key: content["progress"][key] for key in ("epoch", "step", "best_ap", "best_epoch")}
        for key in ("plan", "distill"):
            del content["fingerprint"][key]
        torch.save(content, tmp_path / "last.pt")
    else:
        content = {"cut short": whole[: len(whole) // 2], "empty": b"", "no checkpoint": b"weights"}[damage]
        (tmp_path / "last.pt").write_bytes(content)
    text = r"last\.pt is not a whole checkpoint of this version; delete it to start anew"
    with pytest.raises(WeightsError, match=text):
        train(config_for(people, tmp_path))


def test_a_batch_larger_than_the_data_is_all_of_it(few_people, tmp_path):
    diary = Diary()
    train(config_for(few_people, tmp_path, batch=33, epochs=1), diary)
    assert [entry[:3] for entry in diary.steps] == [(0, 1, 1)]


@pytest.mark.parametrize(("world", "parts"), [(World(0, 5, 0), 1), (World(), 5), (World(0, 3, 0), 2)])
def test_more_processes_and_parts_than_persons_in_a_batch_are_refused(few_people, tmp_path, monkeypatch, world, parts):
    """Nobody would be left for one of them, and the others would wait for it for ever."""
    monkeypatch.setattr(World, "wait", lambda _: None)  # the other processes are not there
    monkeypatch.setattr("lightpose.train.learner.DistributedDataParallel", lambda network, _: network)
    config = config_for(few_people, tmp_path, batch=4, accumulate=parts)
    with pytest.raises(DataError, match=rf"4 persons .* {world.size} processes with {parts} parts; raise optim\.batch"):
        Trainer(config, Diary(), world, torch.device("cpu"))


def beyond(config, lr, mse=1.0):
    """The configuration with values that its checks refuse, to bring about what they are there to prevent."""
    object.__setattr__(config.optim, "lr", lr)
    object.__setattr__(config.loss, "mse", mse)
    return config


def test_a_run_that_diverges_says_so(few_people, tmp_path):
    """Steps this long end in infinite weights and heatmaps that are no numbers."""
    with pytest.raises(LightposeError):
        train(beyond(config_for(few_people, tmp_path, epochs=3), lr=1e30))


def test_a_loss_that_is_no_number_is_named_with_its_moment_and_keeps_the_last_good_checkpoint(few_people, tmp_path):
    """A loss this large and a step this long: the second step's heatmaps are beyond all numbers."""
    config = beyond(config_for(few_people, tmp_path, batch=2), lr=1e20, mse=1e38)
    text = r"the loss became (nan|inf) at epoch 1, step 2, learning rate 1\.0e\+20; lower optim\.lr, or set optim\.clip"
    with pytest.raises(TrainingError, match=text):
        train(config)
    assert checkpoint(tmp_path)["progress"]["step"] == 1
    assert np.isfinite(checkpoint(tmp_path)["progress"]["loss"])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"model": ModelConfig(init="nowhere.safetensors", input_hw=INPUT_HW)}, r"nowhere\.safetensors"),
        ({"amp": "fp16"}, r"amp = 'fp16' needs a GPU; use 'auto' or 'off' on a CPU"),
        ({"optim": OptimConfig(sync_bn=True)}, r"optim\.sync_bn needs GPUs; set it to false on a CPU"),
    ],
)
def test_a_run_that_cannot_start_says_why(people, tmp_path, change, text):
    with pytest.raises(LightposeError, match=text):
        trainer(dataclasses.replace(config_for(people, tmp_path), **change))


def test_a_device_nobody_knows_is_refused():
    for name in ("abacus", "cuda:1", ""):
        with pytest.raises(ConfigError, match=f"device must be auto, cpu or cuda, not {name!r}"):
            choose_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_auto_is_the_cpu_and_cuda_is_refused():
    assert choose_device("auto") == torch.device("cpu")
    with (
        pytest.raises(ConfigError, match=r"device is cuda, but PyTorch finds no such GPU; use auto or cpu"),
        join("cuda"),
    ):
        pass


def test_one_process_is_a_world_of_its_own(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    with join("cpu") as (world, device):
        assert (world, device, world.first) == (World(0, 1, 0), torch.device("cpu"), True)
        assert world.share("value") == "value"
        assert world.total(torch.tensor(2.0)) == 2
        world.wait()


def test_a_missing_data_set_is_named(people, tmp_path):
    data = dataclasses.replace(people, val=SourceConfig("nowhere.json", "nowhere"))
    with pytest.raises(DataError, match=r"cannot read nowhere\.json"):
        trainer(config_for(data, tmp_path))


@pytest.mark.parametrize("amp", ["bf16", "auto"])
def test_half_precision_runs_on_a_cpu_and_keeps_full_weights(few_people, tmp_path, amp):
    diary = Diary()
    train(config_for(few_people, tmp_path, amp=amp, epochs=1, checkpoint_every_s=1e9), diary)
    assert [entry[:3] for entry in diary.steps] == [(0, 1, 1)]
    network, _ = load_network(tmp_path / "best.safetensors")
    assert {value.dtype for value in network.parameters()} == {torch.float32}
    assert all(value.isfinite().all() for value in network.parameters())


def test_two_runs_do_not_share_a_folder(people, tmp_path):
    """The second is refused, and the first goes on as if nothing had been."""
    config = config_for(people, tmp_path, epochs=1, batch=16)

    class Rival(Diary):
        def stepped(self, *step):
            super().stepped(*step)
            if len(self.steps) == 1:
                with pytest.raises(ConfigError, match=r"another run is writing to .*name another with `out`"):
                    train(config)

    first = Rival()
    train(config, first)
    assert len(first.evaluations) == 1
    train(config, again := Diary())
    assert (again.steps, len(again.resumptions)) == ([], 1)
