"""What a run may write: nothing that it reads, no file twice, and nothing that another run is writing."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from lightpose.errors import ConfigError
from lightpose.io.files import is_plain, new_aside

__all__ = ["Place", "alone_in", "check_apart", "check_own", "claimed", "with_bin"]


class Place(NamedTuple):
    """A file of a run. name: what the user calls it, such as an option; empty if the path says enough."""

    name: str
    path: Path

    def __str__(self) -> str:
        return f"{self.name} {self.path}".strip()


def with_bin(place: Place) -> list[Place]:
    """A file, and the .bin that belongs to an .xml."""
    if place.path.suffix != ".xml":
        return [place]
    return [place, Place(f"the .bin of {place},", place.path.with_suffix(".bin"))]


def check_apart(reads: Iterable[Place], writes: Iterable[Place]) -> None:
    """Raise ConfigError if a run would write a file that it reads, or write one file twice.

    Files are compared as the disk knows them: links, hard links and ways of writing a path make no difference. Folders
    are passed over.
    """
    read = {key: place for place in reads if (key := _on_disk(place.path))}
    written: dict[object, Place] = {}
    for place in writes:
        there = _on_disk(place.path)
        if there in read:
            raise ConfigError(f"{place} would overwrite {read[there]}; name another file or folder to write")
        whole = there or os.path.normcase(os.path.realpath(place.path))
        if whole in written:
            raise ConfigError(f"{place} and {written[whole]} are one file; name two")
        written[whole] = place


def _on_disk(path: Path) -> tuple[int, int] | None:
    """What tells a file from all others; None if it is a folder or not there."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return None if path.is_dir() else (status.st_dev, status.st_ino)


def check_own(path: Path) -> None:
    """Raise ConfigError unless a file that is written in place is a regular one of one name, or not there."""
    if os.path.lexists(path) and not (is_plain(path) and path.stat().st_nlink == 1):
        raise ConfigError(f"{path} is a link, or a file of another name too; remove it")


@contextmanager
def alone_in(folder: Path, name: str, option: str) -> Iterator[None]:
    """Keep other runs out of a folder, which is made if need be. The lock of one that was killed is free.

    name: of the lock's file, which stays, since another run may have it open and a third would lock a new one. option:
    what names the folder. Raises ConfigError if another run is writing there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    check_own(folder / name)
    lock = FileLock(folder / name)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ConfigError(_in_use(folder, option)) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def claimed(place: Place) -> Iterator[None]:
    """Keep other runs from writing the same file, and remove the claims of those that were killed.

    A claim is a locked file aside. Each run makes its own first and then looks for others, so that no two go on.
    Raises ConfigError if another run has one.
    """
    name = place.path.name
    short = place.path.with_name(f"{name[:20]}-{zlib.crc32(os.fsencode(name)):08x}")
    mine = new_aside(short, suffix=".claim")
    lock = FileLock(mine)
    lock.acquire(timeout=0)
    try:
        for other in mine.parent.iterdir():
            if other.name.startswith(f".{short.name}.") and other != mine and is_plain(other):
                _remove_if_left(other, place)
        yield
    finally:
        lock.release()
        mine.unlink(missing_ok=True)


def _remove_if_left(claim: Path, place: Place) -> None:
    """Remove a claim that nobody holds any more. Raises ConfigError if somebody does."""
    try:
        with FileLock(claim, timeout=0):
            claim.unlink(missing_ok=True)
    except Timeout as error:
        raise ConfigError(_in_use(place.path, place.name)) from error


def _in_use(path: Path, option: str) -> str:
    return f"another run is writing to {path}; wait for it, or name another with {option}"
