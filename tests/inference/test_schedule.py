"""When the detector runs, and where people are in between."""

import json

import numpy as np
import pytest

from lightpose.errors import ConfigError
from lightpose.inference.schedule import DetectSchedule
from lightpose.results import Boxes, Poses
from lightpose.skeletons import Skeleton
from lightpose.types import Frame

THREE = Skeleton("three", ("nose", "left_knee", "right_knee"))
AT = np.array([[0.5, 0.1], [0.3, 0.7], [0.7, 0.7]])


def frame(number: int, fps: float = 25, size: int = 400) -> Frame:
    return Frame(np.zeros((size, size, 3), np.uint8), index=number, time_s=number / fps)


def person(x: float, boxes: Boxes | None, score: float = 0.9, width: float = 40) -> Poses:
    """One whose joints are where a box at x would have them; the box is that of the detector, or the one given."""
    true = Boxes(np.array([[x, 100, width, 2.5 * width]]))
    points = true.xywh[:, None, :2] + AT * true.xywh[:, None, 2:]
    keypoints = np.concatenate([points, np.full((1, 3, 1), score)], -1).astype(np.float32)
    return Poses(keypoints, np.array([score], np.float32), boxes or true, THREE)


def detections(schedule: DetectSchedule, xs: list[float], scores: list[float] | None = None) -> list[int]:
    """In which frames the detector ran."""
    ran = []
    for n, x in enumerate(xs):
        boxes = schedule.boxes(frame(n))
        if boxes is None:
            ran.append(n)
        schedule.seen(frame(n), person(x, boxes, scores[n] if scores else 0.9))
    return ran


def test_it_detects_in_one_of_so_many_frames():
    assert detections(DetectSchedule(1), [100.0] * 6) == [0, 1, 2, 3, 4, 5]
    assert detections(DetectSchedule(5), [100.0] * 12) == [0, 5, 10]


def test_auto_detects_more_and_more_seldom_or_when_a_score_falls_or_at_an_edge():
    waits = [0, 3, 9, 21, 45, 70, 95, 120]  # 0.12 s, and twice as long each time, up to 1 s
    assert detections(DetectSchedule("auto"), [100.0] * 130) == waits
    assert detections(DetectSchedule("auto"), [100.0] * 9, [0.9] * 4 + [0.4] + [0.9] * 4) == [0, 3, 5]
    assert detections(DetectSchedule("auto"), [320.0 + 8 * n for n in range(8)]) == [0, 3, 6]  # 392 of 400 is passed


def test_auto_detects_soon_again_when_somebody_else_was_found():
    schedule = DetectSchedule("auto")
    assert detections(schedule, [100.0] * 46) == [0, 3, 9, 21, 45]
    ran = []
    for n in range(46, 80):
        boxes = schedule.boxes(frame(n))
        if boxes is None:
            ran.append(n)
        both = joined([person(100, None), person(300, None)])
        schedule.seen(frame(n), both if boxes is None else both[: len(boxes)])
    assert ran == [70, 73, 79]


def joined(each: list[Poses]) -> Poses:
    boxes = Boxes(np.concatenate([p.boxes.xywh for p in each]), np.concatenate([p.boxes.scores for p in each]))
    return Poses(np.concatenate([p.keypoints for p in each]), np.concatenate([p.scores for p in each]), boxes, THREE)


def test_who_does_not_count_is_followed_no_further():
    schedule = DetectSchedule(5)
    schedule.seen(frame(0), joined([person(100, None), person(300, None)]))
    both = joined([person(100, schedule.boxes(frame(1))[:1]), person(300, schedule.boxes(frame(1))[1:])])
    left = schedule.seen(frame(1), both, lambda _: np.array([1]))
    assert left.boxes.xywh[:, 0] == pytest.approx([300])
    assert schedule.boxes(frame(2)).xywh[:, 0] == pytest.approx([300])


def test_auto_looks_for_people_as_long_as_nobody_is_there():
    schedule = DetectSchedule("auto")
    for n in range(4):
        assert schedule.boxes(frame(n)) is None
        schedule.seen(frame(n), person(100, None)[:0])


@pytest.mark.parametrize("growth", [1.0, 1.02])
def test_between_detections_boxes_go_with_the_joints(growth: float):
    schedule = DetectSchedule(20)
    for n in range(20):
        x, width = 100 + 5.0 * n, 40 * growth**n
        poses = schedule.seen(frame(n), person(x, schedule.boxes(frame(n)), width=width))
        assert poses.boxes.xywh[0] == pytest.approx([x, 100, width, 2.5 * width], abs=0.05)


def test_another_size_of_image_needs_the_detector():
    schedule = DetectSchedule(5)
    schedule.seen(frame(0), person(100, None))
    assert schedule.boxes(frame(1)) is not None
    assert schedule.boxes(frame(1, size=300)) is None


def test_a_resumed_run_goes_on_as_an_unbroken_one():
    whole, rest = DetectSchedule(5), DetectSchedule(5)
    detections(whole, [100.0, 103, 106])
    rest.restore(json.loads(json.dumps(whole.state())), THREE)
    for n in range(3, 12):
        ours, theirs = (each.boxes(frame(n)) for each in (whole, rest))
        assert (ours is None) == (theirs is None)
        assert ours is None or theirs is None or ours.xywh.tobytes() == theirs.xywh.tobytes()
        for each, boxes in ((whole, ours), (rest, theirs)):
            each.seen(frame(n), person(100 + 3 * n, boxes))
    assert whole.state() == rest.state()
    rest.reset()
    assert rest.boxes(frame(12)) is None


def test_what_makes_no_sense_is_refused():
    for every in (0, "often", True):
        with pytest.raises(ConfigError, match="from 1, or auto"):
            DetectSchedule(every)
    schedule = DetectSchedule(5)
    schedule.seen(frame(0), person(100, None))
    with pytest.raises(ConfigError, match="1 boxes were given"):
        schedule.seen(frame(1), person(100, None)[:0])
    with pytest.raises(ConfigError, match="no state of a schedule"):
        schedule.restore({}, THREE)
