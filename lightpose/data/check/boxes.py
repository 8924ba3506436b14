"""Checks of the boxes: whether they have an area in the image, and are what COCO means by a box."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lightpose.data.check.faults import Fault, Finding
from lightpose.data.check.table import Bools, Floats, Table

__all__ = ["check_boxes"]

_WRITTEN = "COCO boxes are [left, top, width, height] in pixels; convert them."

EMPTY = Fault(
    "empty_box", "error", "annotation", "A labelled person's box has no area in the image",
    "The person is left out of training and can never be found, so that AP and AR are too low",
    "Correct the box, or make one of the keypoints' extent.",
)  # fmt: skip
EMPTY_UNLABELLED = Fault(
    "empty_box_unlabelled", "note", "annotation", "An unlabelled person's box has no area in the image",
    "None for training and AP, which pass unlabelled people over; no network can label them either",
    "Correct or remove the annotations.",
)  # fmt: skip
OUTSIDE = Fault(
    "box_outside", "warning", "annotation", "The box reaches more than 2 pixels out of the image",
    "It is clipped before the crop is cut, as in COCO's protocol: the person sits off the crop's middle",
    "See that boxes and images have the same scale; clip the boxes to the image.",
)  # fmt: skip
XYXY = Fault(
    "xyxy_boxes", "error", "annotation", "The boxes look like [left, top, right, bottom]",
    "Crops reach far beyond the person, who is small and off the middle: training and AP are spoiled", _WRITTEN,
)  # fmt: skip
CENTERED = Fault(
    "centered_boxes", "error", "annotation", "The boxes look like [centre x, centre y, width, height]",
    "Crops show the lower right of the person and what lies beside: training and AP are spoiled", _WRITTEN,
)  # fmt: skip
SHARES = Fault(
    "relative_coordinates", "error", "annotation", "Boxes or keypoints are shares of the image, between 0 and 1",
    "Every crop is the image's upper left pixel: there is nothing to learn or measure", _WRITTEN,
)  # fmt: skip
IN_BOX = Fault(
    "keypoints_in_box", "error", "annotation", "The keypoints look as if they were measured from the box's corner",
    "The labels lie off the people: a network learns nonsense, and AP is near 0", "Add the box's left and top to them.",
)  # fmt: skip
ONE_BASED = Fault(
    "one_based", "warning", "annotation", "Boxes touch 1 but never 0: coordinates seem to be counted from 1",
    "Everything lies a pixel low and right, which matters for small people and in AP75 and above",
    "Subtract 1 from all x and y, if they came from MATLAB.",
)  # fmt: skip


def check_boxes(table: Table) -> Iterator[Finding]:
    """Whether each box has an area in its image, and whether all are written as COCO writes them."""
    x, y, w, h = table.box.T
    height, width = table.picture_hw.T
    empty = (w <= 0) | (h <= 0) | (x >= width - 1) | (y >= height - 1) | (x + w <= 0) | (y + h <= 0)
    yield EMPTY.at(table.ids, empty & table.labelled)
    yield EMPTY_UNLABELLED.at(table.ids, empty & table.person & ~table.labelled)
    beyond = (x < -2) | (y < -2) | (x + w > width + 2) | (y + h > height + 2)
    yield OUTSIDE.at(table.ids, beyond & ~empty & table.person)
    yield from _check_writing(table)


def _check_writing(table: Table) -> Iterator[Finding]:
    """Whether another way of writing boxes fits the file as a whole better than COCO's."""
    known = table.person & np.isfinite(table.box).all(1) & np.isfinite(table.picture_hw).all(1)
    if not known.any():
        return
    shares = _are_shares(table, known)
    yield SHARES.at(table.ids, known, shares)
    if shares:
        return
    x, y, w, h = table.box.T
    height, width = table.picture_hw.T
    out = known & ((x + w > width + 2) | (y + h > height + 2))
    corners = (w > x) & (h > y) & (w <= width + 2) & (h <= height + 2)
    yield XYXY.at(table.ids, out, out[known].mean() > 0.3 and corners[known].mean() > 0.95)
    yield from _check_places(table, known)
    first = table.box[:, :2]
    ones = known & (first == 1).any(1)
    many = ones.sum() >= max(10, 0.02 * known.sum())
    yield ONE_BASED.at(table.ids, ones, many and not (first[known] < 1).any())


def _are_shares(table: Table, known: Bools) -> bool:
    """Whether no box, or no labelled joint, reaches beyond 1.5, though images are larger."""
    seen = table.seen & known[:, None]
    largest = [array.max(initial=0) for array in (table.box[known], table.keypoints[seen][:, :2]) if len(array)]
    return bool(min(largest) <= 1.5 and table.picture_hw[known].min() >= 16)


def _check_places(table: Table, known: Bools) -> Iterator[Finding]:
    """Whether the labelled joints lie in the boxes, or would if boxes or joints were meant in another way."""
    corner, size = table.box[:, None, :2], table.box[:, None, 2:]
    points, counted = table.keypoints[..., :2], table.seen & known[:, None]
    usual = _share_inside(points, corner, size, counted)
    for fault, shown, start in ((CENTERED, points, corner - size / 2), (IN_BOX, points + corner, corner)):
        other = _share_inside(shown, start, size, counted)
        yield fault.at(table.ids, counted.any(1), counted.sum() >= 10 and usual < 0.6 and other > 0.9)


def _share_inside(points: Floats, corner: Floats, size: Floats, counted: Bools) -> float:
    """Share of the counted points (N, K, 2) that lie in the boxes (N, 1, 2), widened by a tenth."""
    inside: Bools = np.all((points >= corner - 0.1 * size) & (points <= corner + 1.1 * size), axis=-1)
    return float(inside[counted].mean()) if counted.any() else 1.0
