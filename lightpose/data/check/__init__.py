"""What is wrong with a COCO keypoint file, and what each fault would do to training or to AP.

Works on files that `read_coco` refuses too. What is valid is decided by its reader; here are the consequences.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lightpose.data.check.areas import LARGE, MEDIUM, check_areas, check_crowds
from lightpose.data.check.boxes import check_boxes
from lightpose.data.check.faults import Finding, Severity
from lightpose.data.check.joints import check_joints
from lightpose.data.check.keypoints import check_keypoints, check_people
from lightpose.data.check.pictures import check_pictures
from lightpose.data.check.sides import check_sides
from lightpose.data.check.structure import check_structure
from lightpose.data.check.table import read_table
from lightpose.data.stored import fit_images
from lightpose.errors import DataError
from lightpose.io.coco import read_annotations

__all__ = ["Finding", "Severity", "Summary", "check_coco", "summarise"]

_ORDER: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Summary:
    """What is in a file.

    persons: annotations of the person category that are no crowd. labelled: those of them with a labelled joint.
    medium, large: those of them that AP medium and AP large measure. joints: by name, how many are labelled as visible
    and how many as hidden.
    """

    pictures: int
    pictures_with_labels: int
    persons: int
    crowds: int
    labelled: int
    medium: int
    large: int
    joints: dict[str, tuple[int, int]]


def check_coco(document: Any, images: Path | None = None, examples: int = 5) -> list[Finding]:
    """What is wrong with the content of a COCO keypoint file, the gravest first.

    images: the folder of its images; they are not looked at without. examples: how many ids a finding names at most.
    Raises DataError if the document is no COCO annotation file at all, or there is no such folder.
    """
    _require_coco(document)
    if images is not None and not images.is_dir():
        raise DataError(f"there is no folder of images called {images}")
    found = [finding for finding in _findings(document, images) if finding.count]
    found = [replace(finding, examples=finding.examples[:examples]) for finding in found]
    return sorted(found, key=lambda finding: _ORDER.index(finding.severity))


def summarise(document: Any) -> Summary:
    """Counts of the images, people and joints in a file. Raises DataError as `check_coco` does."""
    _require_coco(document)
    table = read_table(read_annotations(document, "pose"))
    area = table.effective_area[table.labelled]
    visible = (table.keypoints[..., 2] == 2) & table.labelled[:, None]
    hidden = table.seen & ~visible & table.labelled[:, None]
    medium, large = (int(((area >= low) & (area <= high)).sum()) for low, high in (MEDIUM, LARGE))
    counts = zip(visible.sum(0).tolist(), hidden.sum(0).tolist(), strict=True)
    return Summary(
        pictures=len(table.images),
        pictures_with_labels=len(np.unique(table.image[table.labelled & (table.image >= 0)])),
        persons=int(table.person.sum()),
        crowds=int(table.crowd.sum()),
        labelled=int(table.labelled.sum()),
        medium=medium,
        large=large,
        joints=dict(zip(table.joints, counts, strict=True)),
    )


def _require_coco(document: Any) -> None:
    if isinstance(document, list):
        raise DataError("this is a list, as detections and results are, not a COCO annotation file")
    if not isinstance(document, dict) or not {"images", "annotations", "categories"} & set(document):
        raise DataError("this is no COCO annotation file: it has no images, annotations or categories")


def _findings(document: dict[str, Any], images: Path | None) -> Iterator[Finding]:
    reading = read_annotations(document, "pose")
    fitted = fit_images(reading.document["images"], images)
    yield from check_structure(reading.document, reading.remarks + fitted.remarks)
    yield from check_joints(reading.people)
    table = read_table(reading)
    for check in _CHECKS:
        yield from check(table)
    yield from check_pictures(fitted)


_CHECKS = (check_boxes, check_areas, check_crowds, check_keypoints, check_people, check_sides)
