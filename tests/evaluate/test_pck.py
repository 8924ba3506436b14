"""Joint errors as shares of a person's size, hand-worked."""

from pathlib import Path

import numpy as np
import pytest

from lightpose.errors import SkeletonError
from lightpose.evaluate.pck import person_errors
from lightpose.skeletons import Skeleton
from lightpose.types import Person

MINE = Skeleton("mine", ("nose", "left_hand", "right_hand", "tail"))
THEIRS = Skeleton("theirs", ("right_hand", "hat", "nose", "left_hand"))


def person(points, visibility, box):
    return Person(
        image_path=Path("a.jpg"),
        image_id=1,
        annotation_id=1,
        image_hw=(100, 100),
        box_xywh=np.array(box, np.float32),
        keypoints=np.array(points, np.float32),
        visibility=np.array(visibility, np.int8),
        area=1.0,
    )


PEOPLE = [
    person([[10, 10], [0, 0], [20, 20], [30, 30]], [2, 2, 1, 2], [0, 0, 20, 50]),  # its size is 50
    person([[10, 10], [0, 0], [20, 20], [30, 30]], [2, 2, 0, 1], [0, 0, 100, 40]),  # its size is 100
]
KEYPOINTS = np.array(
    [
        [[23, 24, 0.9], [30, 25, 0.9], [10, 10, 0.9], [1, 1, 0.9]],  # 3-4-5 off; 5 off; exact; no such label
        [[23, 24, 0.9], [30, 30, 0.0], [10, 110, 0.9], [1, 1, 0.9]],  # not labelled; exact; 100 off
    ],
    np.float32,
)


def test_errors_are_distances_by_name_over_the_longer_side_of_the_box():
    nan = float("nan")
    expected = [[5 / 50, 5 / 50, 0, nan], [nan, 0, 100 / 100, nan]]
    np.testing.assert_allclose(person_errors(PEOPLE, THEIRS, KEYPOINTS, MINE), expected, atol=1e-7)


def test_each_person_is_measured_alone():
    together = person_errors(PEOPLE, THEIRS, KEYPOINTS, MINE)
    for number in range(2):
        alone = person_errors(PEOPLE[number : number + 1], THEIRS, KEYPOINTS[number : number + 1], MINE)
        np.testing.assert_array_equal(alone[0], together[number])


def test_nobody_has_no_errors():
    assert person_errors([], THEIRS, np.zeros((0, 4, 3), np.float32), MINE).shape == (0, 4)


def test_inputs_are_left_alone():
    keypoints = KEYPOINTS.copy()
    person_errors(PEOPLE, THEIRS, keypoints, MINE)
    np.testing.assert_array_equal(keypoints, KEYPOINTS)


def test_skeletons_that_share_no_joint_are_refused():
    with pytest.raises(SkeletonError, match="no joint of skeleton 'mine'"):
        person_errors(PEOPLE, Skeleton("other", ("fin", "gill", "snout", "scale")), KEYPOINTS, MINE)
