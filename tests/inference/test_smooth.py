"""Calm joints: the One-Euro filter against its formula, the Butterworth filter against SciPy's."""

import json
import math

import numpy as np
import pytest
from scipy.signal import butter, filtfilt

from lightpose.errors import ConfigError, ShapeError
from lightpose.inference.smooth import Smoother, butterworth, fill_gaps
from lightpose.results import Boxes, Poses
from lightpose.skeletons import Skeleton

TWO = Skeleton("two", ("nose", "neck"))


def person(points: np.ndarray, score: float = 1.0, ids: list[int] | None = None, size: float = 100.0) -> Poses:
    """People with joints at points (N, 2, 2), in square boxes."""
    points = np.asarray(points, float).reshape(-1, 2, 2)
    keypoints = np.concatenate([points, np.full((len(points), 2, 1), score)], -1).astype(np.float32)
    boxes = Boxes(np.tile([0, 0, size, size], (len(points), 1)))
    return Poses(
        keypoints, np.ones(len(points), np.float32), boxes, TWO, ids=ids or [1 + n for n in range(len(points))]
    )


def one_euro(signal: np.ndarray, times: list[float], size: float, min_hz: float, beta: float, speed_hz: float):
    """The formulas of the paper, one by one: Eq. 1 to 6 of Casiez et al., the speed being that of a point."""

    def alpha(cutoff: float, period: float) -> float:
        tau = 1 / (2 * math.pi * cutoff)
        return 1 / (1 + tau / period)

    x, dx, out = signal[0], np.zeros(2), [signal[0]]
    for n in range(1, len(signal)):
        period = times[n] - times[n - 1]
        a = alpha(speed_hz, period)
        dx = a * (signal[n] - x) / period + (1 - a) * dx
        a = alpha(min_hz + beta * math.hypot(*dx) / size, period)
        x = a * signal[n] + (1 - a) * x
        out.append(x)
    return np.array(out)


def test_it_is_the_one_euro_filter():
    generator = np.random.default_rng(0)
    times = np.cumsum(generator.uniform(0.01, 0.09, 200)).tolist()
    signal = np.cumsum(generator.normal(0, 3, (200, 2)), 0).astype(np.float32).astype(float)
    smoother = Smoother(min_hz=1.3, beta=0.7, speed_hz=0.9)
    for point, time_s in zip(signal, times, strict=True):
        smoother.update(person([point, point]), time_s)
    expected = one_euro(signal, times, 100.0, 1.3, 0.7, 0.9)[-1]
    assert np.abs(np.array(smoother.state()["people"][0]["points"]) - expected).max() < 1e-9


@pytest.mark.parametrize("fps", [15, 30, 60])
def test_a_still_person_trembles_a_third_as_much(fps: int):
    generator, smoother = np.random.default_rng(1), Smoother()
    raw = (200 + generator.normal(0, 1, (20 * fps, 2, 2))).astype(np.float32)
    calm = np.array([smoother.update(person(p), n / fps).keypoints[0, :, :2] for n, p in enumerate(raw)])
    tremble = [np.abs(np.diff(each[fps:], 2, axis=0)).mean() for each in (raw, calm)]
    assert tremble[1] <= tremble[0] / 3


@pytest.mark.parametrize("fps", [15, 30, 60])
def test_a_runner_is_followed_within_two_frames(fps: int):
    smoother, speed = Smoother(), 400.0  # pixels a second, four sizes
    for n in range(2 * fps):
        place = speed * n / fps
        found = smoother.update(person([[place, 0], [place, 0]]), n / fps)
    assert place - found.keypoints[0, 0, 0] < 2 * speed / fps


def test_near_and_far_people_are_treated_alike():
    walk = np.random.default_rng(2).normal(0, 5, (30, 2, 2)).astype(np.float32)
    near, far = Smoother(), Smoother()
    for n, points in enumerate(walk):
        a = near.update(person(4 * points, size=400), n / 30)
        b = far.update(person(points, size=100), n / 30)
    assert a.keypoints[..., :2] == pytest.approx(4 * b.keypoints[..., :2], rel=1e-6)


def test_unsure_joints_move_less_and_unseen_ones_not_at_all():
    moved = []
    for score in (1.0, 0.25, 0.0):
        smoother = Smoother()
        smoother.update(person(np.zeros(4)), 0.0)
        moved.append(float(smoother.update(person(np.full(4, 9.0), score), 0.1).keypoints[0, 0, 0]))
    assert moved[0] > moved[1] > moved[2] == 0


def test_ids_do_not_meet_and_lost_people_begin_anew():
    smoother = Smoother(forget_s=1.0)
    smoother.update(person(np.zeros((2, 4)), ids=[1, 2]), 0.0)
    swapped = smoother.update(person(np.stack([np.full(4, 50), np.zeros(4)]), ids=[2, 1]), 0.1)
    assert swapped.keypoints[1, 0, 0] == 0
    assert 0 < swapped.keypoints[0, 0, 0] < 50
    assert smoother.update(person(np.full(4, 70.0), ids=[2]), 1.2).keypoints[0, 0, 0] == 70
    assert len(smoother.state()["people"]) == 1


def test_a_resumed_run_ends_as_an_unbroken_one():
    walk = np.random.default_rng(3).normal(0, 5, (40, 2, 2))
    whole, half, rest = Smoother(), Smoother(), Smoother()
    expected = [whole.update(person(p), n / 30).keypoints for n, p in enumerate(walk)]
    for n, p in enumerate(walk[:17]):
        half.update(person(p), n / 30)
    rest.restore(json.loads(json.dumps(half.state())))
    for n, p in enumerate(walk[17:], 17):
        assert rest.update(person(p), n / 30).keypoints.tobytes() == expected[n].tobytes()
    rest.reset()
    assert rest.state() == Smoother().state()


def test_what_cannot_be_smoothed_is_refused():
    poses = person(np.zeros(4))
    with pytest.raises(ConfigError, match="through a Tracker first"):
        Smoother().update(Poses(poses.keypoints, poses.scores, poses.boxes, TWO), 0.0)
    smoother = Smoother()
    smoother.update(poses, 1.0)
    with pytest.raises(ConfigError, match="reset the smoother"):
        smoother.update(poses, 0.5)
    with pytest.raises(ConfigError, match="no state of a smoother"):
        smoother.restore({"people": [{}]})
    with pytest.raises(ConfigError, match=r"min_hz must be from .* not 0"):
        Smoother(min_hz=0)


@pytest.mark.parametrize(("fps", "hz"), [(15, 6), (30, 6), (60, 6), (240, 12)])
def test_butterworth_is_scipys(fps: int, hz: float):
    points = np.random.default_rng(4).normal(0, 10, (300, 3, 2)).cumsum(0)
    expected = filtfilt(*butter(2, hz / (fps / 2)), points, axis=0)
    assert np.abs(butterworth(points, np.arange(300) / fps, hz) - expected).max() < 1e-9


@pytest.mark.parametrize("fps", [15, 30, 60])
def test_butterworth_does_not_lag(fps: int):
    times = np.arange(3 * fps) / fps
    ramp = 400 * times
    assert np.abs(butterworth(ramp, times) - ramp).max() < 0.1 * 400 / fps


def test_butterworth_takes_uneven_stamps_and_missing_parts():
    generator = np.random.default_rng(5)
    times = np.arange(300) / 30 + generator.uniform(-0.01, 0.01, 300)
    slow = np.sin(2 * np.pi * 0.5 * times)
    calm = butterworth(slow + generator.normal(0, 0.1, 300), times)
    assert np.abs(calm - slow)[20:-20].mean() < 0.06
    slow[100:120] = np.nan
    even = np.arange(300) / 30
    parted = butterworth(slow, even)
    assert np.isnan(parted[100:120]).all()
    assert parted[:100].tolist() == butterworth(slow[:100], even[:100]).tolist()


def test_butterworth_leaves_its_input_and_short_clips_alone():
    points = np.array([1.0, 5.0])
    assert butterworth(points, [0, 0.03]).tolist() == [1, 5]
    assert butterworth(np.zeros((0, 2)), []).shape == (0, 2)
    assert points.tolist() == [1, 5]
    with pytest.raises(ConfigError, match="needs over 12 frames a second"):
        butterworth(np.zeros(9), np.arange(9) / 10)
    with pytest.raises(ShapeError, match="as many times"):
        butterworth(np.zeros(9), np.arange(8))
    with pytest.raises(ConfigError, match="rise"):
        butterworth(np.zeros(3), [0, 0, 1])


def test_short_gaps_are_filled_on_a_line_and_marked():
    nan = np.nan
    times = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    points = [nan, 1.0, nan, nan, 4.0, nan, 6.0, nan]
    filled, mask = fill_gaps(points, times)
    assert filled[1:7] == pytest.approx([1, 2, 3, 4, 5, 6])
    assert np.isnan(filled[[0, 7]]).all()
    assert mask.tolist() == [False, False, True, True, False, True, False, False]
    filled, mask = fill_gaps(points, times, max_gap_s=0.2)
    assert np.isnan(filled[2:4]).all()
    assert mask.tolist() == [False] * 5 + [True, False, False]
