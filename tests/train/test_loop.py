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

from lightpose.data.augment import AugmentConfig  # noqa: E402
from lightpose.data.coco import read_coco  # noqa: E402
from lightpose.errors import ConfigError, DataError, LightposeError, WeightsError  # noqa: E402
from lightpose.evaluate.coco import evaluate_given_boxes  # noqa: E402
from lightpose.predict import PredictOptions  # noqa: E402
from lightpose.runtime.torch import TorchRuntime  # noqa: E402
from lightpose.train.config import DataConfig, ModelConfig, OptimConfig, SourceConfig, TrainConfig  # noqa: E402
from lightpose.train.loop import Trainer  # noqa: E402
from lightpose.train.loss import LossConfig  # noqa: E402
from lightpose.weights.network import load_network  # noqa: E402
from tests.helpers import draw_set  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

INPUT_HW = (64, 48)
PLAIN = AugmentConfig(scale=0, rotation_deg=0, rotation_probability=0, flip_probability=0)


class Diary:
    """A Report that keeps what it is told."""

    def __init__(self):
        self.prepared, self.resumptions, self.steps, self.evaluations = [], [], [], []

    def preparing(self, name, done, total):
        self.prepared.append((name, done, total))

    def resumed(self, epoch, step):
        self.resumptions.append((epoch, step))

    def stepped(self, epoch, step, steps, loss, lr):
        self.steps.append((epoch, step, steps, loss, lr))

    def evaluated(self, epoch, loss, evaluation, best):
        self.evaluations.append((epoch, loss, evaluation.scores.ap, best))


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Four drawn persons on three pictures, and a place for their crops."""
    folder = tmp_path_factory.mktemp("people")
    drawn = draw_set(folder / "drawn")
    source = SourceConfig(str(drawn.annotations), str(drawn.images))
    return DataConfig((dataclasses.replace(source, repeat=8),), source, str(folder / "store"))


def config_for(data, out, **optim):
    """A run of two epochs of eight steps, with all that has a state: Adam, a running average, changing views."""
    settings = {"batch": 4, "epochs": 2, "milestones": (), "ema": 0.9, **optim}
    return TrainConfig(
        data=data,
        out=str(out),
        model=ModelConfig(input_hw=INPUT_HW, sigma=1.0),
        optim=OptimConfig(**settings),
        augment=AugmentConfig(color=0.1),
        seed=3,
        device="cpu",
        checkpoint_every_s=0,
    )


@pytest.fixture(scope="module")
def learned(people, tmp_path_factory):
    """A run that learns its four persons by heart: its configuration and diary."""
    config = TrainConfig(
        data=people,
        out=str(tmp_path_factory.mktemp("learned")),
        model=ModelConfig(input_hw=INPUT_HW, sigma=1.0, exact_target=True, init="kaiming"),
        optim=OptimConfig(lr=3e-3, batch=4, epochs=8, schedule="cosine", clip_norm=5.0),
        loss=LossConfig(mse=200, cross_entropy=0.3),
        augment=PLAIN,
        device="cpu",
        checkpoint_every_s=1e9,
    )
    diary = Diary()
    Trainer(config, diary).run()
    return config, diary


@pytest.fixture(scope="module")
def uninterrupted(people, tmp_path_factory):
    """A run from start to end: its folder and diary."""
    out, diary = tmp_path_factory.mktemp("uninterrupted"), Diary()
    Trainer(config_for(people, out), diary).run()
    return out, diary


def ap_of(path, data):
    network, spec = load_network(path)
    source = read_coco(data.val.annotations, data.val.images)
    return evaluate_given_boxes(source, TorchRuntime(network, spec), PredictOptions(flip=True)).scores.ap


def assert_same(found, expected, way=""):
    """The same nested dicts, lists and values, tensors to the bit."""
    assert type(found) is type(expected), way
    if isinstance(expected, torch.Tensor):
        assert found.dtype == expected.dtype, way
        assert torch.equal(found, expected), way
    elif isinstance(expected, dict):
        assert list(found) == list(expected), way
        for key in expected:
            assert_same(found[key], expected[key], f"{way}.{key}")
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected), way
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_same(one, other, f"{way}[{number}]")
    else:
        assert found == expected, way


def checkpoint(out):
    return torch.load(Path(out) / "last.pt", weights_only=True)


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


def test_the_best_weights_are_those_of_the_epoch_with_the_highest_ap(learned, people):
    config, diary = learned
    scores = [ap for _, _, ap, _ in diary.evaluations]
    assert [best for *_, best in diary.evaluations] == [
        ap > max([-1.0, *scores[:epoch]]) for epoch, ap in enumerate(scores)
    ]
    progress = checkpoint(config.out)["progress"]
    assert progress == {"epoch": 8, "step": 0, "best_ap": max(scores), "best_epoch": int(np.argmax(scores))}
    assert ap_of(Path(config.out) / "best.safetensors", people) == pytest.approx(max(scores), abs=1e-9)


def test_weights_that_got_worse_do_not_replace_the_best(learned, people, tmp_path):
    """A run that starts from good weights with a rate of 0, and then takes a step that ruins them."""
    start = Path(learned[0].out) / "best.safetensors"
    config = TrainConfig(
        data=dataclasses.replace(people, train=(people.val,)),
        out=str(tmp_path / "run"),
        model=ModelConfig(input_hw=INPUT_HW, sigma=1.0, exact_target=True, init=str(start)),
        optim=OptimConfig(lr=0.02, batch=4, epochs=2, warmup_epochs=1),
        augment=PLAIN,
        device="cpu",
    )
    diary = Diary()
    progress = Trainer(config, diary).run()
    (_, _, first, first_best), (_, _, second, second_best) = diary.evaluations
    assert first > 0.5 > second
    assert (first_best, second_best) == (True, False)
    assert (progress.best_ap, progress.best_epoch) == (first, 0)
    assert ap_of(tmp_path / "run" / "best.safetensors", people) == pytest.approx(first, abs=1e-9)


def test_a_finished_run_leaves_two_files(uninterrupted):
    out, diary = uninterrupted
    assert sorted(path.name for path in out.iterdir()) == ["best.safetensors", "last.pt"]
    assert len(diary.steps) == 16


def test_a_finished_run_started_again_does_nothing(uninterrupted, people):
    out, _ = uninterrupted
    before = {path: path.read_bytes() for path in out.iterdir()}
    diary = Diary()
    progress = Trainer(config_for(people, out), diary).run()
    assert (diary.steps, diary.evaluations) == ([], [])
    assert progress.epoch == 2
    assert {path: path.read_bytes() for path in out.iterdir()} == before


def test_the_same_configuration_gives_the_same_weights(uninterrupted, people, tmp_path):
    out, diary = uninterrupted
    again = Diary()
    Trainer(config_for(people, tmp_path), again).run()
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

    Trainer(config_for(people, tmp_path, epochs=1, batch=8, ema=0.2), Watcher()).run()
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
from pathlib import Path
torch.set_num_threads(1)
from tests.train.test_loop import DataConfig, Diary, SourceConfig, Trainer, config_for

class Teller(Diary):
    def stepped(self, epoch, step, *_):
        print(epoch, step, flush=True)

annotations, images, store, out = sys.argv[1:]
source = SourceConfig(annotations, images)
data = DataConfig((SourceConfig(annotations, images, repeat=8),), source, store)
Trainer(config_for(data, out), Teller()).run()
"""


def run_until_killed(data, out, epoch, step):
    """Train in a process of its own, and kill that outright once it tells of the step."""
    arguments = [data.val.annotations, data.val.images, data.store, str(out)]
    root = Path(__file__).parents[2]
    child = subprocess.Popen([sys.executable, "-c", CHILD, *arguments], stdout=subprocess.PIPE, text=True, cwd=root)
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
    Trainer(config_for(people, tmp_path), diary).run()
    out, expected = uninterrupted
    assert diary.resumptions == [(0, reached["step"])]
    assert diary.steps == expected.steps[reached["step"] :]
    assert_same(checkpoint(tmp_path), checkpoint(out))
    assert (tmp_path / "best.safetensors").read_bytes() == (out / "best.safetensors").read_bytes()


def stopped_at(data, out, epoch, step, **optim):
    """A run that ends by an exception at that step."""

    class Stop(Diary):
        def stepped(self, at_epoch, at_step, *_):
            if (at_epoch, at_step) == (epoch, step):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Trainer(config_for(data, out, **optim), Stop()).run()


def test_what_a_killed_run_left_half_written_is_gone_after_the_next(people, tmp_path):
    small = {"epochs": 1, "batch": 16}
    stopped_at(people, tmp_path, 0, 2, **small)
    (tmp_path / ".last.pt.1.partial").write_bytes((tmp_path / "last.pt").read_bytes()[:1000])
    Trainer(config_for(people, tmp_path, **small), Diary()).run()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.safetensors", "last.pt"]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"optim": OptimConfig(batch=4, epochs=2, milestones=(), ema=0.9, lr=5e-4)}, "optim"),
        ({"seed": 4}, "seed"),
        ({"augment": PLAIN}, "augment"),
        ({"loss": LossConfig(cross_entropy=0.1)}, "loss"),
        ({"amp": True}, "amp"),
    ],
)
def test_a_run_is_not_taken_up_with_other_settings(uninterrupted, people, change, name):
    out, _ = uninterrupted
    before = (out / "last.pt").read_bytes()
    other = dataclasses.replace(config_for(people, out), **change)
    with pytest.raises(ConfigError, match=rf"holds a run with another .*{name}.*; name another `out`, or delete"):
        Trainer(other, Diary()).run()
    assert (out / "last.pt").read_bytes() == before


def test_settings_that_change_no_weight_may_differ(uninterrupted, people):
    out, _ = uninterrupted
    other = dataclasses.replace(config_for(people, out), evaluate_every=2, checkpoint_every_s=5)
    assert Trainer(other, Diary()).run().epoch == 2


@pytest.mark.parametrize("damage", ["cut short", "empty", "no checkpoint", "half a checkpoint"])
def test_a_damaged_checkpoint_is_refused(uninterrupted, people, tmp_path, damage):
    whole = (uninterrupted[0] / "last.pt").read_bytes()
    if damage == "half a checkpoint":
        torch.save({"fingerprint": checkpoint(uninterrupted[0])["fingerprint"]}, tmp_path / "last.pt")
    else:
        content = {"cut short": whole[: len(whole) // 2], "empty": b"", "no checkpoint": b"weights"}[damage]
        (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(WeightsError, match=r"last\.pt is not a whole checkpoint; delete it to start anew"):
        Trainer(config_for(people, tmp_path), Diary()).run()


def test_a_batch_larger_than_the_data_is_refused(people, tmp_path):
    """With 32 persons an epoch there is no batch of 33 to learn from."""
    with pytest.raises(DataError, match=r"32 persons, fewer than a batch of 33"):
        Trainer(config_for(people, tmp_path, batch=33), Diary()).run()


def test_a_run_that_diverges_says_so(people, tmp_path):
    """Steps this long end in infinite weights and heatmaps that are no numbers."""
    data = dataclasses.replace(people, train=(people.val,))
    with pytest.raises(LightposeError):
        Trainer(config_for(data, tmp_path, lr=1e30, epochs=3), Diary()).run()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"model": ModelConfig(name="lpn5", input_hw=INPUT_HW)}, r"unknown model 'lpn5'"),
        ({"model": ModelConfig(init="nowhere.safetensors", input_hw=INPUT_HW)}, r"nowhere\.safetensors"),
        ({"model": ModelConfig(skeleton="lsp15", input_hw=INPUT_HW)}, r"unknown skeleton 'lsp15'"),
        ({"device": "abacus"}, r"abacus"),
    ],
)
def test_a_run_that_cannot_start_says_why(people, tmp_path, change, text):
    with pytest.raises(LightposeError, match=text):
        Trainer(dataclasses.replace(config_for(people, tmp_path), **change), Diary())


def test_a_missing_data_set_is_named(people, tmp_path):
    data = dataclasses.replace(people, val=SourceConfig("nowhere.json", "nowhere"))
    with pytest.raises(DataError, match=r"cannot read nowhere\.json"):
        Trainer(config_for(data, tmp_path), Diary())
