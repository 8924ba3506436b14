"""The iterative plan on drawn persons: each stage from the best of the one before, whatever happens between."""

import dataclasses
import signal
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
from safetensors.torch import load_file  # noqa: E402

from lightpose.data.coco import read_coco  # noqa: E402
from lightpose.data.crops import open_store  # noqa: E402
from lightpose.train.batches import Batches  # noqa: E402
from lightpose.train.callbacks import StageResult  # noqa: E402
from lightpose.train.config import PlanConfig  # noqa: E402
from lightpose.train.distributed import World  # noqa: E402
from lightpose.train.learner import Learner  # noqa: E402
from lightpose.train.loop import rank  # noqa: E402
from lightpose.train.loss import LossConfig  # noqa: E402
from lightpose.train.pose import PoseTask  # noqa: E402
from lightpose.train.sampling import Share  # noqa: E402
from tests.train.runs import (  # noqa: E402
    LEARNER,
    Diary,
    Kill,
    ap_of,
    assert_same,
    checkpoint,
    config_for,
    killed,
    log,
    train,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

STAGES = ["stage_0.safetensors", "stage_1.safetensors", "stage_2.safetensors"]
FILES = [".lock", "best.safetensors", "last.pt", "log.json", *STAGES]


class Witness(Diary):
    """Keeps the checkpoint of the first step of each later stage."""

    def __init__(self, out):
        super().__init__()
        self.out, self.begun = out, {}

    def stepped(self, epoch, step, *rest):
        super().stepped(epoch, step, *rest)
        if epoch in (3, 5) and step == 2:  # the checkpoint of this step is yet to be written
            self.begun[epoch] = checkpoint(self.out)


def plan_config(data, out, learned):
    """3 epochs, then two stages of 2 more, of two steps each, from weights that find some of the joints already."""
    return config_for(
        data,
        out,
        model=dataclasses.replace(LEARNER, init=str(Path(learned[0].out) / "best.safetensors")),
        loss=LossConfig(mse=200, cross_entropy=0.3),
        plan=PlanConfig("iterative", stages=2, restart_epoch=1),
        epochs=3,
        milestones=(2,),
        batch=2,
        lr=2e-3,
    )


@pytest.fixture(scope="module")
def whole(few_people, learned, tmp_path_factory):
    """The run from start to end: its configuration, folder and diary."""
    out = tmp_path_factory.mktemp("whole")
    config, diary = plan_config(few_people, out, learned), Witness(out)
    train(config, diary)
    return config, out, diary


def test_all_stages_are_walked_with_their_rates(whole):
    _, out, diary = whole
    assert [entry[:3] for entry in diary.steps] == [(epoch, step, 2) for epoch in range(7) for step in (1, 2)]
    rates = [2e-3, 2e-3, 2e-4, 2e-3, 2e-4, 2e-3, 2e-4]
    assert [entry[4] for entry in diary.steps] == pytest.approx([rate for rate in rates for _ in range(2)])
    assert [entry["stage"] for entry in log(out)["epochs"]] == [0, 0, 0, 1, 1, 2, 2]
    assert sorted(path.name for path in out.iterdir()) == FILES


def best_of(epochs):
    """(AP, epoch) of the one that ranks highest."""
    best = max(epochs, key=rank)
    return best["ap"], best["epoch"]


def test_each_stage_keeps_its_best_weights_and_the_best_of_all_are_the_runs(whole, few_people):
    _, out, diary = whole
    scores = log(out)["epochs"]
    assert [each["epoch"] for each in scores] == [epoch for epoch, *_ in diary.evaluations]
    assert len({each["ap"] for each in scores}) > 2, "scores that are all the same would prove nothing"
    bests = [best_of(scores[:3]), best_of(scores[3:5]), best_of(scores[5:])]
    for stage, (ap, _) in enumerate(bests):
        assert ap_of(out / f"stage_{stage}.safetensors", few_people) == pytest.approx(ap, abs=1e-9)
    ap, epoch = best_of(scores)
    for progress, done in (
        (diary.begun[3]["progress"], 3),
        (diary.begun[5]["progress"], 5),
        (checkpoint(out)["progress"], 7),
    ):
        assert (progress["best_ap"], progress["best_epoch"]) == best_of(scores[:done])
    winner = next(stage for stage, best in enumerate(bests) if best == (ap, epoch))
    assert (out / "best.safetensors").read_bytes() == (out / f"stage_{winner}.safetensors").read_bytes()
    kept = [epoch for epoch, _, _, best in diary.evaluations if best]
    assert {epoch for _, epoch in bests} <= set(kept)
    assert {0, 3, 5} <= set(kept), "the first of a stage is its best so far, however good the run was before"


def test_the_report_hears_of_every_stage_that_is_finished_and_the_log_keeps_them(whole):
    _, out, diary = whole
    written = log(out)["stages"]
    results = tuple(StageResult(**entry) for entry in written)
    assert diary.stages == [results[:1], results[:2], results]
    assert [result.stage for result in results] == [0, 1, 2]
    by_epoch = {epoch: ap for epoch, _, ap, _ in diary.evaluations}
    for result, epochs in zip(results, ({0, 1, 2}, {3, 4}, {5, 6}), strict=True):
        assert result.epoch in epochs
        assert result.ap == by_epoch[result.epoch] == max(by_epoch[epoch] for epoch in epochs)


@pytest.mark.parametrize(("stage", "epoch"), [(1, 3), (2, 5)])
def test_a_stage_starts_from_the_best_of_the_one_before_with_a_fresh_optimizer(whole, stage, epoch):
    """Its first step, done again by a learner that knows nothing but those weights."""
    config, out, diary = whole
    spec = config.model.spec()
    source = read_coco(config.data.val.annotations, config.data.val.images)
    store = open_store(source, spec.skeleton, spec.input_hw, Path(config.data.store))
    device = torch.device("cpu")
    batches = Batches([store], config.data.train, spec, config.augment, 2, config.seed, True, device)
    learner = Learner(config, PoseTask(config, device), World(), device)
    learner.restart(load_file(out / f"stage_{stage - 1}.safetensors"))
    learner.step(next(batches.epoch(epoch, 0, Share())), 2e-3)
    found = diary.begun[epoch]
    assert (found["progress"]["epoch"], found["progress"]["step"]) == (epoch, 1)
    expected = {name: part.state_dict() for name, part in learner.parts().items()}
    for name, state in expected.items():
        assert_same(dict(found["states"][name]), dict(state), name)
    assert {int(state["step"]) for state in found["states"]["optimizer"]["state"].values()} == {1}
    assert int(found["states"]["ema"]["n_averaged"]) == 1


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_plan_that_is_killed_at_every_awkward_moment_ends_as_if_nothing_had_happened(
    whole, few_people, learned, tmp_path
):
    """Between a stage's weights and its last checkpoint, right after that, and in the first epoch of the next stage."""
    _, out, told = whole
    config = plan_config(few_people, tmp_path, learned)
    for kill, reached in (
        (Kill("finished", 0), (2, 2)),
        (Kill("stepped", 3, 1), (3, 0)),
        (Kill("stepped", 3, 2), (3, 1)),
    ):
        killed(config, kill)
        progress = checkpoint(tmp_path)["progress"]
        assert (progress["epoch"], progress["step"]) == reached
    diary = Diary()
    train(config, diary)
    assert diary.resumptions == [(3, 1)]
    assert diary.steps == told.steps[7:]
    assert diary.evaluations == told.evaluations[3:]
    assert diary.stages == told.stages[1:]
    assert_same(checkpoint(tmp_path)["states"], checkpoint(out)["states"])
    assert_same(checkpoint(tmp_path)["progress"], checkpoint(out)["progress"])
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES
    for name in FILES:
        assert name == "last.pt" or (tmp_path / name).read_bytes() == (out / name).read_bytes(), name
