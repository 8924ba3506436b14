"""The learning rate, hand-worked."""

import math

import pytest

pytest.importorskip("torch")

from lightpose.train.config import OptimConfig
from lightpose.train.schedule import learning_rate


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
