"""What single values of a COCO-like file mean: numbers, ids, keypoints, names of image files."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np

__all__ = ["Key", "brief", "file_name", "is_small", "key", "keypoints", "limbs", "number", "numbered"]

Key = int | str
"""An id: a whole number of any size, or text that is none."""

_LARGEST = float(np.finfo(np.float32).max)
_WHOLE = re.compile(r"\s*([+-]?[0-9]{1,300})(\.0*)?\s*")
_SMALL = range(-(2**63), 2**63)


def brief(value: Any) -> str:
    """A value in a message: text as it is, all else as json has it, cut if it is long."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def number(value: Any) -> float | None:
    """The number that a value is, or writes as text; None if it is none, or not finite as float32."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if not isinstance(value, int | float):
        return None
    return value if abs(value) <= _LARGEST else None  # NaN is not


def key(value: Any) -> Key | None:
    """The id that a value is: 7 for 7, 7.0, "7" and "007"; other text as it is; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str):
        whole = _WHOLE.fullmatch(value)
        return int(whole[1]) if whole else value or None
    return value if isinstance(value, int) else None


def is_small(own: Key) -> bool:
    """Whether an id is a whole number of 64 bits."""
    return isinstance(own, int) and own in _SMALL


def numbered(keys: Sequence[Key]) -> list[int]:
    """A number of 64 bits for each id: the ids if all are such, else 1, 2, …"""
    if all(map(is_small, keys)):
        return [each for each in keys if isinstance(each, int)]
    return list(range(1, len(keys) + 1))


def file_name(name: str) -> str:
    """A path that may be a URL, or have been written on Windows, as a/b.jpg; a URL is its last part."""
    if "://" in name:
        return PurePosixPath(unquote(urlsplit(name).path)).name or name
    return str(PurePosixPath(name.replace("\\", "/")))


def keypoints(values: Any, joints: int) -> tuple[list[float] | None, list[str]]:
    """The (x, y, visibility) of all joints in a row, and codes of what was read how; None if they mean nothing.

    No keypoints are unlabelled ones. Visibilities are 0, 1 or 2 in the end: any above 0 is a label.
    """
    if _usual(values, joints):
        return values, []
    if values is None or values == []:
        return [0.0] * 3 * joints, ["no_keypoints"]
    if not isinstance(values, list):
        return None, []
    try:
        array = np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError):
        return None, []
    codes = ["text_number"] if any(type(value) is str for value in values) else []
    if array.shape == (2 * joints,):
        points = array.reshape(-1, 2)
        array = np.column_stack([points, np.where((points != 0).any(1) & ~np.isnan(points).any(1), 2, 0)]).ravel()
        codes.append("no_visibility")
    if array.shape != (3 * joints,):
        return None, []
    triples = array.reshape(-1, 3)
    nowhere = np.isnan(triples[:, :2]).any(1) & ~(triples[:, 2] > 0)
    if nowhere.any():
        triples[nowhere] = 0
        codes.append("no_place")
    seen = triples[:, 2]
    if not (np.abs(triples) <= _LARGEST).all():  # NaN is not
        return None, []
    if not np.isin(seen, (0, 1, 2)).all():
        triples[:, 2] = np.where(seen >= 2, 2, seen > 0)
        codes.append("bad_visibility")
    if not codes:
        return values, []
    return [value for x, y, v in triples.tolist() for value in (x, y, int(v))], codes


def _usual(values: Any, joints: int) -> bool:
    """Whether keypoints are plain numbers as COCO has them: told without arrays, ten times as fast."""
    return (
        isinstance(values, list)
        and len(values) == 3 * joints
        and {*map(type, values)} <= {int, float}
        and {*values[2::3]} <= {0, 1, 2}
        and max(values) <= _LARGEST
        and min(values) >= -_LARGEST
        and math.isfinite(sum(values))  # NaN hides from both
    )


def limbs(pairs: Any, joints: int) -> tuple[list[list[int]], str]:
    """Limbs as pairs of joint numbers from 1 on, and a code if they were counted from 0 or mean nothing."""
    if pairs in (None, []):
        return [], ""
    try:
        ends = np.array([[key(end) for end in pair] for pair in pairs], np.int64).reshape(-1, 2)
    except (TypeError, ValueError, OverflowError):
        return [], "bad_limbs"
    if ends.min() == 0 and ends.max() < joints:
        return (ends + 1).tolist(), "limbs_from_0"
    within = ends.min() >= 1 and ends.max() <= joints
    return (ends.tolist(), "") if within else ([], "bad_limbs")
