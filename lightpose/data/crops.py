"""The crop store: every person of the training data cut out once, kept as one memory-mapped array.

A stored crop is square and shows `STORE_MARGIN` times the height of the network's crop, at its resolution, so that
scaling and rotating in training find real pixels around the person. Joints are the model's, matched by name.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightpose.data.coco import CocoFile
from lightpose.errors import DataError
from lightpose.geometry import crop_regions, crop_span, region_matrices, transform_points, warp
from lightpose.images import read_image
from lightpose.skeletons import Skeleton
from lightpose.types import FloatArray, GeometryName, ImageArray, Person

__all__ = ["STORE_MARGIN", "CropStore", "open_store"]

STORE_MARGIN = 1.5
_VERSION = 1


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
    geometry: GeometryName,
    folder: Path,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> CropStore:
    """The store of a data set, built under `folder` if it is not there yet.

    progress: called with persons done and persons in all. Raises DataError if the set has no usable person.
    """
    persons = source.persons()
    if not persons:
        raise DataError(f"{source.path} has no person with a labelled keypoint and a box")
    store = folder / _store_name(source, skeleton, input_hw, geometry)
    side = round(input_hw[0] * STORE_MARGIN)
    span_w, span_h = crop_span(input_hw, geometry)
    if not (store / "labels.npz").exists():
        _build(store, persons, source.skeleton, skeleton, input_hw, geometry, progress)
    labels = np.load(store / "labels.npz")
    return CropStore(
        crops=np.load(store / "crops.npy", mmap_mode="r"),
        points=labels["points"],
        visibility=labels["visibility"],
        region=(side / STORE_MARGIN * span_w / span_h, side / STORE_MARGIN),
    )


def _store_name(source: CocoFile, skeleton: Skeleton, input_hw: tuple[int, int], geometry: GeometryName) -> str:
    """A folder name that changes with everything that the store's content depends on."""
    text = json.dumps([_VERSION, STORE_MARGIN, str(source.images.resolve()), skeleton.joints, input_hw, geometry])
    digest = hashlib.sha256(source.path.read_bytes() + text.encode()).hexdigest()[:12]
    return f"{source.path.stem}-{input_hw[0]}x{input_hw[1]}-{digest}"


def _build(
    store: Path,
    persons: Sequence[Person],
    named: Skeleton,
    skeleton: Skeleton,
    input_hw: tuple[int, int],
    geometry: GeometryName,
    progress: Callable[[int, int], None],
) -> None:
    """Write the store beside its place, then rename it into place."""
    aside = store.with_name(f"{store.name}.{os.getpid()}.partial")
    shutil.rmtree(aside, ignore_errors=True)  # of a killed process with the same number
    aside.mkdir(parents=True)
    try:
        matrices = _store_matrices(persons, input_hw, geometry)
        _write_crops(aside / "crops.npy", persons, matrices, round(input_hw[0] * STORE_MARGIN), progress)
        mine, theirs = skeleton.match(named.joints)
        points = np.zeros((len(persons), len(skeleton), 2), np.float32)
        visibility = np.zeros((len(persons), len(skeleton)), np.int8)
        points[:, mine] = transform_points(np.stack([p.keypoints for p in persons]), matrices)[:, theirs]
        visibility[:, mine] = np.stack([p.visibility for p in persons])[:, theirs]
        np.savez(aside / "labels.npz", points=points, visibility=visibility)
        _move_into_place(aside, store)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _move_into_place(aside: Path, store: Path) -> None:
    """Rename a finished store, unless another run was faster; theirs is the same."""
    try:
        aside.rename(store)
    except OSError:
        if not (store / "labels.npz").exists():
            raise


def _store_matrices(
    persons: Sequence[Person], input_hw: tuple[int, int], geometry: GeometryName
) -> NDArray[np.float64]:
    """Picture → stored crop: the network's crop, enlarged to a square of STORE_MARGIN times its height."""
    centers, sizes = crop_regions(np.stack([p.box_xywh for p in persons]), input_hw, geometry)
    side = round(input_hw[0] * STORE_MARGIN)
    square = np.repeat(sizes[:, 1:] * STORE_MARGIN, 2, axis=1)
    return region_matrices(centers, square, (side, side), "msra")


def _write_crops(
    path: Path,
    persons: Sequence[Person],
    matrices: NDArray[np.float64],
    side: int,
    progress: Callable[[int, int], None],
) -> None:
    """Fill the memory-mapped array, one picture read once for all its persons, in threads."""
    crops = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(len(persons), side, side, 3))
    order = sorted(range(len(persons)), key=lambda number: persons[number].image_id)
    groups = [list(group) for _, group in groupby(order, key=lambda number: persons[number].image_id)]

    def cut(group: list[int]) -> int:
        picture = read_image(persons[group[0]].image_path, exif=False)
        crops[group] = warp(picture, matrices[group], (side, side))
        return len(group)

    done = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for count in pool.map(cut, groups):
            done += count
            progress(done, len(persons))
    crops.flush()
