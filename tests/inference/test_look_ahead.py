"""Smoothing with a look ahead: frame by frame it gives what the filters give for a whole video at once."""

import json

import numpy as np
import pytest

from lightpose.errors import ConfigError
from lightpose.inference.look_ahead import FileSmoother
from lightpose.inference.smooth import butterworth, fill_gaps
from lightpose.results import Boxes, Poses
from lightpose.skeletons import Skeleton

TWO = Skeleton("two", ("nose", "neck"))


def people(points: dict[int, np.ndarray]) -> Poses:
    """People by their ids, with joints (2, 2) in boxes about them."""
    xy = np.array(list(points.values()), float).reshape(-1, 2, 2)
    keypoints = np.concatenate([xy, np.full((len(xy), 2, 1), 0.9)], -1).astype(np.float32)
    boxes = Boxes(np.concatenate([xy[:, 0] - 5, np.full((len(xy), 2), 10.0)], 1), np.full(len(xy), 0.8))
    return Poses(keypoints, np.full(len(xy), 0.7, np.float32), boxes, TWO, ids=np.array(list(points), np.int64))


def walk(count: int, seed: int) -> np.ndarray:
    """Joints (T, 2, 2) of a person who wanders, as float32 holds them."""
    moves = np.random.default_rng(seed).normal(0, 3, (count, 2, 2))
    return (200 + moves.cumsum(0)).astype(np.float32).astype(float)


def video(fps: float, count: int = 300, shake: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Times (T,) and joints (P, T, 2, 2) of three people, NaN where they are not there."""
    times = np.arange(count) / fps
    times += np.random.default_rng(9).uniform(-shake, shake, count) / fps
    joints = np.stack([walk(count, seed) for seed in range(3)])
    joints[1, :40] = joints[1, 90:95] = joints[1, 200:260] = joints[2, 120:] = np.nan
    joints[0, [150, 153]] = np.nan
    return times, joints


def frames_of(times: np.ndarray, joints: np.ndarray) -> list[tuple[Poses, float]]:
    return [
        (people({n + 1: joints[n, t] for n in (1, 0, 2) if np.isfinite(joints[n, t]).all()}), float(time_s))
        for t, time_s in enumerate(times)
    ]


def joints_of(timed: list[tuple[Poses, float]], count: int = 3) -> np.ndarray:
    result = np.full((count, len(timed), 2, 2), np.nan)
    for t, (poses, _) in enumerate(timed):
        for person, number in enumerate(poses.ids):
            result[number - 1, t] = poses.keypoints[person, :, :2]
    return result


@pytest.mark.parametrize("fill_s", [0.0, 0.3])
@pytest.mark.parametrize(("fps", "shake"), [(15, 0.0), (30, 0.0), (60, 0.0), (240, 0.0), (30, 0.3)])
def test_it_gives_what_the_filter_gives_for_the_whole_video(fps: int, shake: float, fill_s: float):
    times, joints = video(fps, shake=shake)
    found = list(FileSmoother(6, fill_s).over(frames_of(times, joints)))
    assert [time_s for _, time_s in found] == times.tolist()
    for ours, person in zip(joints_of(found), joints, strict=True):
        whole = fill_gaps(person, times, fill_s)[0] if fill_s else person
        expected = butterworth(whole, times, 6)
        assert np.isnan(ours).tolist() == np.isnan(expected).tolist()
        assert np.nanmax(np.abs(ours - expected)) < 5e-5, "float32 has steps of 3e-5 here"


def test_who_is_missed_for_a_short_time_is_put_on_a_line_and_marked():
    times, joints = video(30)
    found = list(FileSmoother(None, 0.3).over(frames_of(times, joints)))
    filled = [(t, number) for t, (poses, _) in enumerate(found) for number in poses.ids[poses.states == "filled"]]
    assert filled == [(90, 2), (91, 2), (92, 2), (93, 2), (94, 2), (150, 1), (153, 1)]
    before, lost, after = (found[t][0] for t in (89, 91, 95))
    assert lost.ids.tolist() == [1, 3, 2], "they come last"
    assert lost.keypoints[2] == pytest.approx(before.keypoints[0] * 4 / 6 + after.keypoints[0] * 2 / 6, abs=1e-4)
    assert lost.boxes.xywh[2, 2:] == pytest.approx([10, 10])
    assert (lost.scores[2], lost.boxes.scores[2]) == pytest.approx((0.7, 0.8))
    assert np.isnan(lost.raw_keypoints[2]).all()
    rows = lost.to_dict()["people"]
    assert [row["state"] for row in rows] == ["detected", "detected", "filled"]
    assert rows[2]["raw_keypoints"] is None
    assert rows[0]["raw_keypoints"] == rows[0]["keypoints"]


def test_raw_joints_scores_and_other_people_stay():
    times, joints = video(30)
    frames = frames_of(times, joints)
    for (poses, _), (before, _) in zip(FileSmoother().over(frames), frames, strict=True):
        assert poses.raw_keypoints.tolist() == before.keypoints.tolist()
        assert poses.keypoints[..., 2].tolist() == before.keypoints[..., 2].tolist()
        assert poses.boxes.xywh.tolist() == before.boxes.xywh.tolist()
        assert (poses.ids.tolist(), poses.scores.tolist()) == (before.ids.tolist(), before.scores.tolist())


@pytest.mark.parametrize("place", [1, 20, 64, 151, 299])
def test_a_resumed_run_goes_on_to_the_bit(place: int):
    frames = frames_of(*video(30))
    whole = list(FileSmoother(6, 0.3).over(frames))
    half, rest = FileSmoother(6, 0.3), FileSmoother(6, 0.3)
    found = [ready for frame in frames[:place] for ready in half.feed(*frame)]
    rest.restore(json.loads(json.dumps(half.state())), TWO)
    found += rest.over(frames[place:])
    assert len(found) == len(whole)
    for (ours, _), (theirs, _) in zip(found, whole, strict=True):
        for name in ("keypoints", "raw_keypoints", "scores", "ids", "states"):
            assert getattr(ours, name).tobytes() == getattr(theirs, name).tobytes()
        assert ours.boxes.xywh.tobytes() == theirs.boxes.xywh.tobytes()


def test_it_holds_a_second_or_two_of_frames_however_long_the_video_is():
    smoother = FileSmoother(6, 0.3)
    held = []
    for poses, time_s in frames_of(*video(30, 600)):
        smoother.feed(poses, time_s)
        held.append(len(smoother.state()["held"]))
    assert max(held) == max(held[:150]) < 90


def test_a_joint_without_a_place_leaves_the_rest_of_its_stretch_and_the_other_joints():
    times, joints = np.arange(60) / 30, walk(60, 0)
    joints[30, 1] = np.nan
    timed = [(people({1: points}), time_s) for points, time_s in zip(joints, times.tolist(), strict=True)]
    found = joints_of([*FileSmoother(6.0, 0).over(timed)], 1)[0]
    assert np.isnan(found[:, 1, 0]).nonzero()[0].tolist() == [30]
    np.testing.assert_allclose(found, butterworth(joints, times, 6.0), atol=1e-3)


def test_a_still_picture_of_nobody_goes_through():
    empty = people({})
    found = list(FileSmoother(6, 0.3).over([(empty, n / 30) for n in range(50)]))
    assert [len(poses) for poses, _ in found] == [0] * 50
    assert list(FileSmoother().over([])) == []


def test_what_cannot_be_smoothed_is_refused():
    poses = people({1: np.zeros((2, 2))})
    with pytest.raises(ConfigError, match="through a Tracker first"):
        FileSmoother().feed(Poses(poses.keypoints, poses.scores, poses.boxes, TWO), 0.0)
    smoother = FileSmoother()
    smoother.feed(poses, 1.0)
    with pytest.raises(ConfigError, match=r"a frame at 1.0 s came after one at 1.0 s; reset the smoother"):
        smoother.feed(poses, 1.0)
    smoother.reset()
    smoother.feed(poses, 0.5)
    for state in ({}, {"held": [{}], "given": 0}):
        with pytest.raises(ConfigError, match="no state of a smoother"):
            smoother.restore(state, TWO)
    for wrong in ({"hz": 0}, {"fill_s": -1}, {"fill_s": float("nan")}):
        with pytest.raises(ConfigError, match="must be"):
            FileSmoother(**wrong)
