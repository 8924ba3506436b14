"""Checks of the person category: names of joints, their left and right, and the limbs between them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lightpose.data.check.faults import Fault, Finding, Name
from lightpose.io.coco import People
from lightpose.skeletons import COCO_SIGMAS, SKELETONS, mirror_name

__all__ = ["check_joints"]

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
NO_SIDES = Fault(
    "no_sides", "warning", "joint", "No joint's name has a side",
    "If some are left and right, half of all training images, and the flip test, teach left as right",
    "Name pairs left_… and right_…; or set augment.flip_probability = 0, and pass --no-flip to evaluate and predict.",
)  # fmt: skip
UNMEASURED = Fault(
    "unmeasured_joints", "note", "joint", "Joints that COCO has no OKS sigma for",
    "They are scored with 0.079, the shoulder's, so that AP is not comparable with COCO's",
    "Give the network a skeleton with `sigmas` of your own.",
)  # fmt: skip

_SIDE = re.compile(r"^(l|r|left|right)(?=[ _.-])|(?<=[ _.-])(l|r|left|right)$|^(left|right)(?=[a-z])", re.IGNORECASE)
_CAPITAL = re.compile(r"^([LR])(?=[A-Z])")


def check_joints(people: People | None) -> Iterator[Finding]:
    """Whether the joints have names that can be matched and mirrored."""
    if people is None or not people.joints:
        return
    known = any(skeleton.joints == people.joints for skeleton in SKELETONS.values())
    yield NO_LIMBS.naming([] if known or people.row.get("skeleton") else [people.row["name"]])
    yield from _check_sides(list(people.joints))


def _check_sides(names: list[str]) -> Iterator[Finding]:
    foreign = [name for name in names if mirror_name(name) == name and {*_foreign_mirrors(name)} & {*names}]
    yield FOREIGN_SIDES.naming(foreign)
    sided = any(mirror_name(name) != name for name in names) or foreign
    yield NO_SIDES.naming([] if sided or len(names) < 2 else names)
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
