"""Checks of the keypoints: their number, visibility and place, and people labelled twice or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from lightpose.data.check.faults import Fault, Finding
from lightpose.data.check.table import Bools, Floats, Table
from lightpose.ops.geometry import crop_regions

__all__ = ["check_keypoints", "check_people"]

_INPUT_HW = (256, 192)

AT_ORIGIN = Fault(
    "labelled_at_origin", "error", "annotation", "A joint at exactly 0, 0 is marked as labelled",
    "The network is taught, and AP expects it, to find that joint in the image's corner",
    "Set the visibility of joints without a place to 0.",
)  # fmt: skip
COLLAPSED = Fault(
    "one_point", "error", "annotation", "All of three or more labelled joints lie on one point",
    "The network is taught a person without extent, and AP expects it", "Label the joints anew or set them to 0.",
)  # fmt: skip
OFF_PICTURE = Fault(
    "keypoint_outside", "warning", "annotation", "A labelled joint lies outside the image",
    "The network is taught to find it in black padding; many of them mean that images were scaled after labelling",
    "Set the visibility of joints that cannot be seen to 0, or scale the labels as the images were.",
)  # fmt: skip
OFF_CROP = Fault(
    "keypoint_off_crop", "warning", "annotation", "A labelled joint lies outside the crop that a 256×192 network sees",
    "It is lost to training and cannot be found, so that AP is a little too low; COCO has a few such people",
    "If they are many, see that boxes and keypoints belong together; else correct the box or the joint.",
)  # fmt: skip
OTHER_PERSON = Fault(
    "other_person", "warning", "annotation", "Most of the labelled joints lie outside the person's box",
    "They are likely to be somebody else's: the network learns to look past the person in the middle of its crop, and "
    "AP expects that", "Look at them (lightpose data preview --ids …), and correct them or set them to 0.",
)  # fmt: skip
PLACED = Fault(
    "placed_unlabelled", "note", "annotation", "Joints of visibility 0 have a place",
    "They are unlabelled and ignored; COCO writes 0, 0, 0", "Set the visibility to 1 or 2 if the places are good.",
)  # fmt: skip
NUM_ZERO = Fault(
    "num_keypoints_zero", "error", "annotation", "num_keypoints is 0 though joints are labelled",
    "COCO's evaluator ignores these people: finding them gains nothing, missing them costs nothing, and if all are so "
    "AP is −1; lightpose counts the labels itself",
    "Set num_keypoints to the number of joints with visibility 1 or 2.",
)  # fmt: skip
NUM_PHANTOM = Fault(
    "num_keypoints_phantom", "error", "annotation", "num_keypoints is above 0 though no joint is labelled",
    "COCO's evaluator counts these people and takes any pose in the box for right: AP is wrong; lightpose does not",
    "Set num_keypoints to 0.",
)  # fmt: skip
NUM_OFF = Fault(
    "num_keypoints_off", "warning", "annotation", "num_keypoints is not the number of labelled joints",
    "None for training and AP, but something changed the labels and not the number",
    "Set num_keypoints to the number of joints with visibility 1 or 2.",
)  # fmt: skip
NO_NUM = Fault(
    "no_num_keypoints", "warning", "annotation", "The key `num_keypoints` is missing",
    "lightpose counts the labels itself; pycocotools stops with a KeyError",
    "Add num_keypoints, the number of joints with visibility 1 or 2.",
)  # fmt: skip
NEVER = Fault(
    "joint_never_labelled", "warning", "joint", "Joints that nobody has a label of",
    "A network trained on this file alone gives noise there, and AP does not tell",
    "Leave the joint out of the network's skeleton, or add data that have it.",
)  # fmt: skip
TWICE = Fault(
    "labelled_twice", "error", "annotation", "The same keypoints come twice in an image",
    "The person counts twice: once always as missed, because equal finds are merged, so that AP is too low",
    "Remove one of the two annotations.",
)  # fmt: skip
SAME_BOX = Fault(
    "same_box", "warning", "annotation", "The same box comes twice in an image, with different keypoints",
    "One crop has two answers: the network learns the mean of the two", "Look at the two, and give each its own box.",
)  # fmt: skip
BESIDE = Fault(
    "unlabelled_beside", "note", "annotation", "Persons without a labelled joint, in images where others have some",
    "Neither trained on nor counted in AP, as in COCO, where such people are small or hidden",
    "If they can be seen well, label them: lightpose data label does it with a network.",
)  # fmt: skip


def check_keypoints(table: Table) -> Iterator[Finding]:
    """Whether everybody's keypoints are numbers that can be used, marked rightly, and lie where the person is."""
    visibility, placed = table.keypoints[..., 2], (table.keypoints[..., :2] != 0).any(-1)
    yield AT_ORIGIN.at(table.ids, (table.seen & ~placed).any(1) & table.person)
    yield PLACED.at(table.ids, ((visibility == 0) & placed).any(1) & table.person)
    yield from _check_numbers(table)
    yield from _check_places(table)
    unseen = ~table.seen[table.person].any(0)
    yield NEVER.at(table.joints, unseen, table.labelled.any())


def _check_numbers(table: Table) -> Iterator[Finding]:
    """Whether `num_keypoints` is the number of labelled joints."""
    found, stated = table.seen.sum(1), table.stated
    usable = table.person & np.isfinite(table.keypoints).all((1, 2))
    told = np.array(["num_keypoints" in row for row in table.rows], dtype=bool)
    yield NUM_ZERO.at(table.ids, usable & (stated == 0) & (found > 0))
    yield NUM_PHANTOM.at(table.ids, usable & (stated > 0) & (found == 0))
    yield NUM_OFF.at(table.ids, usable & told & (stated != found) & (stated != 0) & (found > 0))
    yield NO_NUM.at(table.ids, ~told)


def _check_places(table: Table) -> Iterator[Finding]:
    points, seen = table.keypoints[..., :2], table.seen & table.person[:, None]
    limit = table.picture_hw[:, None, ::-1]
    outside: Bools = np.any((points < -1) | (points > limit), axis=-1) & seen
    yield OFF_PICTURE.at(table.ids, outside.any(1))
    other = _elsewhere(table, seen)
    many = other.sum() > 0.02 * table.labelled.sum()  # of COCO's labelled persons 3 in 1,261 are so
    yield (replace(OTHER_PERSON, severity="error") if many else OTHER_PERSON).at(table.ids, other)
    boxed: Bools = np.all(table.box[:, 2:] > 0, axis=1)  # NaN is not
    centers, sizes = crop_regions(np.where(boxed[:, None], table.box, 1), _INPUT_HW)
    away = np.any(np.abs(points - centers[:, None]) > sizes[:, None] / 2, axis=-1) & seen
    yield OFF_CROP.at(table.ids, away.any(1) & boxed & ~other)
    yield COLLAPSED.at(table.ids, _collapsed(points, seen, table.box[:, 2:].max(1, initial=0)))


def _elsewhere(table: Table, seen: Bools) -> Bools:
    """(N,): whether fewer than half of three or more labelled joints lie in the box, widened by a tenth."""
    corner, size = table.box[:, None, :2], table.box[:, None, 2:]
    points = table.keypoints[..., :2]
    inside: Bools = np.all((points >= corner - 0.1 * size) & (points <= corner + 1.1 * size), axis=-1)
    count = seen.sum(1)
    elsewhere: Bools = (count >= 3) & ((inside & seen).sum(1) < 0.5 * count) & (size[:, 0] > 0).all(1)
    return elsewhere


def _collapsed(points: Floats, seen: Bools, side: Floats) -> Bools:
    """(N,): whether three or more labelled joints have an extent below a hundredth of the box's side."""
    if not points.shape[1]:
        return np.zeros(len(points), bool)
    low = np.where(seen[..., None], points, np.inf).min(1)
    high = np.where(seen[..., None], points, -np.inf).max(1)
    flat: Bools = (seen.sum(1) >= 3) & ((high - low).max(1) < 0.01 * side)
    return flat


def check_people(table: Table) -> Iterator[Finding]:
    """Whether somebody is labelled twice, or left unlabelled beside others."""
    picture = table.image[:, None].astype(np.float64)
    known = table.labelled & (table.image >= 0)
    flat = np.where(table.seen[..., None], table.keypoints, 0).reshape(len(table.rows), 3 * len(table.joints))
    twice = _repeated(np.concatenate([picture, flat], axis=1), known)
    yield TWICE.at(table.ids, twice)
    boxed = known & np.isfinite(table.box).all(1) & ~twice
    yield SAME_BOX.at(table.ids, _repeated(np.concatenate([picture, table.box], axis=1), boxed))
    others = np.unique(table.image[known])
    yield BESIDE.at(table.ids, table.person & ~table.labelled & np.isin(table.image, others))


def _repeated(rows: Floats, counted: Bools) -> Bools:
    """(N,): those of the counted rows that were there before."""
    later = np.zeros(len(rows), bool)
    places = np.flatnonzero(counted)
    if len(places):
        first = np.unique(rows[places], axis=0, return_index=True)[1]
        later[np.delete(places, first)] = True
    return later
