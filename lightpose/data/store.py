"""Squares of pixels kept between runs, as one memory-mapped array that is checked and mended before each.

A store is a folder of `crops.npy` and `checksums.npy`, the CRC-32 of each square, 0 for those that are still to be
made. So a build that was killed goes on where it was, and a damaged square is made again.
"""

from __future__ import annotations

import errno
import os
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from lightpose.errors import DataError, ImageError, LightposeError
from lightpose.io.places import check_own
from lightpose.types import ImageArray

__all__ = ["file_name", "open_pixels"]

_CHUNK = 64
"""Images after which the checksums of their squares are written."""
_NAMED = 5
"""Most images that cannot be used that an error names."""


def open_pixels(
    store: Path,
    pictures: Sequence[int],
    side: int,
    make: Callable[[list[int]], ImageArray],
    progress: Callable[[int, int], None],
    verify: bool,
) -> ImageArray:
    """The squares (N, side, side, 3) of a store, read only, built as far as they are not there yet.

    store: its folder, named by all that the pixels depend on. pictures: (N,) the image that each row is of. make:
    gives the squares of some rows, all of one image. progress: called with rows done and rows in all. verify: compare
    all squares with their checksums. Raises DataError if the disk is too full. Raises ImageError if images cannot be
    used, once the squares of all others are made, so that it names them together.
    """
    store.mkdir(parents=True, exist_ok=True)
    for name in ("lock", "crops.npy", "checksums.npy"):
        check_own(store / name)
    with FileLock(store / "lock"):  # one process at a time; the lock of one that was killed is free
        pixels, checksums = _open_arrays(store, len(pictures), side)
        if verify:
            _verify(pixels, checksums, progress)
        if not checksums.all():
            _reserve(store, checksums)
        _fill(pixels, checksums, pictures, make, progress)
    stored: ImageArray = np.load(store / "crops.npy", mmap_mode="r")
    return stored


def file_name(path: Path, images: Path) -> str:
    """An image's name in its folder, as the file has it, or its whole path if it is elsewhere."""
    return (path.relative_to(images) if path.is_relative_to(images) else path).as_posix()


def _open_arrays(store: Path, count: int, side: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The arrays of a store, writable; both new where one is missing, damaged or does not fit."""
    # new checksums first, so that they never speak of pixels that are yet to come
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


def _reserve(store: Path, checksums: NDArray[np.int64]) -> None:
    """Take all the room on the disk at once: a process that fills a memory-mapped file on a full one is killed.

    Raises DataError if there is too little.
    """
    path = store / "crops.npy"
    if not hasattr(os, "posix_fallocate"):  # outside Linux
        return
    try:
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        if error.errno != errno.ENOSPC:  # a file system that cannot reserve
            return
        size = path.stat().st_size
        if not checksums.any():
            path.unlink()
        raise DataError(
            f"{path} takes {size / 2**30:.2g} GiB, more than its disk has free; make room there, or "
            "name another place as data.store"
        ) from error


def _verify(pixels: ImageArray, checksums: NDArray[np.int64], progress: Callable[[int, int], None]) -> None:
    """Mark squares that do not have their checksum as still to be made."""
    present = np.flatnonzero(checksums)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, (row, found) in enumerate(
            zip(present, pool.map(lambda row: _checksum(pixels[row]), present), strict=True)
        ):
            if found != checksums[row]:
                checksums[row] = 0
            progress(done + 1, len(present))


def _checksum(crop: ImageArray) -> int:
    """CRC-32, never 0."""
    return zlib.crc32(np.ascontiguousarray(crop).data) + 1


def _fill(
    pixels: ImageArray,
    checksums: NDArray[np.int64],
    pictures: Sequence[int],
    make: Callable[[list[int]], ImageArray],
    progress: Callable[[int, int], None],
) -> None:
    """Make what is missing, one image read once for all its rows, in threads.

    Raises ImageError, or the only error there is, after the last one if some could not be made.
    """
    missing = sorted(np.flatnonzero(checksums == 0).tolist(), key=lambda row: pictures[row])
    groups = [list(group) for _, group in groupby(missing, key=lambda row: pictures[row])]

    def cut(rows: list[int]) -> LightposeError | None:
        try:
            pixels[rows] = make(rows)
        except (ImageError, DataError) as error:
            return error
        return None

    failed: list[LightposeError] = []
    done = len(pictures) - len(missing)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(groups), _CHUNK):
            chunk = groups[start : start + _CHUNK]
            errors = list(pool.map(cut, chunk))
            failed += [error for error in errors if error is not None]
            _flush(pixels)  # before the checksums say that they are there
            rows = [row for group, error in zip(chunk, errors, strict=True) if error is None for row in group]
            checksums[rows] = [_checksum(pixels[row]) for row in rows]
            _flush(checksums)
            done += len(rows)
            progress(done, len(pictures))
    _refuse(failed)


def _refuse(failed: Sequence[LightposeError]) -> None:
    """Raise the only error there is, or one that names the first few and the number of others."""
    if len(failed) == 1:
        raise failed[0]
    if failed:
        first = "; ".join(map(str, failed[:_NAMED]))
        more = f"; and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
        raise ImageError(
            f"{len(failed)} images cannot be used: {first}{more}. Mend them, or take them out of the labels; the "
            "others are cut and kept"
        )


def _flush(array: NDArray[Any]) -> None:
    """Write a memory-mapped array's changes to the disk."""
    if isinstance(array, np.memmap):
        array.flush()
