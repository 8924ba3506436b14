"""Checks of areas and crowds, and of what COCO's evaluation makes of them: AP, AP medium and AP large."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lightpose.data.check.faults import Fault, Finding
from lightpose.data.check.table import Table

__all__ = ["LARGE", "MEDIUM", "check_areas", "check_crowds"]

MEDIUM, LARGE = (32.0**2, 96.0**2), (96.0**2, 1e10)
"""Areas in square pixels, ends included, that COCO's keypoint evaluation calls medium and large."""

NO_AREA = Fault(
    "no_area", "warning", "annotation", "A labelled person has no area",
    "lightpose takes the box's, about twice a person's own, which is lenient; pycocotools stops with a KeyError",
    "Write the segment's area, or half of the box's.",
)  # fmt: skip
ZERO_AREA = Fault(
    "zero_area", "error", "annotation", "A labelled person's area is 0 or less",
    "OKS divides by the area: such a person is never found, however near the keypoints are, and AP is too low",
    "Write the segment's area, or half of the box's.",
)  # fmt: skip
ABOVE_BOX = Fault(
    "area_above_box", "warning", "annotation", "The area is larger than the box",
    "OKS forgives errors in proportion to the area: AP is too high", "See that area and box have the same scale.",
)  # fmt: skip
TINY_AREA = Fault(
    "tiny_area", "warning", "annotation", "The area is below a fiftieth of the box",
    "OKS forgives hardly any error there: AP is too low, unless next to nothing of the person is seen",
    "See that area and box have the same scale.",
)  # fmt: skip
IS_BOX = Fault(
    "area_is_box", "note", "annotation", "The areas are those of the boxes",
    "COCO's areas are of segments, about half the box: AP comes out higher than it would on COCO",
    "Do not compare AP with COCO's, or write half of the box's area.",
)  # fmt: skip
NOBODY = Fault(
    "nobody_counts", "error", "file", "Nobody has a labelled joint, crowds aside",
    "There is nothing to train on, and every AP and AR is −1, COCO's sign for nothing to measure",
    "Label joints with visibility 1 or 2, or have a network do it: lightpose data label.",
)  # fmt: skip
NO_MEDIUM = Fault(
    "no_medium", "note", "file", "No labelled person has an area of 32² to 96² pixels",
    "AP medium and AR medium are −1, COCO's sign for nothing to measure; it is no failure",
    "Read AP and AP large.",
)  # fmt: skip
NO_LARGE = Fault(
    "no_large", "note", "file", "No labelled person has an area of 96² pixels or more",
    "AP large and AR large are −1, COCO's sign for nothing to measure; it is no failure",
    "Read AP and AP medium.",
)  # fmt: skip
SMALL = Fault(
    "small_people", "note", "annotation", "Labelled persons of less than 32² pixels",
    "They count in AP but in neither AP medium nor AP large; COCO itself does not label people so small",
    "Leave their keypoints out if COCO's figures are to be compared.",
)  # fmt: skip
NO_CROWD = Fault(
    "no_crowd", "warning", "annotation", "The key `iscrowd` is missing",
    "lightpose takes it for 0; pycocotools stops with a KeyError", "Write \"iscrowd\": 0.",
)  # fmt: skip
CROWD_LABELS = Fault(
    "crowd_keypoints", "warning", "annotation", "A crowd has labelled keypoints",
    "They are not trained on, and AP ignores a crowd and whatever is found there",
    "Set iscrowd to 0 if it is one person.",
)  # fmt: skip


def check_areas(table: Table) -> Iterator[Finding]:
    """Whether areas are there and fit the boxes, and which of COCO's figures will have people to measure."""
    given = np.array(["area" in row for row in table.rows], dtype=bool)
    box_area = table.box[:, 2] * table.box[:, 3]
    yield NO_AREA.at(table.ids, ~given & table.labelled)
    yield ZERO_AREA.at(table.ids, (table.area <= 0) & table.labelled)
    positive = table.labelled & (table.area > 0) & (box_area > 0)
    yield ABOVE_BOX.at(table.ids, positive & (table.area > 1.05 * box_area))
    yield TINY_AREA.at(table.ids, positive & (table.area < 0.02 * box_area))
    same = positive & (np.abs(table.area - box_area) <= 0.01 * box_area)
    yield IS_BOX.at(table.ids, same, same.sum() > 0.9 * positive.sum())
    yield from _check_ranges(table)


def _check_ranges(table: Table) -> Iterator[Finding]:
    yield NOBODY.naming([] if table.labelled.any() else ["annotations"])
    area = table.effective_area[table.labelled]
    for fault, (low, high) in ((NO_MEDIUM, MEDIUM), (NO_LARGE, LARGE)):
        within = ((area >= low) & (area <= high)).any()
        yield fault.naming(["annotations"] if len(area) and not within else [])
    yield SMALL.at(table.ids, table.labelled & (table.effective_area < MEDIUM[0]))


def check_crowds(table: Table) -> Iterator[Finding]:
    """Whether crowds are marked as such, and hold no labels."""
    told = np.array(["iscrowd" in row for row in table.rows], dtype=bool)
    yield NO_CROWD.at(table.ids, ~told)
    yield CROWD_LABELS.at(table.ids, table.crowd & table.seen.any(1))
