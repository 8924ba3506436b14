"""Files that are written whole or not at all, places to write them, and json read with an error of one sentence."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import get_native_id
from typing import IO, Any

from lightpose.errors import ConfigError, DataError, LightposeError

__all__ = [
    "check_folder",
    "check_place",
    "clear_asides",
    "read_json",
    "replace_together",
    "write_aside",
    "written_aside",
]


_ASIDE = re.compile(r"\..+\.\d+\.partial(\.\w+)?")
"""Names that `_aside` gives."""


def write_aside(path: str | Path, content: bytes) -> None:
    """Write a file whole or not at all: under another name first, then renamed into place."""
    with replace_together(Path(path)) as (file,):
        file.write(content)


@contextmanager
def replace_together(*paths: Path) -> Iterator[tuple[IO[bytes], ...]]:
    """Files to write, which take the places of those at `paths` once all are whole; after an error none does.

    with replace_together(Path("a.json"), Path("b.json")) as (a, b):
        a.write(b"1")
        b.write(b"2")
    """
    asides = [_aside(path) for path in paths]
    try:
        with _replacing(asides, paths), ExitStack() as stack:
            yield tuple(stack.enter_context(aside.open("wb")) for aside in asides)
    except OSError as error:
        error.filename, error.filename2 = str(paths[0]), None  # what the user knows; a full disk tells none
        raise


@contextmanager
def written_aside(*paths: Path) -> Iterator[tuple[Path, ...]]:
    """The same for writers that want a path with the right suffix: where to write, and for several, of one stem."""
    asides = [_aside(path.with_suffix(""), path.suffix) for path in paths]
    with _replacing(asides, paths):
        yield tuple(asides)


@contextmanager
def _replacing(asides: Sequence[Path], paths: Sequence[Path]) -> Iterator[None]:
    """Move the files into place if all goes well; leave none aside."""
    try:
        yield
        for aside, path in zip(asides, paths, strict=True):
            aside.replace(path)
    finally:
        for aside in asides:
            aside.unlink(missing_ok=True)


def _aside(path: Path, suffix: str = "") -> Path:
    """Where a file is written first, beside its place; a name may be as long as names can be."""
    return path.with_name(f".{path.name[:40]}.{get_native_id()}.partial{suffix}")


def clear_asides(folder: Path) -> None:
    """Remove what writers that were killed have left in a folder. Only for who knows that nobody writes there now."""
    for path in folder.glob(".*.partial*"):
        if _ASIDE.fullmatch(path.name):
            path.unlink(missing_ok=True)


def read_json(path: str | Path, error: type[LightposeError] = DataError) -> Any:
    """A json file's content. Raises `error` if it is missing or is no json."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as cause:
        raise error(f"cannot read {path}: {cause.strerror}") from cause
    except (ValueError, RecursionError) as cause:
        raise error(f"{path} is not a json file ({cause})") from cause


def check_place(path: Path) -> None:
    """Raise ConfigError if no file can be written there, so that this is known before the work."""
    if not path.parent.is_dir():
        raise ConfigError(f"{path} cannot be written: there is no folder {path.parent}; make it first")
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; name a file in it")


def check_folder(path: Path) -> None:
    """Raise ConfigError if that folder cannot be written to or made, so that this is known before the work."""
    there = next(place for place in (path, *path.absolute().parents) if os.path.lexists(place))
    if not there.is_dir():
        raise ConfigError(f"{there} is a file, not a folder; name another folder for the results")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(f"there is no permission to write to {there}; name another folder for the results")
