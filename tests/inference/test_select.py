"""Who is kept of a frame's people."""

from dataclasses import replace

import numpy as np
import pytest

from lightpose.errors import ConfigError
from lightpose.inference.select import Selection, at_most, one_person
from lightpose.results import Boxes, Poses
from lightpose.skeletons import Skeleton

SIZES = [20, 50, 10, 40]


def four(ids: list[int] | None = None) -> Poses:
    boxes = Boxes(np.array([[0, 0, size, size] for size in SIZES]))
    return Poses(np.zeros((4, 1, 3), np.float32), boxes.scores, boxes, Skeleton("one", ("nose",)), ids=ids)


def widths(poses: Poses) -> list[float]:
    return poses.boxes.xywh[:, 2].tolist()


def test_the_largest_are_kept_in_their_order():
    assert [widths(at_most(four(), count)) for count in (1, 2, 3, 9)] == [[50], [50, 40], [20, 50, 40], SIZES]
    assert widths(one_person(four(), "largest")) == [50]


def test_the_first_has_the_lowest_id():
    assert widths(one_person(four(), "first")) == [20]
    assert widths(one_person(four([4, 3, 2, 9]), "first")) == [10]


def test_an_id_is_found_or_nobody_is():
    poses = four([4, 3, 2, 9])
    assert widths(one_person(poses, 9)) == [40]
    assert one_person(poses, 9).ids.tolist() == [9]
    assert len(one_person(poses, 5)) == 0


@pytest.mark.parametrize("which", ["largest", "first", 1])
def test_nobody_is_left_of_nobody(which: object):
    assert len(one_person(replace(four([1, 2, 3, 4]))[:0], which)) == 0


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ConfigError, match="keep 1 or more"):
        at_most(four(), 0)
    with pytest.raises(ConfigError, match="use largest, first or an id"):
        one_person(four(), "tallest")
    with pytest.raises(ConfigError, match="needs people with ids"):
        one_person(four(), 2)


def test_a_selection_is_a_stage_of_a_video():
    poses = four([4, 3, 2, 9])
    assert Selection().update(poses, 0.0) is poses
    assert Selection(max_people=2).update(poses, 0.0).ids.tolist() == [3, 9]
    assert Selection("first", 2).update(poses, 0.0).ids.tolist() == [2]
    assert Selection(9).update(poses, 0.0).ids.tolist() == [9]
    assert Selection().state() == {}
    with pytest.raises(ConfigError, match="0 people at most is nobody"):
        Selection(max_people=0)
