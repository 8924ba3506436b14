"""Who is who at a seam, in cases worked by hand."""

import numpy as np
import pytest

from lightpose.results import Boxes, Poses
from lightpose.scale.seams import Sights, joined_ids, same_people
from lightpose.skeletons import COCO17

LEFT, RIGHT, FAR = [10.0, 0.0, 20.0, 60.0], [100.0, 0.0, 20.0, 60.0], [400.0, 0.0, 20.0, 60.0]


def sights(*frames: tuple[float, dict[int, list[float]]]) -> dict[str, list[list[float]]]:
    """Of each frame the time, and the box of each person by id."""
    found = Sights()
    for time_s, people in frames:
        boxes = np.array(list(people.values()), np.float32).reshape(-1, 4)
        keypoints = np.zeros((len(people), 17, 3), np.float32)
        scores = np.ones(len(people), np.float32)
        ids = np.array(list(people), np.int64)
        found.add(Poses(keypoints, scores, Boxes(boxes), COCO17, ids=ids, time_s=time_s))
    return found.to_json()


def test_people_are_those_whose_boxes_are_in_the_same_places_at_the_same_times():
    before = sights((1.0, {3: LEFT, 7: RIGHT}), (1.1, {3: LEFT, 7: RIGHT, 8: FAR}))
    after = sights((1.0, {1: RIGHT, 2: LEFT}), (1.1, {1: RIGHT, 2: LEFT}))
    assert same_people(before, after) == {1: 7, 2: 3}
    assert same_people(after, before) == {7: 1, 3: 2}


def test_most_common_sights_count_where_people_have_met():
    before = sights(*((n / 10, {1: LEFT, 2: RIGHT}) for n in range(4)), (0.4, {1: RIGHT, 2: LEFT}))
    after = sights(*((n / 10, {5: LEFT, 6: RIGHT}) for n in range(5)))
    assert same_people(before, after) == {5: 1, 6: 2}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([(1.0, {1: LEFT})], [(1.1, {1: LEFT})]),  # never seen at one time
        ([(1.0, {1: LEFT})], [(1.0, {1: RIGHT})]),
        ([(1.0, {1: LEFT})], [(1.0, {1: [24.0, 0.0, 20.0, 60.0]})]),  # an overlap of 6 in 34
        ([], [(1.0, {1: LEFT})]),
        ([(1.0, {1: LEFT})], []),
        ([], []),
    ],
)
def test_others_are_nobody_who_was_there(one: list, other: list):
    assert same_people(sights(*one), sights(*other)) == {}


def test_the_last_sights_of_each_person_are_kept():
    kept = sights(*((n / 10, {4: LEFT}) for n in range(20)))
    assert [row[0] for row in kept["4"]] == [n / 10 for n in range(12, 20)]


def test_new_people_follow_those_who_are_known():
    first, count = joined_ids([1, 2, 4], {}, {}, 0)
    assert (first, count) == ({1: 1, 2: 2, 4: 3}, 3)
    second, count = joined_ids([1, 3, 6], {1: 4, 6: 9}, first, count)  # 9 has no row before
    assert (second, count) == ({1: 3, 3: 4, 6: 5}, 5)
