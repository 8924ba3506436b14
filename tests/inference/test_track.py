"""The same id for the same person, whatever the frame rate; nothing left of people who went."""

import json

import numpy as np
import pytest

from lightpose.errors import ConfigError
from lightpose.inference.track import Tracker
from lightpose.results import Boxes, Poses
from lightpose.skeletons import Skeleton

THREE = Skeleton("three", ("nose", "left_knee", "right_knee"))
AT = np.array([[0.5, 0.1], [0.3, 0.7], [0.7, 0.7]])
"""Where joints are in a box."""


def people(
    xywh: object, scores: object = (), joint_score: float = 0.0, image_hw: tuple[int, int] | None = None
) -> Poses:
    """People of these boxes, with joints at fixed places in them."""
    boxes = Boxes(np.array(xywh, float).reshape(-1, 4), np.array(scores, float))
    points = boxes.xywh[:, None, :2] + AT * boxes.xywh[:, None, 2:]
    keypoints = np.concatenate([points, np.full((len(boxes), 3, 1), joint_score)], -1).astype(np.float32)
    return Poses(keypoints, boxes.scores, boxes, THREE, image_hw)


def ids(tracker: Tracker, xywh: object, time_s: float, **about: object) -> list[int]:
    found = tracker.update(people(xywh, **about), time_s)
    assert found.ids is not None
    return found.ids.tolist()


def box(x: float, y: float = 100.0) -> list[float]:
    """A person 100 pixels high, at x."""
    return [x, y, 40.0, 100.0]


def test_the_first_frame_is_confirmed_at_once_and_later_people_when_seen_again():
    tracker = Tracker()
    assert ids(tracker, [box(0), box(300)], 0.0) == [1, 2]
    assert ids(tracker, [box(600), box(300), box(0)], 0.04) == [2, 1]
    assert ids(tracker, [box(600), box(300), box(0)], 0.08) == [3, 2, 1]


def test_one_false_box_gets_no_id_and_uses_none_up():
    tracker = Tracker()
    assert ids(tracker, [box(0)], 0.0) == [1]
    assert ids(tracker, [box(0), box(500)], 0.04) == [1]
    for n in range(2, 40):
        assert ids(tracker, [box(0)], n * 0.04) == [1]
    ids(tracker, [box(0), box(800)], 1.6)
    assert ids(tracker, [box(0), box(800)], 1.64) == [1, 2]


def test_a_box_that_shrinks_at_the_edge_belongs_to_the_one_it_lies_in():
    """The detector's own boxes of a person who walks past a table and out of an image of 768 × 432."""
    walk = [[395, 30, 186, 361], [399, 24, 205, 369], [381, 17, 283, 392], [390, 27, 317, 388], [371, 23, 395, 382]]
    tracker = Tracker()
    for n, wide in enumerate(walk):
        assert ids(tracker, [wide], n / 10, image_hw=(432, 768)) == [1]
    assert ids(tracker, [[620, 37, 147, 333]], 0.6, image_hw=(432, 768)) == [1]
    assert ids(tracker, [[622, 60, 146, 321]], 0.7, image_hw=(432, 768)) == [1]


def test_a_small_box_in_two_people_is_neither_of_them():
    tracker = Tracker()
    assert ids(tracker, [[0, 0, 200, 400], [150, 0, 200, 400]], 0.0, image_hw=(400, 600)) == [1, 2]
    assert ids(tracker, [[155, 320, 40, 80]], 0.04, image_hw=(400, 600)) == []
    assert ids(tracker, [[155, 320, 40, 80]], 0.08, image_hw=(400, 600)) == [3]


def test_a_small_box_in_the_middle_of_the_image_is_somebody_new():
    tracker = Tracker()
    assert ids(tracker, [[100, 0, 200, 400]], 0.0, image_hw=(500, 600)) == [1]
    assert ids(tracker, [[155, 100, 40, 80]], 0.04, image_hw=(500, 600)) == []
    assert ids(tracker, [[155, 100, 40, 80]], 0.08, image_hw=(500, 600)) == [2]


def test_an_empty_first_frame_does_not_confirm_the_second_one():
    tracker = Tracker()
    assert ids(tracker, [], 0.0) == []
    assert ids(tracker, [box(0)], 0.04) == []
    assert ids(tracker, [box(0)], 0.08) == [1]


@pytest.mark.parametrize("fps", [5, 12.5, 25, 60])
@pytest.mark.parametrize("joint_score", [0.0, 0.9])
def test_people_who_cross_keep_their_ids_at_any_frame_rate(fps: float, joint_score: float):
    tracker = Tracker()
    for n in range(int(4 * fps)):
        walked = 80 * n / fps  # pixels: 0.8 heights a second
        boxes = [box(walked), box(300 - walked, 110), box(600 + walked)]
        assert ids(tracker, boxes, n / fps, joint_score=joint_score) == [1, 2, 3]


def scene(*people: tuple[list[float], list[int]]) -> np.ndarray:
    """A grey image with people as rectangles of one colour."""
    image = np.full((480, 640, 3), 120, np.uint8)
    for (x, y, width, height), color in people:
        image[round(y) : round(y + height), max(round(x), 0) : round(x + width)] = color
    return image


RED, BLUE = [200, 30, 30], [30, 30, 200]


def meeting(with_colors: bool) -> list[int]:
    """Ids of the red and the blue person, who walk towards each other, meet behind a pillar and turn round."""
    tracker = Tracker()
    for n in range(60):
        time_s = n / 25
        gap = abs(time_s - 1.2) * 90 + 8
        boxes = {"red": box(300 - gap), "blue": box(300 + gap)}
        image = scene((boxes["red"], RED), (boxes["blue"], BLUE)) if with_colors else None
        seen = [] if 0.9 < time_s < 1.5 else [*boxes.values()]
        found = tracker.update(people(seen), time_s, image)
    assert found.ids is not None
    return found.ids.tolist()


def test_colours_tell_people_apart_who_turn_round_while_nobody_sees_them():
    assert meeting(with_colors=False) == [2, 1], "by their boxes alone they have walked past each other"
    assert meeting(with_colors=True) == [1, 2]


def test_frames_without_an_image_change_no_colours():
    """Red is left of blue, then both have changed places."""
    tracker = Tracker()
    boxes = [[100, 100, 100, 200], [160, 100, 100, 200]]
    left, right = [125, 100, 50, 200], [185, 100, 50, 200]
    image = scene((left, RED), (right, BLUE))
    for n in range(20):
        found = tracker.update(people(boxes), n / 25, image if n < 10 else None)
        assert found.ids is not None
        assert found.ids.tolist() == [1, 2]
    found = tracker.update(people(boxes), 0.8, scene((right, RED), (left, BLUE)))
    assert found.ids is not None
    assert found.ids.tolist() == [2, 1]


def test_a_person_in_other_clothes_stays_the_same_where_there_is_nobody_else():
    tracker = Tracker()
    for n in range(50):
        found = tracker.update(people([box(100)]), n / 25, scene((box(100), RED if n < 25 else BLUE)))
        assert found.ids is not None
        assert found.ids.tolist() == [1]


@pytest.mark.parametrize("fps", [5, 12.5, 25])
def test_a_scene_has_the_same_ids_at_any_frame_rate(fps: float):
    """People enter and leave, one is hidden for 0.6 s while walking, two cross; boxes shake by 2 %."""
    generator, tracker, met = np.random.default_rng(0), Tracker(), {}
    for n in range(int(12 * fps)):
        time_s = n / fps
        paths = {
            "a": box(50 + 60 * time_s) if not 3 <= time_s < 3.6 else None,
            "b": box(700 - 60 * time_s, 115) if time_s < 9 else None,
            "c": box(900) if time_s >= 2 else None,
            "d": box(400 - 50 * (time_s - 6), 300) if 6 <= time_s < 11 else None,
        }
        names = [name for name, path in paths.items() if path]
        boxes = np.array([paths[name] for name in names])
        boxes += generator.normal(0, 0.02, boxes.shape) * boxes[:, [2, 3, 2, 3]]
        found = tracker.update(people(boxes), time_s)
        for number, xywh in zip(found.ids.tolist(), found.boxes.xywh, strict=True):
            name = names[int(np.abs(boxes - xywh).sum(1).argmin())]
            met.setdefault(name, set()).add(number)
    assert met == {"a": {1}, "b": {2}, "c": {3}, "d": {4}}


def test_who_comes_back_in_time_has_the_old_id_and_who_comes_late_a_new_one():
    for away_s, expected in ((0.8, [1]), (1.3, [2])):
        tracker = Tracker(keep_lost_s=1.0)
        for n in range(25):
            ids(tracker, [box(300)], n / 25)
        back = 24 / 25 + away_s
        for time_s in np.arange(1.0, back - 0.01, 0.04):
            assert ids(tracker, [], time_s) == []
        ids(tracker, [box(305)], back)
        assert ids(tracker, [box(305)], back + 0.04) == expected


def test_who_walks_out_of_the_picture_does_not_lend_the_id_to_who_walks_in():
    tracker, hw = Tracker(), (400, 400)
    for n in range(20):
        assert ids(tracker, [box(285 + 5 * n)], n / 25, image_hw=hw) == [1]
    for n in range(20, 33):
        assert ids(tracker, [], n / 25, image_hw=hw) == []
    assert ids(tracker, [box(365)], 33 / 25, image_hw=hw) == []
    assert ids(tracker, [box(362)], 34 / 25, image_hw=hw) == [2]


def test_unsure_boxes_continue_people_and_begin_none():
    tracker = Tracker()
    assert ids(tracker, [box(0), box(300)], 0.0, scores=[0.9, 0.3]) == [1]
    for n in range(1, 10):
        assert ids(tracker, [box(0), box(300)], n / 25, scores=[0.3, 0.3]) == [1]
    assert ids(tracker, [box(0)], 0.4, scores=[0.05]) == []


def test_a_sure_box_comes_before_an_unsure_one_that_fits_better():
    tracker = Tracker()
    ids(tracker, [box(0)], 0.0)
    found = tracker.update(people([box(0), box(8)], [0.3, 0.9]), 0.04)
    assert (found.ids.tolist(), found.boxes.xywh[0, 0]) == ([1], 8)


def test_sizes_in_pixels_do_not_matter():
    def run(scale: float) -> list[list[int]]:
        generator, tracker, found = np.random.default_rng(3), Tracker(), []
        for n in range(60):
            boxes = np.array([box(3 * n), box(200 - 2 * n, 120), box(90, 60)]) + generator.normal(0, 2, (3, 4))
            kept = boxes[generator.random(3) > 0.3]
            found.append(ids(tracker, scale * kept, n / 10))
        return found

    assert run(1) == run(8) == run(0.25)


def crowd(seed: int) -> list[tuple[Poses, float]]:
    """80 frames at odd times in which people come, go and cross."""
    generator, frames, time_s = np.random.default_rng(seed), [], 0.0
    starts = generator.uniform(0, 5, 12)
    for _ in range(80):
        time_s += float(generator.uniform(0.02, 0.15))
        here = np.flatnonzero((starts <= time_s) & (time_s < starts + 3))
        boxes = [box(60 * n + 70 * (time_s - starts[n]) * (-1) ** n) for n in here if generator.random() > 0.2]
        scores = generator.uniform(0.2, 1, len(boxes))
        frames.append((people(boxes, scores, joint_score=float(generator.uniform(0, 1))), time_s))
    return frames


@pytest.mark.parametrize("cut", [0, 1, 33, 79])
def test_a_resumed_run_ends_as_an_unbroken_one_to_the_bit(cut: int):
    frames, whole, half, rest = crowd(0), Tracker(), Tracker(), Tracker()
    expected = [whole.update(*frame) for frame in frames]
    for frame in frames[:cut]:
        half.update(*frame)
    rest.restore(json.loads(json.dumps(half.state())))
    for frame, poses in zip(frames[cut:], expected[cut:], strict=True):
        assert rest.update(*frame).ids.tolist() == poses.ids.tolist()
    assert json.dumps(rest.state()) == json.dumps(whole.state())


def test_two_trackers_do_not_meet_and_a_reset_one_begins_anew():
    one, other = Tracker(), Tracker()
    assert [ids(one, [box(0), box(300)], 0.0), ids(other, [box(300)], 0.0)] == [[1, 2], [1]]
    one.reset()
    assert one.state() == Tracker().state()
    assert ids(one, [box(300)], 0.0) == [1]


@pytest.mark.slow
def test_people_who_came_and_went_leave_no_state():
    tracker, most = Tracker(), 0
    for n in range(5000):  # each is seen twice
        for again in range(2):
            found = ids(tracker, [box(200 * (n % 7))], n * 1.1 + again / 25)
        most = max(most, len(json.dumps(tracker.state())))
    assert found == [5000]
    assert most < 2000


def test_the_forecast_goes_on_as_people_did():
    tracker = Tracker()
    for n in range(25):
        tracker.update(people([box(4 * n)]), n / 25)
    numbers, boxes = tracker.forecast(25 / 25)
    assert numbers.tolist() == [1]
    assert boxes.xywh[0] == pytest.approx(box(100), abs=3)
    assert len(tracker.forecast(9.0)[1]) == 0


def test_what_comes_in_is_left_alone():
    poses = people([box(0), box(50)], joint_score=0.8)
    kept = poses.keypoints.copy()
    Tracker().update(poses, 0.0)
    assert (poses.keypoints == kept).all()
    assert poses.ids is None


def test_times_that_fall_and_settings_without_sense_are_refused():
    tracker = Tracker()
    tracker.update(people([box(0)]), 2.0)
    for time_s in (1.0, float("nan")):
        with pytest.raises(ConfigError, match=r"reset the tracker"):
            tracker.update(people([box(0)]), time_s)
    for settings in ({"keep_lost_s": 0}, {"least_likeness": 2}, {"sure": 0.05}, {"reach": -1}):
        with pytest.raises(ConfigError, match="must"):
            Tracker(**settings)
    with pytest.raises(ConfigError, match="no state of a tracker"):
        tracker.restore({"time_s": 1.0})
