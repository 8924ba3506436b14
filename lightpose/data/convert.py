"""What the readers of other data sets share: MATLAB files in, COCO keypoint documents out."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightpose.errors import ConfigError, DataError, MissingPackageError
from lightpose.skeletons import Skeleton

__all__ = ["AREA_SHARE", "Converted", "annotation", "category", "clip_box", "extent_box", "load_mat", "split"]

AREA_SHARE = 0.5
"""A person's area as a share of its box. COCO's areas are those of segments: in the median 0.49 of the box, of 433
persons of val2017 with at least eleven body joints."""

MARGIN = 0.08
"""How far a box reaches beyond the joints on every side, as a share of their longer extent. Of the same persons COCO's
boxes reach 0.06 beyond at the sides, and 0.10 above (the ears) and below."""

Floats = NDArray[np.float64]

_PROBE = "import sys; from scipy.io import loadmat; loadmat(sys.argv[1], variable_names=[sys.argv[2]])"
"""A program that reads a MATLAB file and gives nothing."""


@dataclass(frozen=True)
class Converted:
    """A COCO keypoint document, and how many images were left out of it for which reason."""

    document: dict[str, Any]
    skipped: dict[str, int]


def load_mat(path: Path, variable: str) -> Any:
    """A variable of a MATLAB file, structs as objects with attributes, arrays of one element as that element.

    Raises DataError if the file is missing, damaged, of version 7.3, or has no such variable; MissingPackageError
    without scipy.
    """
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise MissingPackageError("scipy", "train") from error
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    _survive(path, variable)
    try:
        found = loadmat(BytesIO(content), struct_as_record=False, squeeze_me=True, variable_names=[variable])
    except NotImplementedError as error:
        raise DataError(f"{path} is a MATLAB file of version 7.3; save it with -v7 in MATLAB or Octave") from error
    except Exception as error:  # scipy raises a kind of its own for each way a file can be damaged
        raise DataError(f"{path} is not a whole MATLAB file ({error})") from error
    if variable not in found:
        raise DataError(f"{path} has no variable called {variable}; is it the data set's own file?")
    return found[variable]


def _survive(path: Path, variable: str) -> None:
    """Raise DataError if scipy's reader, which trusts the types that a file tells of, takes its process down."""
    command = [sys.executable, "-c", _PROBE, str(path), variable]
    ended = subprocess.run(command, check=False, capture_output=True).returncode
    if ended not in (0, 1):
        raise DataError(f"{path} is not a whole MATLAB file (the process that read it ended with {ended})")


def category(skeleton: Skeleton) -> dict[str, Any]:
    """The person category with a skeleton's joints and limbs."""
    limbs = (skeleton.limb_indices + 1).tolist()
    return {"id": 1, "name": "person", "keypoints": list(skeleton.joints), "skeleton": limbs}


def extent_box(points: Floats, margin: float = MARGIN) -> Floats:
    """(4,) left, top, width, height around points (K, 2), of which there must be one, and a margin; see MARGIN."""
    low, high = points.min(0), points.max(0)
    reach = margin * (high - low).max()
    return np.concatenate([low - reach, high - low + 2 * reach])


def clip_box(box_xywh: Floats, image_hw: tuple[int, int]) -> Floats:
    """The part of a box (4,) that lies in the image; its width or height is 0 if none does."""
    limit = np.array(image_hw[::-1], dtype=np.float64)
    low = np.clip(box_xywh[:2], 0, limit)
    high = np.clip(box_xywh[:2] + box_xywh[2:], low, limit)
    return np.concatenate([low, high - low])


def annotation(number: int, image_id: int, box_xywh: Floats, area: float, triples: Floats) -> dict[str, Any]:
    """A row of a COCO file. triples: (K, 3) x, y, visibility; joints of visibility 0 are written as 0, 0, 0."""
    labelled = triples[:, 2] > 0
    shown = [[round(x, 2), round(y, 2), int(seen)] if seen else [0, 0, 0] for x, y, seen in triples.tolist()]
    return {
        "id": number,
        "image_id": image_id,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": [round(value, 2) for value in box_xywh.tolist()],
        "area": round(float(area), 2),
        "num_keypoints": int(labelled.sum()),
        "keypoints": [value for triple in shown for value in triple],
    }


def split(document: dict[str, Any], every: int = 0, after: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two documents: without and with the images whose id can be divided by `every` or is above `after`; 0 is none.

    Raises ConfigError if `every` is 1, or a number is below 0.
    """
    if every < 0 or every == 1 or after < 0:
        raise ConfigError(f"every ({every}) must be 2 or more and after ({after}) 1 or more to split; 0 leaves it out")
    ids = [image["id"] for image in document["images"]]
    chosen = {number for number in ids if (every and number % every == 0) or (after and number > after)}
    parts = []
    for inside in (False, True):
        images = [image for image in document["images"] if (image["id"] in chosen) == inside]
        rows = [row for row in document["annotations"] if (row["image_id"] in chosen) == inside]
        parts.append({**document, "images": images, "annotations": rows})
    return parts[0], parts[1]
