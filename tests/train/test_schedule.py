"""The plan of a run and the learning rate, hand-worked."""

import math

import pytest

pytest.importorskip("torch")

from lightpose.train.config import OptimConfig, PlanConfig
from lightpose.train.schedule import learning_rate, moment, total_epochs

PAPER = PlanConfig(kind="iterative")
PAPER_STAGES = [  # stage, first and last epoch of the run, of the schedule, learning rate (Sections 3.3 and 4.1)
    (0, 0, 89, 0, 89, 1e-3), (0, 90, 119, 90, 119, 1e-4), (0, 120, 149, 120, 149, 1e-5),
    (1, 150, 179, 60, 89, 1e-3), (1, 180, 209, 90, 119, 1e-4), (1, 210, 239, 120, 149, 1e-5),
    (2, 240, 269, 60, 89, 1e-3), (2, 270, 299, 90, 119, 1e-4), (2, 300, 329, 120, 149, 1e-5),
    (3, 330, 359, 60, 89, 1e-3), (3, 360, 389, 90, 119, 1e-4), (3, 390, 419, 120, 149, 1e-5),
    (4, 420, 449, 60, 89, 1e-3), (4, 450, 479, 90, 119, 1e-4), (4, 480, 509, 120, 149, 1e-5),
    (5, 510, 539, 60, 89, 1e-3), (5, 540, 569, 90, 119, 1e-4), (5, 570, 599, 120, 149, 1e-5),
    (6, 600, 629, 60, 89, 1e-3), (6, 630, 659, 90, 119, 1e-4), (6, 660, 689, 120, 149, 1e-5),
]  # fmt: skip


@pytest.fixture(scope="module")
def paper():
    """The moments of the paper's whole plan, walked from the first epoch to the last."""
    return [moment(PAPER, OptimConfig(), epoch) for epoch in range(total_epochs(PAPER, OptimConfig()))]


def test_the_papers_plan_is_690_epochs(paper):
    assert len(paper) == 690 == PAPER_STAGES[-1][2] + 1


def test_every_epoch_of_the_papers_plan_has_its_stage_its_epoch_of_the_schedule_and_its_rate(paper):
    for stage, first, last, first_of_schedule, last_of_schedule, rate in PAPER_STAGES:
        here = paper[first : last + 1]
        assert [now.stage for now in here] == [stage] * 30 * (1 + 2 * (first == 0))
        assert [now.epoch for now in here] == list(range(first_of_schedule, last_of_schedule + 1))
        assert [learning_rate(OptimConfig(), now.epoch + part) for now in here for part in (0, 0.999)] == pytest.approx(
            [rate] * 2 * len(here), rel=1e-12
        )


def test_each_stage_of_the_papers_plan_has_one_first_and_one_last_epoch(paper):
    assert [epoch for epoch, now in enumerate(paper) if now.first] == [0, 150, 240, 330, 420, 510, 600]
    assert [epoch for epoch, now in enumerate(paper) if now.last] == [149, 239, 329, 419, 509, 599, 689]


def test_a_single_plan_is_the_schedule_itself_whatever_its_stages_are_set_to():
    plan, optim = PlanConfig(kind="single", stages=4, restart_epoch=2), OptimConfig(epochs=5)
    assert total_epochs(plan, optim) == 5
    moments = [moment(plan, optim, epoch) for epoch in range(5)]
    assert [(now.stage, now.epoch, now.first, now.last) for now in moments] == [
        (0, 0, True, False),
        (0, 1, False, False),
        (0, 2, False, False),
        (0, 3, False, False),
        (0, 4, False, True),
    ]


def test_stages_of_a_single_epoch_are_first_and_last_at_once():
    plan, optim = PlanConfig(kind="iterative", stages=2, restart_epoch=2), OptimConfig(epochs=3)
    moments = [moment(plan, optim, epoch) for epoch in range(total_epochs(plan, optim))]
    assert [(now.stage, now.epoch, now.first, now.last) for now in moments] == [
        (0, 0, True, False),
        (0, 1, False, False),
        (0, 2, False, True),
        (1, 2, True, True),
        (2, 2, True, True),
    ]


def test_a_cosine_falls_again_in_each_stage_from_where_it_was_at_the_restart():
    """Restarted half-way, at half the rate: cos 90° of the way. A warm-up that is over by then does not come back."""
    plan = PlanConfig(kind="iterative", stages=2, restart_epoch=6)
    optim = OptimConfig(lr=0.008, epochs=10, schedule="cosine", warmup_epochs=2)
    moments = [moment(plan, optim, epoch) for epoch in range(total_epochs(plan, optim))]
    rates = [learning_rate(optim, now.epoch) for now in moments]
    falling = [
        0.004,
        0.004 * (1 - math.sin(math.pi / 8)),
        0.004 * (1 - math.sqrt(0.5)),
        0.004 * (1 - math.cos(math.pi / 8)),
    ]
    assert len(rates) == 18
    assert rates[:2] == pytest.approx([0, 0.004])
    assert rates[2] == pytest.approx(0.008)
    assert rates[6:] == pytest.approx(falling * 3)


def test_the_papers_run_is_ninety_epochs_then_thirty_then_thirty():
    rates = [learning_rate(OptimConfig(), epoch) for epoch in range(150)]
    assert rates == pytest.approx([1e-3] * 90 + [1e-4] * 30 + [1e-5] * 30, rel=1e-12)


@pytest.mark.parametrize(("epoch", "rate"), [(89.99, 1e-3), (90, 1e-4), (119.99, 1e-4), (120.5, 1e-5), (149.99, 1e-5)])
def test_steps_hold_within_an_epoch(epoch, rate):
    assert learning_rate(OptimConfig(), epoch) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("epoch", "share"),
    [
        (0, 1),
        (20 / 6, (1 + math.sqrt(3) / 2) / 2),  # cos 30°
        (5, (1 + math.sqrt(0.5)) / 2),  # cos 45°
        (20 / 3, 0.75),  # cos 60°
        (10, 0.5),
        (40 / 3, 0.25),
        (20, 0),
        (21, 0),  # nothing comes back after the end
    ],
)
def test_cosine_falls_to_zero_over_all_epochs(epoch, share):
    config = OptimConfig(lr=0.02, epochs=20, schedule="cosine")
    assert learning_rate(config, epoch) == pytest.approx(0.02 * share, abs=1e-12)


@pytest.mark.parametrize(("epoch", "share"), [(0, 0), (1, 0.25), (2, 0.5), (3.5, 0.875), (4, 1), (8, 0.5), (12, 0)])
def test_warm_up_is_a_straight_rise_and_cosine_takes_what_is_left(epoch, share):
    config = OptimConfig(lr=0.004, epochs=12, schedule="cosine", warmup_epochs=4)
    assert learning_rate(config, epoch) == pytest.approx(0.004 * share, abs=1e-12)


@pytest.mark.parametrize(("epoch", "rate"), [(0, 0), (0.5, 0.5), (1, 1), (2.9, 1), (3, 0.1), (5, 0.01)])
def test_warm_up_goes_before_steps_as_well(epoch, rate):
    config = OptimConfig(lr=1, epochs=6, milestones=(3, 5), warmup_epochs=1)
    assert learning_rate(config, epoch) == pytest.approx(rate)


@pytest.mark.parametrize("schedule", ["steps", "cosine"])
def test_a_warm_up_as_long_as_the_run_only_rises(schedule):
    config = OptimConfig(lr=1, epochs=4, schedule=schedule, milestones=(), warmup_epochs=4)
    assert [learning_rate(config, epoch) for epoch in (0, 1, 3)] == [0, 0.25, 0.75]
    assert math.isfinite(learning_rate(config, 4))
