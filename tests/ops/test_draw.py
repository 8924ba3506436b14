"""Drawing: on a copy, only what is sure, in the side's colour, and never failing on wild points."""

import warnings

import numpy as np
import pytest

from lightpose.results import Boxes, Poses, draw_poses
from lightpose.skeletons import COCO17, Skeleton

GROUND = np.full((80, 100, 3), 128, np.uint8)
SHOULDERS = Skeleton("shoulders", ("left_shoulder", "right_shoulder"), (("left_shoulder", "right_shoulder"),))


def poses_of(keypoints, skeleton=SHOULDERS):
    """Poses of (N, K, 3) keypoints, with boxes that drawing does not look at."""
    keypoints = np.asarray(keypoints, np.float32).reshape(-1, len(skeleton), 3)
    count = len(keypoints)
    return Poses(keypoints, np.ones(count, np.float32), Boxes(np.ones((count, 4))), skeleton)


def drawn(keypoints, skeleton=SHOULDERS, **options):
    """Which pixels of a grey picture drawing changes, (80, 100) bool."""
    return (draw_poses(GROUND, poses_of(keypoints, skeleton), **options) != GROUND).any(-1)


def test_the_picture_given_stays_as_it_was():
    image, poses = GROUND.copy(), poses_of([[20, 40, 1], [80, 40, 1]])
    image.flags.writeable = poses.keypoints.flags.writeable = False
    assert not np.array_equal(draw_poses(image, poses), GROUND)
    np.testing.assert_array_equal(image, GROUND)


def test_nobody_gives_an_equal_copy():
    copy = draw_poses(GROUND, poses_of([]))
    np.testing.assert_array_equal(copy, GROUND)
    assert not np.shares_memory(copy, GROUND)


@pytest.mark.parametrize(("joint", "channel"), [("left_eye", 0), ("right_eye", 2), ("nose", 1)])
def test_left_is_orange_right_is_blue_and_middle_is_green(joint, channel):
    picture = draw_poses(GROUND, poses_of([[50, 40, 1]], Skeleton("one", (joint,))))
    color = picture[40, 50].astype(int)
    assert color.argmax() == channel
    assert color[channel] > 200
    assert np.delete(color, channel).max() < 190


def test_a_joint_and_the_limb_between_two_are_drawn_where_they_are():
    changed = drawn([[20, 40, 1], [80, 40, 1]])
    assert changed[40, 20]
    assert changed[40, 80]
    assert changed[40, 50]
    assert not changed[:30].any()
    assert not changed[50:].any()


def test_a_joint_below_the_threshold_is_left_out_with_its_limbs():
    changed = drawn([[20, 40, 0.9], [80, 40, 0.19]])
    assert changed[40, 20]
    assert not changed[:, 30:].any()
    np.testing.assert_array_equal(drawn([[20, 40, 0.9], [80, 40, 0.6]], threshold=0.7), changed)


def test_nobody_above_the_threshold_leaves_the_picture_equal():
    assert not drawn([[20, 40, 0.1], [80, 40, 0.0]]).any()


def test_two_people_are_both_drawn():
    both = [[[10, 10, 1], [30, 10, 1]], [[60, 70, 1], [90, 70, 1]]]
    np.testing.assert_array_equal(drawn(both), drawn(both[:1]) | drawn(both[1:]))


@pytest.mark.parametrize("wild", [[np.nan, np.nan, 1], [50, np.inf, 1], [-np.inf, 40, 1], [80, 40, np.nan]])
def test_a_point_that_is_not_finite_is_left_out_without_a_warning(wild):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(drawn([[20, 40, 1], wild]), drawn([[20, 40, 1], [80, 40, 0]]))


@pytest.mark.parametrize("far", [[1e30, 40], [-1e30, 40], [5000, -1e9], [-300, 90], [100, 80]])
def test_a_point_far_outside_is_no_failure_and_the_near_one_is_drawn(far):
    assert drawn([[20, 40, 1], [*far, 1]])[40, 20]


def test_a_view_that_is_not_contiguous_can_be_drawn_on():
    pose = [[50, 40, 1]]
    one = Skeleton("one", ("nose",))
    wide = np.repeat(GROUND, 2, axis=1)
    np.testing.assert_array_equal(
        draw_poses(wide[:, ::2], poses_of(pose, one)), draw_poses(GROUND, poses_of(pose, one))
    )


def test_a_whole_body_changes_something_near_every_joint():
    rng = np.random.default_rng(0)
    pose = np.dstack([rng.uniform(5, 95, (1, 17)), rng.uniform(5, 75, (1, 17)), np.ones((1, 17))])
    changed = drawn(pose, COCO17)
    x, y = np.round(pose[0, :, :2]).astype(int).T
    assert changed[y, x].all()
