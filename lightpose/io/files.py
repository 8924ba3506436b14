"""The one writer: files that take their places whole or not at all; places to write, and json read in one sentence."""

from __future__ import annotations

import json
import os
import re
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from lightpose.errors import ConfigError, DataError, LightposeError

__all__ = [
    "append_whole",
    "check_folder",
    "check_place",
    "clear_asides",
    "finish_replacing",
    "is_plain",
    "new_aside",
    "read_json",
    "replace_together",
    "write_aside",
    "written_aside",
]


_ASIDE = re.compile(r"\.[^/\\]+\.[0-9a-f]{16}\.partial(\.\w+)?")
"""Names that `new_aside` gives."""

_NAME = 40
"""Characters of a file's name that go into those beside it, so that a name may be as long as names can be."""


def write_aside(path: str | Path, content: bytes, sync: bool = True) -> None:
    """Write a file whole or not at all: under another name first, then renamed into place.

    An old file's permissions are kept. sync: have it on the disk before the old one goes, so that a power cut leaves
    one of them. Raises ConfigError if a link, a folder or a device is there.
    """
    with replace_together(Path(path), sync=sync) as (file,):
        file.write(content)


@contextmanager
def replace_together(*paths: Path, sync: bool = True) -> Iterator[tuple[IO[bytes], ...]]:
    """Files of one folder to write, which take the places of those at `paths` once all are whole.

    After an error none does. Of several, a kill never leaves a new one beside an old one; see `finish_replacing`.

    with replace_together(Path("a.json"), Path("b.json")) as (a, b):
        a.write(b"1")
        b.write(b"2")
    """
    try:
        with _replacing(paths, [new_aside(path) for path in paths], sync) as files:
            yield tuple(files)
    except OSError as error:
        error.filename, error.filename2 = str(paths[0]), None  # what the user knows; a full disk tells none
        raise


@contextmanager
def written_aside(*paths: Path) -> Iterator[tuple[Path, ...]]:
    """The same for writers that want a path with the right suffix: empty files to write, and for several, of one stem.

    They are new and nobody else's, so that no link is followed.
    """
    token = secrets.token_hex(8)
    asides = [new_aside(path.with_suffix(""), token, path.suffix) for path in paths]
    with _replacing(paths, asides, sync=True) as files:
        for file in files:
            file.close()
        yield tuple(asides)


@contextmanager
def _replacing(paths: Sequence[Path], asides: Sequence[Path], sync: bool) -> Iterator[list[IO[bytes]]]:
    """Make the files aside; move them into place if all goes well; leave none aside."""
    for path in paths:
        _check_target(path)
    if len(paths) > 1:
        finish_replacing(*paths)
    made: list[tuple[Path, int]] = []
    try:
        with ExitStack() as stack:
            files = []
            for aside, path in zip(asides, paths, strict=True):
                files.append(stack.enter_context(_create(aside, path)))
                made.append((aside, stat.S_IMODE(os.fstat(files[-1].fileno()).st_mode)))
            yield files
        for aside, mode in made:
            _settle(aside, mode, sync)
        _move(paths, asides, sync)
    finally:
        for aside, _ in made:
            aside.unlink(missing_ok=True)


def new_aside(path: Path, token: str | None = None, suffix: str = "") -> Path:
    """Where a file is written first, beside its place, under a name that nobody can foresee."""
    return path.with_name(f".{path.name[:_NAME]}.{token or secrets.token_hex(8)}.partial{suffix}")


def _create(aside: Path, path: Path) -> IO[bytes]:
    """A new file, open, with the permissions of the one at `path`, or those that new files get."""
    old = stat.S_IMODE(path.stat().st_mode) if path.exists() else None
    try:
        number = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666 if old is None else 0o600)
    except OSError as error:
        error.filename = str(path)
        raise
    if old is not None:
        with suppress(OSError):  # file systems without permissions
            aside.chmod(old & 0o777)
    return os.fdopen(number, "wb")


def _settle(aside: Path, mode: int, sync: bool) -> None:
    """Have a written file on the disk, with its permissions; a library may have made it anew."""
    number = os.open(aside, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    try:
        if stat.S_IMODE(os.fstat(number).st_mode) != mode:
            aside.chmod(mode)
        if sync:
            os.fsync(number)
    finally:
        os.close(number)


def _move(paths: Sequence[Path], asides: Sequence[Path], sync: bool) -> None:
    """Rename the files into place; several after a note on the disk, by which `finish_replacing` does it."""
    if len(paths) == 1:
        asides[0].replace(paths[0])
    else:
        names = {path.name: aside.name for path, aside in zip(paths, asides, strict=True)}
        write_aside(_note(paths), json.dumps(names).encode())
        finish_replacing(*paths)
    if sync:
        _sync_folder(paths[-1].parent)


def finish_replacing(*paths: Path) -> None:
    """Finish what a writer of these files was killed at while it renamed them; call it before they are opened.

    The last file's old form goes first, so that whoever opens them meanwhile misses it, and never takes a new file
    with an old one. Nothing is done if nobody was killed.
    """
    note = _note(paths)
    if not is_plain(note):
        return
    try:
        names = json.loads(note.read_bytes())
        asides = [path.with_name(names[path.name]) for path in paths]
        known = len(names) == len(paths) and all(_ASIDE.fullmatch(aside.name) for aside in asides)
    except (ValueError, TypeError, LookupError):
        known = False
    if known and is_plain(asides[-1]):
        paths[-1].unlink(missing_ok=True)
        for aside, path in zip(asides, paths, strict=True):
            with suppress(FileNotFoundError):  # it was there already
                aside.replace(path)
        _sync_folder(note.parent)
    note.unlink(missing_ok=True)


def _note(paths: Sequence[Path]) -> Path:
    """Where it is noted that all of several files are whole and are being renamed."""
    return paths[-1].with_name(f".{paths[-1].name[:_NAME]}.renaming")


def _sync_folder(folder: Path) -> None:
    """Have a folder's names on the disk, where the system can."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def is_plain(path: Path) -> bool:
    """Whether a regular file is there, and no link to one."""
    return path.is_file() and not path.is_symlink()


def clear_asides(folder: Path) -> None:
    """Remove what writers that were killed have left in a folder. Only for who knows that nobody writes there now."""
    for path in folder.glob(".*.partial*"):
        if _ASIDE.fullmatch(path.name) and is_plain(path):
            path.unlink(missing_ok=True)


def read_json(path: str | Path, error: type[LightposeError] = DataError) -> Any:
    """A json file's content. Raises `error` if it is missing or is no json."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as cause:
        raise error(f"cannot read {path}: {cause.strerror}") from cause
    except (ValueError, RecursionError) as cause:
        raise error(f"{path} is not a json file ({cause})") from cause


def append_whole(file: IO[bytes], line: bytes, size: int, path: Path) -> None:
    """Add a line to the end of an open file, whole or not at all: a full disk raises OSError that names the file.

    file: unbuffered. size: of the file before. path: its name.
    """
    try:
        left = memoryview(line)
        while left:  # a disk that fills up takes a part first
            left = left[file.write(left) :]
    except OSError as error:
        file.truncate(size)
        error.filename = str(path)
        raise


def check_place(path: Path) -> None:
    """Raise ConfigError if no file can be written there, so that this is known before the work."""
    if not path.parent.is_dir():
        raise ConfigError(f"{path} cannot be written: there is no folder {path.parent}; make it first")
    _check_target(path)


def _check_target(path: Path) -> None:
    """Raise ConfigError unless a regular file is there, or nothing."""
    if path.is_symlink():
        raise ConfigError(f"{path} is a link, and nothing is written through links; name the file itself, or another")
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; name a file in it")
    if path.exists() and not path.is_file():
        raise ConfigError(f"{path} is a device or a pipe, which a file cannot replace; name a file")


def check_folder(path: Path) -> None:
    """Raise ConfigError if that folder cannot be written to or made, so that this is known before the work."""
    there = next(place for place in (path, *path.absolute().parents) if os.path.lexists(place))
    if not there.is_dir():
        raise ConfigError(f"{there} is a file, not a folder; name another folder for the results")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(f"there is no permission to write to {there}; name another folder for the results")
