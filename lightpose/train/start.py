"""What a run looks at before its first step, so that no hours are lost to what could be known: the validation data."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from lightpose.data.coco import CocoFile
from lightpose.data.people import PeopleFile
from lightpose.errors import DataError
from lightpose.skeletons import Skeleton, mirror_name

__all__ = ["check_boxed", "check_measurable", "warn_of_mirroring"]

_LOG = logging.getLogger("lightpose")
_NAMED = 3
"""Most missing files that an error names."""


def check_measurable(source: CocoFile, skeleton: Skeleton) -> None:
    """Raise DataError unless AP and PCK can be measured on a validation file; warn where AP will say nothing.

    skeleton: of the network. Raises SkeletonError if the file has none of its joints.
    """
    _, theirs = skeleton.match(source.skeleton.joints)
    persons = source.persons()
    measured = [person for person in persons if person.visibility[theirs].any()]
    if not measured:
        raise DataError(
            f"{source.path} has nobody to measure on: no person, crowds apart, has a box and a label of the network's "
            "joints; name another data.val"
        )
    _check_there(source.path, [person.image_path for person in measured])
    without = sum(not person.area > 0 for person in measured)
    if without:
        _LOG.warning(
            "%s: %d of %d persons have an area of 0, so OKS counts their joints as missed wherever they are found; "
            "where AP ties, PCK chooses the best epoch. Give the areas, or leave `area` out for that of the box",
            source.path, without, len(measured),
        )  # fmt: skip


def check_boxed(source: PeopleFile) -> None:
    """Raise DataError unless box AP can be measured on a validation file."""
    scenes = source.scenes()
    if not any(len(scene.boxes_xyxy) for scene in scenes):
        raise DataError(f"{source.path} has nobody to measure on: no box of a person; name another data.val")
    _check_there(source.path, [scene.image_path for scene in scenes])


def warn_of_mirroring(joints: Sequence[str], flip_probability: float) -> None:
    """Warn if crops are mirrored in training but no joint has a side, so that left would be taught as right."""
    if flip_probability > 0 and len(joints) > 1 and all(mirror_name(name) == name for name in joints):
        _LOG.warning(
            "no joint's name has a side: if some are left and right, mirrored crops teach one as the other; name pairs "
            "left_… and right_…, or set augment.flip_probability = 0"
        )


def _check_there(file: Path, images: Iterable[Path]) -> None:
    """Raise DataError, naming the first, if images are missing."""
    missing = [str(path) for path in dict.fromkeys(images) if not path.is_file()]
    if missing:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        raise DataError(f"{file}: there is no {', no '.join(missing[:_NAMED])}{more}; copy them or name their folder")
