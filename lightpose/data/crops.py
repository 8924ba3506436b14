"""The crop store: every person of the training data cut out once, kept as one memory-mapped array.

A stored crop is square and shows `STORE_MARGIN` times the height of the network's crop, at its resolution, so that
scaling and rotating in training find real pixels around the person. Joints are the model's, matched by name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightpose.data.coco import CocoFile
from lightpose.data.store import file_name, open_pixels
from lightpose.data.stored import read_labelled
from lightpose.errors import DataError
from lightpose.ops.geometry import crop_regions, region_matrices, transform_points, warp
from lightpose.skeletons import Skeleton
from lightpose.types import PADDING, FloatArray, ImageArray, Person

__all__ = ["STORE_MARGIN", "CropStore", "open_store"]

STORE_MARGIN = 1.5
_VERSION = 2
_ASPECT = "msra"
"""How regions are shaped. Stores of version 0.1 say "udp" where they were cut by another aspect."""


@dataclass(frozen=True)
class CropStore:
    """Stored crops and their labels.

    crops: (N, S, S, 3) uint8 RGB. points: (N, K, 2) xy in stored-crop pixels. visibility: (N, K) int8.
    region: width and height, in stored-crop pixels, of the part that is the unaugmented network crop; it is centred.
    """

    crops: ImageArray
    points: FloatArray
    visibility: NDArray[np.int8]
    region: tuple[float, float]

    def __len__(self) -> int:
        return len(self.crops)


def open_store(
    source: CocoFile,
    skeleton: Skeleton,
    input_hw: tuple[int, int],
    folder: Path,
    progress: Callable[[int, int], None] = lambda *_: None,
    verify: bool = True,
    padding: float = PADDING,
) -> CropStore:
    """The store of a data set, built under `folder` as far as it is not there yet.

    progress: called with persons done and persons in all. verify: compare all crops with their checksums.
    Raises DataError if the set has no usable person, ImageError if an image cannot be read.
    """
    persons = source.persons()
    if not persons:
        raise DataError(f"{source.path} has no person with a labelled keypoint and a box")
    store = folder / _store_name(source, persons, input_hw, padding)
    side = round(input_hw[0] * STORE_MARGIN)
    matrices = _store_matrices(persons, input_hw, padding)

    def cut(rows: list[int]) -> ImageArray:
        first = persons[rows[0]]
        return warp(read_labelled(first.image_path, first.image_hw, first.upright), matrices[rows], (side, side))

    pictures = [person.image_id for person in persons]
    crops = open_pixels(store, pictures, side, cut, progress, verify)
    points, visibility = _labels(persons, source.skeleton, skeleton, matrices)
    return CropStore(
        crops=crops,
        points=points,
        visibility=visibility,
        region=(side / STORE_MARGIN * input_hw[1] / input_hw[0], side / STORE_MARGIN),
    )


def _store_name(source: CocoFile, persons: Sequence[Person], input_hw: tuple[int, int], padding: float) -> str:
    """A folder name that changes with everything that the crops depend on."""
    shown = [
        (file_name(person.image_path, source.images), person.box_xywh.tolist(), *(["upright"] * person.upright))
        for person in persons
    ]
    text = json.dumps([_VERSION, STORE_MARGIN, str(source.images.resolve()), input_hw, _ASPECT, padding, shown])
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return f"{source.path.stem}-{input_hw[0]}x{input_hw[1]}-{digest}"


def _labels(
    persons: Sequence[Person], named: Skeleton, skeleton: Skeleton, matrices: NDArray[np.float64]
) -> tuple[FloatArray, NDArray[np.int8]]:
    """Points (N, K, 2) in stored crops and visibility (N, K), joints matched by name."""
    mine, theirs = skeleton.match(named.joints)
    points = np.zeros((len(persons), len(skeleton), 2), np.float32)
    visibility = np.zeros((len(persons), len(skeleton)), np.int8)
    points[:, mine] = transform_points(np.stack([p.keypoints for p in persons]), matrices)[:, theirs]
    visibility[:, mine] = np.stack([p.visibility for p in persons])[:, theirs]
    return points, visibility


def _store_matrices(persons: Sequence[Person], input_hw: tuple[int, int], padding: float) -> NDArray[np.float64]:
    """Image → stored crop: the network's crop, enlarged to a square of STORE_MARGIN times its height."""
    centers, sizes = crop_regions(np.stack([p.box_xywh for p in persons]), input_hw, padding)
    side = round(input_hw[0] * STORE_MARGIN)
    square = np.repeat(sizes[:, 1:] * STORE_MARGIN, 2, axis=1)
    return region_matrices(centers, square, (side, side), "msra")
