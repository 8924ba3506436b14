"""Joint errors as shares of a person's size, hand-worked."""

import json
from pathlib import Path

import numpy as np
import pytest

from lightpose.data.coco import read_coco
from lightpose.errors import DataError, SkeletonError
from lightpose.evaluate.pck import counted_joints, part_table, person_errors, person_sizes
from lightpose.skeletons import COCO17, LSP14, MPII16, Skeleton
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


def test_errors_are_measured_by_any_size_and_a_pixel_off_if_wanted():
    nan = float("nan")
    sizes = [10, nan]
    expected = [[np.hypot(3, 4) / 10, 0.5, 0, nan], [nan] * 4]
    np.testing.assert_allclose(person_errors(PEOPLE, THEIRS, KEYPOINTS, MINE, sizes), expected, atol=1e-7)
    off = person_errors(PEOPLE, THEIRS, KEYPOINTS, MINE, sizes, bias_px=1.0)
    np.testing.assert_allclose(off[0], [np.hypot(2, 3) / 10, np.hypot(1, 6) / 10, np.hypot(1, 1) / 10, nan], atol=1e-7)


def labelled(folder, joints, people, head_boxes=()):
    """A file with persons given as {joint: (x, y)}, all in one picture."""
    annotations = []
    for number, points in enumerate(people, 1):
        triples = [(*points[joint], 2) if joint in points else (0, 0, 0) for joint in joints]
        about = {"id": number, "image_id": 1, "category_id": 1, "bbox": [0, 0, 60, 90], "iscrowd": 0}
        annotations.append({**about, "keypoints": [value for triple in triples for value in triple]})
    for row, box in zip(annotations, head_boxes, strict=False):
        row["head_box"] = box
    category = {"id": 1, "name": "person", "keypoints": list(joints)}
    images = [{"id": 1, "file_name": "1.jpg", "height": 200, "width": 200}]
    (folder / "p.json").write_text(json.dumps({"images": images, "annotations": annotations, "categories": [category]}))
    return read_coco(folder / "p.json", folder)


def test_a_head_is_six_tenths_of_its_boxs_diagonal(tmp_path):
    source = labelled(tmp_path, MPII16.joints, [{"head_top": (5, 5)}] * 2, [[10, 20, 40, 60]])
    assert person_sizes(source, "head") == pytest.approx({1: 0.6 * 50, 2: float("nan")}, nan_ok=True)


def test_a_torso_is_left_shoulder_to_right_hip_or_the_other_way(tmp_path):
    both = {"left_shoulder": (10, 10), "right_hip": (40, 50), "right_shoulder": (0, 0), "left_hip": (6, 8)}
    other = {name: point for name, point in both.items() if name != "right_hip"}
    neither = {"left_shoulder": (10, 10), "left_hip": (6, 8)}
    same = {"left_shoulder": (10, 10), "right_hip": (10, 10)}
    source = labelled(tmp_path, COCO17.joints, [both, other, neither, same])
    nan = float("nan")
    assert person_sizes(source, "torso") == pytest.approx({1: 50, 2: 10, 3: nan, 4: nan}, nan_ok=True)


def test_a_box_is_its_longer_side_clipped_as_cocos_protocol_does(tmp_path):
    assert person_sizes(labelled(tmp_path, COCO17.joints, [{"nose": (1, 1)}]), "box") == {1: 89}


@pytest.mark.parametrize(("size", "wanted"), [("head", "nobody has a head_box"), ("torso", "a labelled shoulder and")])
def test_a_set_in_which_nobody_can_be_measured_is_refused(tmp_path, size, wanted):
    with pytest.raises(DataError, match=wanted):
        person_sizes(labelled(tmp_path, MPII16.joints, [{"left_knee": (1, 1)}]), size)


@pytest.mark.parametrize("box", [[1, 2, 3], "head", [1, 2, 1, 9], [5, 5, 2, 9], [0, 0, float("nan"), 1], [[1]], None])
def test_a_malformed_head_box_is_refused(tmp_path, box):
    with pytest.raises(DataError, match=r"annotation 1 must have a head_box \[left, top, right, bottom\]"):
        person_sizes(labelled(tmp_path, MPII16.joints, [{"neck": (1, 1)}], [box]), "head")


def test_pckh_table_by_hand():
    """SimpleBaseline's: a part is the mean of both sides, the mean is over all joints."""
    errors = np.full((4, 16), np.nan)
    place = {joint: number for number, joint in enumerate(MPII16.joints)}
    errors[:, place["left_wrist"]] = [0.1, 0.5, 0.51, np.nan]  # 2 of 3
    errors[:, place["right_wrist"]] = [0.6, np.nan, np.nan, np.nan]  # 0 of 1
    errors[:, place["left_knee"]] = [0.2] * 4  # 4 of 4
    errors[:, place["head_top"]] = [0.05, 0.7, 0.7, 0.7]  # 1 of 4
    errors[:, place["neck"]] = [0.0, 0.0, 0.0, 0.9]  # 3 of 4, in the mean alone
    table = part_table(errors, MPII16, "head", 0.5)
    nan = float("nan")
    expected = {"head": 1 / 4, "shoulder": nan, "elbow": nan, "wrist": 1 / 3, "hip": nan, "knee": 1, "ankle": nan}
    assert table == pytest.approx({**expected, "mean": (2 + 0 + 4 + 1 + 3) / (3 + 1 + 4 + 4 + 4)}, nan_ok=True)
    assert part_table(errors, MPII16, "torso", 0.5)["head"] == (1 / 4 + 3 / 4) / 2, "LSP counts the neck"
    assert np.isnan(part_table(errors[:0], MPII16, "head", 0.5)["mean"])


def test_mpii_leaves_pelvis_and_thorax_out_and_lsp_all_but_its_own():
    counted = counted_joints(MPII16, "head")
    assert {joint for joint, counts in zip(MPII16.joints, counted, strict=True) if not counts} == {"pelvis", "thorax"}
    assert counted_joints(LSP14, "torso").all()
    assert counted_joints(COCO17, "torso").sum() == 12
    assert counted_joints(COCO17, "box").all()
