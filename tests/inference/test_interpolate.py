"""Where people of a file are between two frames in which the detector ran."""

import json
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from lightpose.errors import BoxesError, ConfigError, LightposeError
from lightpose.inference import interpolate
from lightpose.inference.interpolate import LONGEST_RUN, LookAheadSchedule, interpolated
from lightpose.results import Boxes, Poses
from lightpose.skeletons import Skeleton
from lightpose.types import Frame

ONE = Skeleton("one", ("nose",))
World = Callable[[int], dict[int, tuple[float, float]]]
"""Which people are there in a frame, and where; a person's number makes the width, so that it is known again."""


def frame(number: int, fps: float = 25, size: int = 400) -> Frame:
    return Frame(np.zeros((size, size, 3), np.uint8), index=number, time_s=number / fps)


def poses_of(boxes: Boxes) -> Poses:
    points = np.concatenate([boxes.xywh[:, None, :2], boxes.scores[:, None, None]], -1)
    return Poses(points, boxes.scores, boxes, ONE)


class Run:
    """A world seen through a schedule: in which frames the detector ran, and the boxes and state of each frame."""

    def __init__(self, world: World, schedule: LookAheadSchedule, broken: Sequence[int] = ()) -> None:
        self.world, self.schedule, self.broken = world, schedule, broken
        self.ran: list[int] = []
        self.together: list[int] = []
        self.failed: list[int] = []
        self.found: dict[int, Boxes] = {}
        self.states: dict[int, set[str]] = {}

    def detect(self, frames: Sequence[Frame]) -> list[Poses]:
        self.together.append(len(frames))
        if any(shown.index in self.broken for shown in frames):
            raise BoxesError("nobody can be found here")
        self.ran += [shown.index for shown in frames]
        return [self.seen(shown.index) for shown in frames]

    def seen(self, number: int) -> Poses:
        boxes = [[x, y, 30 + person, 80] for person, (x, y) in self.world(number).items()]
        return poses_of(Boxes(np.array(boxes, np.float32).reshape(-1, 4)))

    def predict(self, frames: Sequence[Frame], boxes: Sequence[Boxes]) -> Iterator[tuple[Frame, Poses]]:
        return ((shown, poses_of(each)) for shown, each in zip(frames, boxes, strict=True))

    def fail(self, shown: Frame, _: LightposeError) -> None:
        self.failed.append(shown.index)

    def over(self, frames: Sequence[Frame], tell: bool = True) -> "Run":
        failed = self.fail if tell else None
        for shown, poses in interpolated(frames, self.detect, self.predict, self.schedule, failed):
            self.found[shown.index] = poses.boxes
            self.states[shown.index] = set(poses.states.tolist())
        return self


def walker(number: int) -> dict[int, tuple[float, float]]:
    return {1: (20.0 + 3 * number, 100.0)}


def run(world: World, every: int | str, count: int, fps: float = 25) -> Run:
    return Run(world, LookAheadSchedule(every)).over([frame(n, fps) for n in range(count)])


def test_who_walks_straight_is_where_every_detection_would_have_found_them():
    ours, all_of_them = run(walker, 5, 23), run(walker, 1, 23)
    assert ours.ran == [0, 5, 10, 15, 20, 22], "the last frame has nobody after it"
    assert ours.together == [2, 2, 2]
    assert list(ours.found) == list(range(23))
    for n in range(23):
        np.testing.assert_allclose(ours.found[n].xywh, all_of_them.found[n].xywh, atol=1e-3)
        assert ours.states[n] == {"detected" if n in ours.ran else "carried"}


def test_places_go_by_time_and_not_by_the_number_of_the_frame():
    frames = [Frame(np.zeros((400, 400, 3), np.uint8), index=n, time_s=t) for n, t in enumerate((0.0, 0.1, 0.4))]
    seen = Run(lambda n: {1: (100.0 + 20 * (n == 2), 50.0)}, LookAheadSchedule(2)).over(frames)
    assert seen.ran == [0, 2]
    assert seen.found[1].xywh[0, 0] == pytest.approx(105)


def test_frames_at_one_time_are_spaced_evenly():
    frames = [Frame(np.zeros((400, 400, 3), np.uint8), index=n, time_s=0.0) for n in range(3)]
    seen = Run(lambda n: {1: (100.0 + 5 * n, 50.0)}, LookAheadSchedule(2)).over(frames)
    assert seen.found[1].xywh[0, 0] == pytest.approx(105)


def test_who_comes_or_leaves_is_there_for_the_nearer_half():
    def world(number: int) -> dict[int, tuple[float, float]]:
        return {1: (100.0, 50.0)} if number < 4 else {2: (300.0, 250.0)}

    seen = run(world, 4, 5)
    assert seen.ran == [0, 4]
    assert [seen.found[n].xywh[:, 0].tolist() for n in (1, 2, 3)] == [[100], [100], [300]]


def test_who_was_missed_and_is_known_again_moves_from_the_last_sight():
    seen = run(lambda number: {} if number == 10 else walker(number), 5, 21)
    assert seen.ran == [0, 5, 10, 15, 20]
    for n in (1, 2, 3, 4, 11, 12, 13, 14):
        np.testing.assert_allclose(seen.found[n].xywh, [[20 + 3 * n, 100, 31, 80]], atol=1e-3)
    for n in (6, 7):  # walks on as before, about
        np.testing.assert_allclose(seen.found[n].xywh, [[20 + 3 * n, 100, 31, 80]], atol=4)
    assert [len(seen.found[n]) for n in (8, 9, 10)] == [0, 0, 0]


def test_who_was_missed_for_too_long_is_somebody_new():
    seen = run(lambda number: {} if 0 < number < 70 else walker(0), 5, 76)
    there = [n for n, boxes in seen.found.items() if len(boxes)]
    assert there[:3] == [0, 1, 2]
    assert there[3] > 65


def test_who_walks_on_out_of_the_image_is_gone():
    seen = run(lambda number: {200: (20.0 - 25 * number, 100.0)} if number < 10 else {}, 5, 11)
    assert seen.found[5].xywh[0, 0] + 115 == pytest.approx(10)
    assert [len(seen.found[n]) for n in range(6, 11)] == [0] * 5


def test_auto_detects_less_and_less_where_nobody_moves():
    seen = run(lambda _: {1: (100.0, 50.0)}, "auto", 64)
    assert np.diff(seen.ran).tolist() == [6, 12, 24, 21], "0.24 s, 0.48, 0.96; the last of 64 frames"


def test_auto_stays_at_its_usual_pace_where_people_walk():
    assert set(np.diff(run(lambda n: {1: (20.0 + 3 * n, 50.0)}, "auto", 61).ran).tolist()) == {6}


def test_auto_goes_back_to_where_somebody_came():
    def world(number: int) -> dict[int, tuple[float, float]]:
        return {1: (100.0, 50.0)} | ({2: (300.0, 250.0)} if number >= 9 else {})

    seen = run(world, "auto", 40)
    assert seen.ran[:5] == [0, 6, 18, 39, 12], "somebody else at 18: back to 12, from where on nothing is still"
    assert [len(seen.found[n]) for n in (6, 18)] == [1, 2]
    assert len(seen.ran) == len(set(seen.ran)), "what was found there is kept"


@pytest.mark.parametrize("every", [5, "auto"])
def test_a_run_in_parts_equals_a_whole_one(every: int | str):
    whole = run(walker, every, LONGEST_RUN + 20)
    first = run(walker, every, LONGEST_RUN)
    rest = Run(walker, LookAheadSchedule(every))
    rest.schedule.restore(json.loads(json.dumps(first.schedule.state())))
    rest.over([frame(n) for n in range(LONGEST_RUN, LONGEST_RUN + 20)])
    both = first.found | rest.found
    assert {n: boxes.xywh.tobytes() for n, boxes in whole.found.items()} == {
        n: b.xywh.tobytes() for n, b in both.items()
    }
    assert whole.schedule.state() == rest.schedule.state()


def test_a_frame_in_which_nobody_can_be_found_is_left_out_or_raised():
    seen = Run(walker, LookAheadSchedule(5), broken=[5, 22]).over([frame(n) for n in range(23)])
    assert seen.failed == [5, 22]
    assert list(seen.found) == [n for n in range(23) if n not in (5, 22)]
    np.testing.assert_allclose(seen.found[3].xywh[0, 0], 29, atol=1e-3)
    with pytest.raises(BoxesError):
        Run(walker, LookAheadSchedule(5), broken=[5]).over([frame(n) for n in range(9)], tell=False)


def test_a_broken_first_frame_is_no_end():
    seen = Run(walker, LookAheadSchedule(5), broken=[0, 1]).over([frame(n) for n in range(9)])
    assert (seen.failed, list(seen.found)) == ([0, 1], list(range(2, 9)))


def test_another_size_of_image_needs_the_detector():
    seen = Run(walker, LookAheadSchedule(5)).over([frame(n, size=400 if n < 7 else 300) for n in range(12)])
    assert seen.ran == [0, 5, 6, 7, 11]


def test_large_images_are_not_gathered(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(interpolate, "HELD_BYTES", 3 * 400 * 400 * 3)
    assert np.diff(run(lambda _: {1: (100.0, 50.0)}, "auto", 31).ran).tolist() == [3] * 10


def test_it_is_lazy():
    taken: list[int] = []

    def frames() -> Iterator[Frame]:
        for n in range(100):
            taken.append(n)
            yield frame(n)

    run_ = Run(walker, LookAheadSchedule(5))
    found = interpolated(frames(), run_.detect, run_.predict, run_.schedule)
    next(found)
    assert taken == [0, 1, 2, 3, 4, 5], "two frames that the detector needs are found together"
    next(found)
    assert taken == [0, 1, 2, 3, 4, 5]
    for _ in range(5):
        next(found)
    assert taken == list(range(16)), "now 10 and 15"


def test_nobody_is_no_reason_to_detect_more_often():
    assert set(np.diff(run(lambda _: {}, "auto", 61).ran).tolist()) == {6}


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ConfigError, match="from 1, or auto"):
        LookAheadSchedule("often")
    with pytest.raises(ConfigError, match="frames with times"):
        Run(walker, LookAheadSchedule("auto")).over([Frame(np.zeros((40, 40, 3), np.uint8))])
    with pytest.raises(ConfigError, match="no state of a schedule"):
        LookAheadSchedule(5).restore({})
