"""The crop store: every person of the training data cut out once, kept as one memory-mapped array.

A stored crop is square and shows `STORE_MARGIN` times the height of the network's crop, at its resolution, so that
scaling and rotating in training find real pixels around the person. Joints are the model's, matched by name.

A store is a folder of `crops.npy` and `checksums.npy`, the CRC-32 of each crop, 0 for those that are still
to be cut. So a build that was killed goes on where it was, and a damaged crop is cut again.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightpose.data.coco import CocoFile
from lightpose.errors import DataError, MissingPackageError
from lightpose.geometry import crop_regions, crop_span, region_matrices, transform_points, warp
from lightpose.images import read_image
from lightpose.skeletons import Skeleton
from lightpose.types import FloatArray, GeometryName, ImageArray, Person

__all__ = ["STORE_MARGIN", "CropStore", "open_store"]

STORE_MARGIN = 1.5
_VERSION = 2
_CHUNK = 64
"""Pictures after which the checksums of their crops are written."""


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
    verify: bool = True,
) -> CropStore:
    """The store of a data set, built under `folder` as far as it is not there yet.

    progress: called with persons done and persons in all. verify: compare all crops with their checksums.
    Raises DataError if the set has no usable person, ImageError if a picture cannot be read.
    """
    persons = source.persons()
    if not persons:
        raise DataError(f"{source.path} has no person with a labelled keypoint and a box")
    store = folder / _store_name(source, persons, input_hw, geometry)
    store.mkdir(parents=True, exist_ok=True)
    side = round(input_hw[0] * STORE_MARGIN)
    matrices = _store_matrices(persons, input_hw, geometry)
    with _locked(store):
        crops, checksums = _open_arrays(store, len(persons), side)
        if verify:
            _verify(crops, checksums, progress)
        _fill(crops, checksums, persons, matrices, progress)
    points, visibility = _labels(persons, source.skeleton, skeleton, matrices)
    span_w, span_h = crop_span(input_hw, geometry)
    return CropStore(
        crops=np.load(store / "crops.npy", mmap_mode="r"),
        points=points,
        visibility=visibility,
        region=(side / STORE_MARGIN * span_w / span_h, side / STORE_MARGIN),
    )


def _store_name(source: CocoFile, persons: Sequence[Person], input_hw: tuple[int, int], geometry: GeometryName) -> str:
    """A folder name that changes with everything that the crops depend on."""
    shown = [(_file_name(person.image_path, source.images), person.box_xywh.tolist()) for person in persons]
    text = json.dumps([_VERSION, STORE_MARGIN, str(source.images.resolve()), input_hw, geometry, shown])
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return f"{source.path.stem}-{input_hw[0]}x{input_hw[1]}-{digest}"


def _file_name(path: Path, images: Path) -> str:
    """A picture's name in its folder, as the file has it, or its whole path if it is elsewhere."""
    return (path.relative_to(images) if path.is_relative_to(images) else path).as_posix()


def _locked(store: Path) -> AbstractContextManager[object]:
    """One process at a time; the lock of one that was killed is free."""
    try:
        from filelock import FileLock
    except ImportError as error:
        raise MissingPackageError("filelock", "train") from error
    return FileLock(store / "lock")


def _open_arrays(store: Path, count: int, side: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The arrays of a store, writable; both new where one is missing, damaged or does not fit."""
    # new checksums first, so that they never speak of crops that are yet to come
    wanted = {"checksums": (np.int64, (count,)), "crops": (np.uint8, (count, side, side, 3))}
    checksums, crops = (_open_array(store / f"{name}.npy", *kind) for name, kind in wanted.items())
    if checksums is None or crops is None:
        checksums, crops = (
            np.lib.format.open_memmap(store / f"{name}.npy", mode="w+", dtype=dtype, shape=shape)
            for name, (dtype, shape) in wanted.items()
        )
    return crops, checksums


def _open_array(path: Path, dtype: type, shape: tuple[int, ...]) -> NDArray[Any] | None:
    """The array in a file, writable; None if there is none, or not a whole one of that kind."""
    try:
        np.lib.format.open_memmap(path, mode="r")  # "r+" would fill up a file that was cut short with zeros
        array = np.lib.format.open_memmap(path, mode="r+")
    except FileNotFoundError:
        return None
    except OSError:
        raise
    except Exception:  # numpy raises a different kind for each way a header can be damaged
        return None
    return array if array.shape == shape and array.dtype == dtype else None


def _verify(crops: ImageArray, checksums: NDArray[np.int64], progress: Callable[[int, int], None]) -> None:
    """Mark crops that do not have their checksum as still to be cut."""
    present = np.flatnonzero(checksums)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, (row, found) in enumerate(
            zip(present, pool.map(lambda row: _checksum(crops[row]), present), strict=True)
        ):
            if found != checksums[row]:
                checksums[row] = 0
            progress(done + 1, len(present))


def _checksum(crop: ImageArray) -> int:
    """CRC-32, never 0."""
    return zlib.crc32(np.ascontiguousarray(crop).data) + 1


def _fill(
    crops: ImageArray,
    checksums: NDArray[np.int64],
    persons: Sequence[Person],
    matrices: NDArray[np.float64],
    progress: Callable[[int, int], None],
) -> None:
    """Cut what is missing, one picture read once for all its persons, in threads."""
    missing = sorted(np.flatnonzero(checksums == 0).tolist(), key=lambda number: persons[number].image_id)
    groups = [list(group) for _, group in groupby(missing, key=lambda number: persons[number].image_id)]
    side = crops.shape[1]

    def cut(group: list[int]) -> None:
        picture = read_image(persons[group[0]].image_path, exif=False)
        crops[group] = warp(picture, matrices[group], (side, side))

    done = len(persons) - len(missing)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(groups), _CHUNK):
            chunk = groups[start : start + _CHUNK]
            list(pool.map(cut, chunk))
            _flush(crops)  # before the checksums say that they are there
            rows = [row for group in chunk for row in group]
            checksums[rows] = [_checksum(crops[row]) for row in rows]
            _flush(checksums)
            done += len(rows)
            progress(done, len(persons))


def _flush(array: NDArray[Any]) -> None:
    """Write a memory-mapped array's changes to the disk."""
    if isinstance(array, np.memmap):
        array.flush()


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


def _store_matrices(
    persons: Sequence[Person], input_hw: tuple[int, int], geometry: GeometryName
) -> NDArray[np.float64]:
    """Picture → stored crop: the network's crop, enlarged to a square of STORE_MARGIN times its height."""
    centers, sizes = crop_regions(np.stack([p.box_xywh for p in persons]), input_hw, geometry)
    side = round(input_hw[0] * STORE_MARGIN)
    square = np.repeat(sizes[:, 1:] * STORE_MARGIN, 2, axis=1)
    return region_matrices(centers, square, (side, side), "msra")
