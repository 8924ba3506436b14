"""Tracks and angles: values worked by hand, ids repaired, gaps that stay gaps."""

from pathlib import Path

import numpy as np
import pytest
from scipy.signal import butter, filtfilt

import lightpose
from lightpose.errors import ConfigError, DataError, ShapeError
from lightpose.ops.angles import ANGLES, angles_of
from lightpose.ops.joints import as_joints, height_px
from lightpose.ops.series import derivative, unwrapped
from lightpose.results import Poses, Tracks
from lightpose.skeletons import COCO17, Skeleton
from tests.formats.people import walkers

FOOT = {"right_knee": (0, 0), "right_ankle": (0, 90), "right_heel": (0, 100)}
LEG = Skeleton("leg", ("left_hip", "left_knee", "left_ankle"))


@pytest.fixture
def tracks() -> Tracks:
    return Tracks.from_frames(walkers())


def joints(*points: tuple[float, float]) -> np.ndarray:
    return np.array([(*point, 1.0) for point in points])


@pytest.mark.parametrize(
    ("ankle", "facing", "degrees"),
    [
        ((0, 200), "right", 0),  # straight down
        ((-100, 100), "right", 90),  # heel towards the seat of somebody who looks right
        ((-100, 100), "left", -90),  # and of somebody who looks left, a knee that bends forwards
        ((-100, 200), "right", 45),
        ((100, 200), "right", -45),
    ],
)
def test_a_straight_knee_is_0_and_a_bent_one_above_0(ankle, facing, degrees):
    leg = joints((0, 0), (0, 100), ankle)
    assert angles_of(leg, LEG.joints, ["left_knee"], facing)[0] == pytest.approx(degrees)


@pytest.mark.parametrize(
    ("name", "points", "degrees"),
    [
        ("right_elbow", {"right_shoulder": (0, 0), "right_elbow": (0, 50), "right_wrist": (50, 50)}, 90),
        ("right_elbow", {"right_shoulder": (0, 0), "right_elbow": (0, 50), "right_wrist": (0, 99)}, 0),
        ("trunk", {"neck": (0, 0), "pelvis": (0, 100)}, 90),
        ("trunk", {"neck": (100, 0), "pelvis": (0, 100)}, 45),
        ("pelvis", {"left_hip": (100, 0), "right_hip": (0, 0)}, 0),
        ("pelvis", {"left_hip": (100, 0), "right_hip": (0, 100)}, 45),
        ("left_thigh", {"left_hip": (0, 0), "left_knee": (0, 100)}, -90),
        ("right_hip", {"right_hip": (0, 0), "right_knee": (0, 90), "pelvis": (0, 0), "neck": (0, -90)}, 0),
        ("right_hip", {"right_hip": (0, 0), "right_knee": (90, 0), "pelvis": (0, 0), "neck": (0, -90)}, 90),
        ("right_ankle", FOOT | {"right_big_toe": (40, 100)}, 0),
        ("right_ankle", FOOT | {"right_big_toe": (40, 60)}, 45),
    ],
)  # fmt: skip
def test_angles_worked_by_hand(name, points, degrees):
    found = angles_of(joints(*points.values()), [*points], [name], "right")
    assert found[0] == pytest.approx(degrees, abs=1e-9)


def test_toes_tell_where_a_person_looks():
    names = ("left_hip", "left_knee", "left_ankle", "left_big_toe", "right_big_toe", "left_heel", "right_heel")
    right = joints((0, 0), (0, 100), (-100, 100), (30, 0), (30, 0), (0, 0), (0, 0))
    mirrored = right * (-1, 1, 1)
    for leg in (right, mirrored):
        assert angles_of(leg, names, ["left_knee"], "auto")[0] == pytest.approx(90)


def test_every_angle_has_its_row_in_the_docs():
    page = (Path(__file__).parent.parent / "docs/angles.md").read_text(encoding="utf-8")
    for rule in ANGLES.values():
        assert f"`{rule.name.removeprefix('left_').removeprefix('right_')}`" in page


def test_poses_have_angles_by_name(tracks: Tracks):
    assert tracks[5].angles()["left_knee"].shape == (2,)
    assert "left_ankle" not in tracks[5].angles()
    missing = tracks[5].above(0.5)
    assert np.isnan(missing.angles()["right_knee"]).all()  # its ankle scores 0.1
    assert np.isfinite(missing.angles()["left_knee"]).all()


def test_normalized_places_are_shares_of_the_image(tracks: Tracks):
    poses, shares = tracks[0], tracks[0].normalized()
    assert np.allclose(shares.keypoints[..., :2] * (640, 480), poses.keypoints[..., :2], rtol=1e-5)
    assert np.allclose(shares.boxes.xywh * (640, 480, 640, 480), poses.boxes.xywh, rtol=1e-5)
    with pytest.raises(ShapeError, match="the image's size is unknown; give it"):
        Poses(poses.keypoints, poses.scores, poses.boxes, COCO17).normalized()


def test_frames_become_tracks_and_tracks_frames(tracks: Tracks):
    assert repr(tracks) == "Tracks(40 frames, 2 people, 17 joints, 0.00 to 1.56 s)"
    assert tracks.keypoints.shape == (40, 2, 17, 3)
    assert (tracks.ids.tolist(), len(tracks[10]), len(tracks[20]), len(tracks[-1])) == ([3, 7], 1, 0, 2)
    for before, after in zip(walkers(), tracks, strict=True):
        assert np.array_equal(before.keypoints, after.keypoints)
        assert (before.ids.tolist(), before.frame, before.time_s) == (after.ids.tolist(), after.frame, after.time_s)


def test_a_part_has_its_frames_and_people(tracks: Tracks):
    assert tracks.between(0.4, 0.56).frame.tolist() == [10, 11, 12, 13]
    assert tracks.between(0.4, 0.56).ids.tolist() == [3]
    assert tracks.person(7).ids.tolist() == [7]
    with pytest.raises(ConfigError, match="there is no person 5; there are 3, 7"):
        tracks.person(5)


@pytest.mark.parametrize(("most_s", "filled"), [(0.05, []), (0.1, [20]), (0.19, [20]), (0.21, [10, 11, 12, 13, 20])])
def test_gaps_are_filled_up_to_a_length(most_s: float, filled: list[int], tracks: Tracks):
    """7 is not seen for 0.2 s from sight to sight, and nobody for 0.08 s."""
    found = tracks.fill(most_s)
    assert np.flatnonzero(found.state[:, 1] == 3).tolist() == filled
    assert np.isfinite(found.keypoints[:, 1, 0, 0]).sum() == 35 + len(filled)
    if 11 in filled:
        middle = found.keypoints[11, 1, 0, :2]
        ends = tracks.keypoints[[9, 14], 1, 0, :2]
        assert np.allclose(middle, ends[0] + (ends[1] - ends[0]) * 2 / 5, atol=1e-3)


def test_smoothing_is_the_filter_of_scipy_and_keeps_what_was(tracks: Tracks):
    one = tracks.person(3).between(0.84, 1.6)
    smooth = one.smooth(hz=6)
    b, a = butter(2, 6 / 12.5)
    wanted = filtfilt(b, a, one.keypoints[:, 0, 3, 0].astype(float))
    assert np.allclose(smooth.keypoints[:, 0, 3, 0], wanted, atol=1e-4)  # float32
    assert np.array_equal(smooth.raw, one.keypoints)
    with pytest.raises(ConfigError, match="the filter 'mean' is unknown; use butterworth"):
        one.smooth("mean")


def test_resampling_keeps_gaps_and_puts_points_on_lines(tracks: Tracks):
    double = tracks.resample(50)
    assert (len(double), double.time_s[1]) == (79, 0.02)
    assert np.allclose(double.keypoints[::2], tracks.keypoints, equal_nan=True)
    assert np.allclose(double.keypoints[1, 0, 0, 0], tracks.keypoints[:2, 0, 0, 0].mean())
    assert double.state[39:42, 0].tolist() == [0, 0, 0]  # between a sight and none there is none
    assert np.allclose(double.resample(25).keypoints, tracks.keypoints, equal_nan=True)


def test_ids_are_repaired_by_hand(tracks: Tracks):
    parted = tracks.split(3, 1.0)
    assert parted.ids.tolist() == [3, 7, 8]
    assert (parted[24].ids.tolist(), parted[25].ids.tolist()) == ([3, 7], [7, 8])
    assert np.array_equal(parted.merge(3, 8).keypoints, tracks.keypoints, equal_nan=True)
    swapped = tracks.swap(3, 7, 1.0)
    assert np.array_equal(swapped.keypoints[30, 0], tracks.keypoints[30, 1])
    assert np.array_equal(swapped.keypoints[:25], tracks.keypoints[:25], equal_nan=True)
    assert np.array_equal(swapped.swap(3, 7, 1.0).keypoints, tracks.keypoints, equal_nan=True)
    with pytest.raises(ConfigError, match="3 and 7 cannot be one person: both are in frame 0"):
        tracks.merge(3, 7)


def test_velocities_are_slopes():
    time_s = np.arange(50) / 25
    line = np.stack([3 * time_s, -2 * time_s, np.where(time_s < 1, np.nan, time_s**2)], 1)
    slopes = derivative(line, time_s)
    assert np.allclose(slopes[:, :2], (3, -2))
    assert np.isnan(slopes[:25, 2]).all()
    assert np.allclose(slopes[26:-1, 2], 2 * time_s[26:-1])
    moving = Tracks.from_frames(walkers(40))
    assert moving.velocities(hz=None).shape == (40, 2, 17, 2)


def test_a_turn_over_180_degrees_is_no_jump(tracks: Tracks):
    assert unwrapped(np.array([170.0, -170, np.nan, 100])).tolist()[:2] == [170, 190]
    knee = tracks.person(3).angles(["left_knee"])
    slow = knee.velocities(hz=None)
    wanted = np.gradient(np.unwrap(knee["left_knee"][:20, 0], period=360), tracks.time_s[:20])
    assert np.allclose(slow["left_knee"][:20, 0], wanted)
    assert slow.unit == "deg/s"


def test_metres_come_from_a_persons_height():
    """A person of 779 pixels from ankle to shoulder is 1000 pixels tall."""
    names = (
        "left_ankle",
        "right_ankle",
        "left_knee",
        "right_knee",
        "left_hip",
        "right_hip",
        "left_shoulder",
        "right_shoulder",
    )
    points = [(0, 1779), (20, 1779), (0, 1533), (20, 1533), (0, 1288), (20, 1288), (0, 1000), (20, 1000)]  # fmt: skip
    tall = joints(*points)[None]
    assert height_px(tall, names) == pytest.approx(1000)
    boxes = lightpose.Boxes(np.array([[0, 1000, 20, 779]]))
    pose = Poses(
        tall.astype(np.float32), np.ones(1, np.float32), boxes, Skeleton("body", names), ids=np.array([1]), time_s=0.0
    )
    metres = Tracks.from_frames([pose]).scale(1.8)
    assert metres.keypoints[0, 0, 0, :2] == pytest.approx((0, 0))
    assert metres.keypoints[0, 0, 7, :2] == pytest.approx((0.036, 1.4022), abs=1e-5)
    assert np.allclose(metres.boxes[0, 0, :4], (0, 0, 0.036, 1.4022), atol=1e-5)
    for angles in (metres.angles()["left_knee"], Tracks.from_frames([pose]).angles()["left_knee"]):
        assert angles[0, 0] == pytest.approx(0, abs=1e-4)


def test_neck_and_mid_hip_lie_midway_with_the_smaller_score(tracks: Tracks):
    people = tracks[0].keypoints.copy()
    people[:, COCO17.joints.index("left_hip"), 2] = 0.3
    found = as_joints(people, COCO17.joints, ("mid_hip", "neck", "left_heel", "nose"))
    hips = people[:, [COCO17.joints.index("left_hip"), COCO17.joints.index("right_hip")]]
    assert np.allclose(found[:, 0, :2], hips[..., :2].mean(1))
    assert np.allclose(found[:, 0, 2], 0.3)
    assert np.isnan(found[:, 2, :2]).all()
    assert (found[:, 2, 2] == 0).all()
    assert np.array_equal(found[:, 3], people[:, 0])


def test_tables_have_the_columns_that_are_documented(tracks: Tracks):
    pytest.importorskip("pandas")
    long, wide = tracks.to_frame("pandas"), tracks.to_frame("pandas", wide=True)
    assert [*long.columns] == [
        "source",
        "frame",
        "time_s",
        "person",
        "joint",
        "x",
        "y",
        "score",
        "state",
        "x_raw",
        "y_raw",
    ]
    assert (len(long), len(wide)) == (74 * 17, 74)
    assert long.person.dtype == wide.person.dtype == np.int64
    assert {"left_knee_x", "left_knee_y", "left_knee_score"} <= {*wide.columns}


def test_what_contradicts_itself_is_told():
    frames = walkers(3)
    with pytest.raises(DataError, match="frame 0 comes after frame 1; numbers must rise"):
        Tracks.from_frames([frames[1], frames[0]])
    with pytest.raises(DataError, match="there is no frame at all"):
        Tracks.from_frames([])
    twice = frames[0][np.array([0, 0])]
    with pytest.raises(DataError, match="frame 0 has person 3 twice; each id must be there once"):
        Tracks.from_frames([twice])
