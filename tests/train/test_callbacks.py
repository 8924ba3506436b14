"""What a run's lines say, by a clock that stands still until it is told to go on."""

import math
import re

import pytest

from lightpose.train.callbacks import Epoch, Lines, Started


class Clock:
    """A clock that is set by hand."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def told():
    """Lines of a run of 3 epochs of 10 steps of 16 crops: what was written, and the clock."""
    written, clock = [], Clock()
    lines = Lines(written.append, clock=clock)
    lines.started(Started(epochs=3, steps=10, shown=160))
    return lines, written, clock


def step(lines, clock, epoch, number, loss=1.0, seconds=20.0):
    clock.now += seconds
    lines.stepped(epoch, number, 10, loss, 1e-3)


def test_there_is_a_line_a_minute_and_no_more(told):
    lines, written, clock = told
    for number in range(1, 10):
        step(lines, clock, 0, number)
    assert [re.search(r"step (\d+)/10", line)[1] for line in written] == ["3", "6", "9"]


def test_a_line_tells_the_mean_loss_of_its_minute_the_pace_and_the_time_left(told):
    """Three steps of 16 crops in 60 s are 0.8 a second; 27 steps are left, of 20 s each."""
    lines, written, clock = told
    for number, loss in enumerate((1.0, 2.0, 6.0), start=1):
        step(lines, clock, 0, number, loss)
    assert written == ["epoch 1/3  step 3/10  loss 3.0000  lr 1.0e-03  0.8 crops/s  0:09:00 left"]
    for number in (4, 5, 6):
        step(lines, clock, 0, number, loss=0.5, seconds=40)
    assert written[1:] == ["epoch 1/3  step 5/10  loss 0.5000  lr 1.0e-03  0.4 crops/s  0:11:40 left"]


def test_steps_that_are_told_of_together_count_one_by_one(told):
    """On a GPU the loss is read once in ten steps: it is the mean of them all."""
    lines, written, clock = told
    step(lines, clock, 0, 2, loss=1.0, seconds=1)
    step(lines, clock, 0, 8, loss=2.0, seconds=79)
    assert written == ["epoch 1/3  step 8/10  loss 1.7500  lr 1.0e-03  1.6 crops/s  0:03:40 left"]


def test_validation_takes_time_but_does_not_slow_the_pace(told):
    """Eleven steps and 101 s of validation took 166 s; the nineteen that are left take 287 s."""
    lines, written, clock = told
    for number in range(1, 10):
        step(lines, clock, 0, number, seconds=6)
    step(lines, clock, 0, 10, seconds=5)
    clock.now += 101
    lines.evaluated(Epoch(0, 0, 0.25, {"ap": 0.5, "pck": 0.125}, True))
    assert written == ["epoch    1  loss 0.2500  AP  50.0  PCK@0.1  12.5  best"]
    step(lines, clock, 1, 1, seconds=6)
    assert written[1:] == [f"epoch 2/3  step 1/10  loss 1.0000  lr 1.0e-03  {16 / 6:.1f} crops/s  0:04:47 left"]


def test_an_epoch_without_validation_gets_a_line_with_its_loss_too(told):
    lines, written, clock = told
    for epoch in (0, 1):
        for number in range(1, 11):
            step(lines, clock, epoch, number, loss=number, seconds=1)
    lines.evaluated(Epoch(1, 0, 5.5, {"ap": 0.5}, False))
    step(lines, clock, 2, 1, seconds=1)
    assert written == ["epoch    1  loss 5.5000  not validated", "epoch    2  loss 5.5000  AP  50.0"]


def test_a_resumed_run_tells_its_time_by_its_own_steps(told):
    """It went on at step 15 of 30; three steps in 60 s leave twelve, so four minutes."""
    lines, written, clock = told
    lines.resumed(1, 5)
    for number in (6, 7, 8):
        step(lines, clock, 1, number)
    assert written == [
        "going on at epoch 2, step 6",
        "epoch 2/3  step 8/10  loss 1.0000  lr 1.0e-03  0.8 crops/s  0:04:00 left",
    ]


def test_storing_the_data_is_told_of_once_a_minute(told):
    lines, written, clock = told
    for done in range(0, 600, 100):
        clock.now += 25
        lines.preparing("people.json", done, 500)
    assert written == ["preparing people.json: 200 of 500", "preparing people.json: 500 of 500"]


def test_bars_make_the_lines_within_an_epoch_needless(told):
    _, written, clock = told
    lines = Lines(written.append, math.inf, clock)
    lines.started(Started(epochs=3, steps=10, shown=160))
    step(lines, clock, 0, 1, seconds=1e6)
    assert written == []
