"""Checks of the person category: names of joints, their left and right, and the limbs between them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from lightpose.data.check.faults import Fault, Finding, Name
from lightpose.data.check.table import Row, keypoint_category, objects
from lightpose.errors import SkeletonError
from lightpose.skeletons import COCO_SIGMAS, SKELETONS, from_category, mirror_name

__all__ = ["check_joints"]

NO_NAMES = Fault(
    "no_joint_names", "error", "category", "No category has a list of `keypoints` names",
    "lightpose refuses the file: joints are matched by name, and without names none can be mirrored",
    "Add `keypoints`, the joints' names in their order, to the person category.",
)  # fmt: skip
SEVERAL = Fault(
    "several_categories", "warning", "category", "More than one category names keypoints",
    "Only the first is read; people of the others are passed over",
    "Split the file, or give everybody the same category.",
)  # fmt: skip
BAD_NAMES = Fault(
    "bad_joint_names", "error", "joint", "A joint's name is no text, or comes twice",
    "lightpose refuses the file", "Give every joint a name of its own.",
)  # fmt: skip
BAD_LIMBS = Fault(
    "bad_limbs", "error", "category", "The `skeleton` is not pairs of joint numbers that begin with 1",
    "lightpose refuses the file; counted from 0, every limb would be drawn one joint off",
    "Number the joints from 1 in `skeleton`, or leave it out.",
)  # fmt: skip
NO_LIMBS = Fault(
    "no_limbs", "note", "category", "The category has no `skeleton`",
    "Images show joints without limbs; training and AP are as good",
    "Add `skeleton`, pairs of joint numbers that begin with 1.",
)  # fmt: skip
FOREIGN_SIDES = Fault(
    "foreign_sides", "error", "joint", "Joints have a side that is not written `left_` or `right_`",
    "They are not paired: in mirrored training images, half of all, and in the flip test left is taught as right",
    "Rename them to left_… and right_….",
)  # fmt: skip
LONE_SIDES = Fault(
    "lone_sides", "warning", "joint", "A left or right joint has no partner on the other side",
    "In mirrored training images, and in the flip test, it stays itself: the network learns to find it on both sides",
    "Add the partner (it may be without labels), or name the joint without a side if it has none.",
)  # fmt: skip
UNMEASURED = Fault(
    "unmeasured_joints", "note", "joint", "Joints that COCO has no OKS sigma for",
    "They are scored with 0.079, the shoulder's, so that AP is not comparable with COCO's",
    "Give the network a skeleton with `sigmas` of your own.",
)  # fmt: skip

_SIDE = re.compile(r"^(l|r|left|right)(?=[ _.-])|(?<=[ _.-])(l|r|left|right)$|^(left|right)(?=[a-z])", re.IGNORECASE)
_CAPITAL = re.compile(r"^([LR])(?=[A-Z])")


def check_joints(document: Row) -> Iterator[Finding]:
    """Whether the joints have names that can be matched and mirrored."""
    category = keypoint_category(document)
    if category is None:
        yield NO_NAMES.naming(["categories"])
        return
    others = [row for row in objects(document, "categories") if row.get("keypoints") and row is not category]
    yield SEVERAL.naming(str(row.get("name", row.get("id"))) for row in others)
    names = category["keypoints"]
    title = str(category.get("name", category.get("id")))
    if not isinstance(names, list):
        yield NO_NAMES.naming([title])
        return
    texts = [str(name) for name in names]
    repeated = {name for name, count in Counter(texts).items() if count > 1}
    wrong = [str(name) for name in names if not isinstance(name, str) or name in repeated]
    yield BAD_NAMES.naming(wrong)
    yield BAD_LIMBS.naming([title] if not wrong and _limbs_refused(category) else [])
    known = any(skeleton.joints == tuple(texts) for skeleton in SKELETONS.values())
    yield NO_LIMBS.naming([] if known or category.get("skeleton") else [title])
    yield from _check_sides(texts)


def _limbs_refused(category: Row) -> bool:
    try:
        from_category(category)
    except SkeletonError:
        return True
    return False


def _check_sides(names: list[str]) -> Iterator[Finding]:
    foreign = [name for name in names if mirror_name(name) == name and {*_foreign_mirrors(name)} & {*names}]
    yield FOREIGN_SIDES.naming(foreign)
    yield LONE_SIDES.naming(name for name in names if mirror_name(name) not in names)
    unmeasured: list[Name] = [name for name in names if name not in COCO_SIGMAS and name not in foreign]
    yield UNMEASURED.naming(unmeasured)


def _foreign_mirrors(name: str) -> list[str]:
    """What the joint of the other side may be called, if the name has a side written in some other way."""
    mirrors = []
    for found in filter(None, (_CAPITAL.search(name), _SIDE.search(name))):
        side = found.group(0)
        other = {"l": "r", "r": "l", "left": "right", "right": "left"}[side.lower()]
        other = other.upper() if side.isupper() else other.title() if side[0].isupper() else other
        mirrors.append(name[: found.start()] + other + name[found.end() :])
    return mirrors
