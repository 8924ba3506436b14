"""Left and right: names that cannot be mirrored, and bodies that cannot be turned so."""

import numpy as np
import pytest

from lightpose.data.check import check_coco
from lightpose.skeletons import COCO17
from tests.data.faulty import document, found, names, swap

STYLES = {
    "l_eye": lambda side, part: f"{side[0]}_{part}",
    "LEye": lambda side, part: side[0].upper() + part.title(),
    "Left eye": lambda side, part: f"{side.title()} {part}",
    "left-eye": lambda side, part: f"{side}-{part}",
    "LEFT_EYE": lambda side, part: f"{side}_{part}".upper(),
    "eye_left": lambda side, part: f"{part}_{side}",
    "leftEye": lambda side, part: side + part.title(),
    "eye.L": lambda side, part: f"{part}.{side[0].upper()}",
}


@pytest.mark.parametrize("style", STYLES)
def test_sides_written_in_another_way_are_recognised(style):
    content = document()
    content["categories"][0]["keypoints"] = names(STYLES[style])
    assert found(content)["foreign_sides"].count == 16


def test_names_that_only_begin_like_a_side_have_none():
    content = document()
    content["categories"][0]["keypoints"] = ["leftover", "rim", "lip", "rib", "Lung", "Rump", "l", "r", "ear_l"] + [
        f"joint {number}" for number in range(8)
    ]
    assert not {"foreign_sides", "lone_sides"} & set(found(content))


@pytest.mark.parametrize("angle", [0, 90, 180, 233])
def test_a_body_with_right_sides_is_never_suspected_whichever_way_up_it_is(angle):
    content = document()
    turn_all(content, angle)
    assert not {code for code in found(content) if code.startswith(("reversed", "swapped", "mostly"))}


@pytest.mark.parametrize("angle", [0, 90, 180, 233])
@pytest.mark.parametrize(
    ("pair", "code"), [("hip", "reversed_torso"), ("eye", "reversed_face"), ("ear", "reversed_eyes")]
)
def test_a_swapped_pair_is_suspected_whichever_way_up_the_person_is(angle, pair, code):
    content = document()
    swap(content["annotations"][4], pair)
    turn_all(content, angle)
    assert found(content)[code].examples == (105,)


def turn_all(content, angle_deg):
    """Turn everybody about the middle of the box."""
    cos, sin = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    for target in content["annotations"]:
        points = np.array(target["keypoints"]).reshape(-1, 3)
        middle = np.array(target["bbox"][:2]) + np.array(target["bbox"][2:]) / 2
        points[:, :2] = (points[:, :2] - middle) @ np.array([[cos, sin], [-sin, cos]]) + middle
        target["keypoints"] = points.ravel().tolist()


def test_a_person_seen_from_behind_is_not_suspected():
    content = document()
    target = content["annotations"][4]
    swap(target, "shoulder", "elbow", "wrist", "hip", "knee", "ankle", "ear", "eye")
    for joint in range(3):  # the face cannot be seen
        target["keypoints"][3 * joint : 3 * joint + 3] = [0, 0, 0]
    target["num_keypoints"] = 14
    assert check_coco(content) == []


def test_names_exchanged_in_the_whole_file_are_one_error():
    content = document()
    content["categories"][0]["keypoints"] = [COCO17.joints[n] for n in COCO17.flip_order]
    finding = found(content)["swapped_names"]
    assert (finding.severity, finding.count) == ("error", 1)
    assert "reversed_face" not in found(content)


def test_bodies_without_faces_that_all_turn_their_backs_are_a_warning():
    content = document(60)
    for target in content["annotations"]:
        swap(target, "shoulder", "hip")
        target["keypoints"][: 3 * 5] = [0, 0, 0] * 5
        target["num_keypoints"] = 12
    assert found(content)["mostly_backs"].severity == "warning"
