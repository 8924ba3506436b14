"""Images in files: of folders, patterns, and lists of paths."""

from __future__ import annotations

import errno
import glob
import os
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from lightpose.errors import ConfigError, ImageError, UnreachableError
from lightpose.io.headers import image_kind
from lightpose.io.images import max_bytes, read_regular
from lightpose.io.sources import ImageFile, images_of
from lightpose.scale.source import DistinctNames, Item, SourceOptions, readable

__all__ = ["LISTS", "FolderSource", "ListSource", "check_there", "is_list", "is_local", "read_file"]

LISTS = frozenset({".txt", ".lst", ".list"})
"""Suffixes of files with a path in each line."""

_PASSING = frozenset({errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EINTR, errno.ENFILE, errno.EMFILE})
"""Errors of network disks and busy computers, after which a file may be read the next time."""


def is_local(place: str) -> bool:
    """Whether an input is on this computer: a path or a pattern, and no address."""
    return "://" not in place


def is_list(place: str) -> bool:
    """Whether an input is a file with a path in each line."""
    try:
        return Path(place).suffix.lower() in LISTS and image_kind(read_regular(place, 64)) is None
    except ImageError:
        return False


class FolderSource:
    """The images that files, folders and patterns name, each once, by the rules of `lightpose predict`.

    Images of one folder are named by their paths below it, so that the folder may be moved between two runs. Those of
    several inputs, and of patterns, are named by their paths as they are written.
    """

    def __init__(self, inputs: Sequence[str], options: SourceOptions) -> None:
        self.kept_types: Mapping[str, Any] = {}
        self._inputs, self._out = tuple(inputs), Path(options.out) if options.out else None
        self._top = Path(inputs[0]).absolute() if len(inputs) == 1 and Path(inputs[0]).is_dir() else None
        if options.keep:
            raise ConfigError(f"--keep {','.join(options.keep)} is for tables: images in files have no columns")

    def items(self) -> Iterator[Item]:
        """See `Source`. Raises ImageError if an input is not there or has no image."""
        names, seen = DistinctNames(), _Seen() if len(self._inputs) > 1 else None
        check_there(self._inputs)
        for given in self._inputs:
            empty = True
            for file in images_of(given, self._out):
                empty = False
                if seen is None or seen.is_new(file.path):
                    yield self._item(file, names)
            if empty:
                raise ImageError(f"there is no image in {given}; name another folder or pattern, or leave it out")

    def read(self, place: str) -> bytes:
        """See `Source`."""
        return read_file(Path(place) if self._top is None else self._top / place)

    def _item(self, file: ImageFile, names: DistinctNames) -> Item:
        inside = self._top is not None and not file.fault
        named = file.name.as_posix() if inside else str(file.path)
        name = readable(named)
        place = str(file.name) if inside else os.path.abspath(file.path)  # noqa: PTH100 - links stay
        return Item(name if name == named and "\\" not in name else names(name), place, file.stamp())


class ListSource:
    """The images that a text file names: a path in each line, or between zero bytes, for names with line breaks.

    Paths count from the folder in which the command runs. A path that is there twice is two images.
    """

    def __init__(self, inputs: Sequence[str], options: SourceOptions) -> None:
        self.kept_types: Mapping[str, Any] = {}
        self._lists = tuple(Path(each) for each in inputs)
        if options.keep:
            raise ConfigError(f"--keep {','.join(options.keep)} is for tables: a list has no columns")

    def items(self) -> Iterator[Item]:
        """See `Source`. Raises ImageError if a list is empty."""
        names = DistinctNames()
        for place in self._lists:
            empty = True
            for line in _lines(place):
                empty = False
                path = Path(os.fsdecode(line))
                yield Item(names(readable(str(path))), str(path.absolute()), ImageFile(path, path).stamp())
            if empty:
                raise ImageError(f"there is no path in {place}; write one in each line")

    def read(self, place: str) -> bytes:
        """See `Source`."""
        return read_file(Path(place))


def check_there(inputs: Sequence[str]) -> None:
    """Raise ImageError if an input is no pattern, and nothing is there."""
    for given in inputs:
        if not os.path.lexists(given) and not glob.has_magic(given):
            raise ImageError(f"there is no file or folder {given}; check its name")


def read_file(path: Path) -> bytes:
    """The bytes of an image's file, as `Source.read` gives them."""
    try:
        return read_regular(path, max_bytes() + 1)
    except ImageError as error:
        if getattr(error.__cause__, "errno", None) in _PASSING:
            raise UnreachableError(str(error)) from error
        raise


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a list that are not empty. Raises ImageError if it cannot be read."""
    try:
        with path.open("rb") as file:
            start = file.read(2**16)
            split = b"\0" if b"\0" in start else b"\n"
            file.seek(len(BOM_UTF8) if start.startswith(BOM_UTF8) else 0)
            rest = b""
            while block := file.read(2**20):
                *lines, rest = (rest + block).split(split)
                yield from (line for each in lines if (line := each.removesuffix(b"\r")))
            yield from [line for line in [rest.removesuffix(b"\r")] if line]
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror}") from error


class _Seen:
    """Which files were seen already, by eight bytes of each path."""

    def __init__(self) -> None:
        self._keys: set[bytes] = set()

    def is_new(self, path: Path) -> bool:
        key = blake2b(os.fsencode(os.path.abspath(path)), digest_size=8).digest()  # noqa: PTH100 - links stay apart
        before = len(self._keys)
        self._keys.add(key)
        return len(self._keys) > before
