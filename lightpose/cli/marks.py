"""Which options of a command are files: marked where they are declared, and looked at before the command's work.

annotations: Reads
results: Writes | None = None
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional

from lightpose.errors import ConfigError, LightposeError
from lightpose.io.files import check_place, read_json
from lightpose.io.images import IMAGE_SUFFIXES
from lightpose.io.places import Place, check_apart, claimed, with_bin
from lightpose.weights import bundled_weights

__all__ = ["Fills", "FillsNamed", "Reads", "ReadsNamed", "Writes", "guarded", "marks_of"]

READS, WRITES, FILLS = "lightpose reads it", "lightpose writes it", "lightpose writes into it"

Reads = Annotated[Path, READS]
"""A file, or a folder of images."""
ReadsNamed = Annotated[str, READS]
"""The same as text, for what may also be a name, such as that of bundled weights, or a pattern."""
Writes = Annotated[Path, WRITES]
"""A file; a .bin belongs to an .xml."""
Fills = Annotated[Path, FILLS]
"""A folder for files, whose writer sees to it that none is read."""
FillsNamed = Annotated[str, FILLS]
"""The same as text, for what may also be the address of a bucket."""


def marks_of(kind: Any) -> dict[str, str]:
    """The mark of each field of a command's dataclass that has one."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return {field.name: mark for field in dataclasses.fields(kind) if (mark := next(_marks(hints[field.name]), None))}


def _marks(hint: Any) -> Iterator[str]:
    yield from (mark for mark in getattr(hint, "__metadata__", ()) if mark in (READS, WRITES, FILLS))
    for part in typing.get_args(hint):
        yield from _marks(part)


@contextmanager
def guarded(command: Any) -> Iterator[None]:
    """Refuse a command that would write what it reads, one file twice, or what another run is writing.

    Raises ConfigError, before anything is written. A command with more outputs than options tells of them in
    `more_writes`.
    """
    while hasattr(command, "command"):
        command = command.command
    marks = marks_of(type(command))
    reads, writes, fills = ([*_places(command, marks, mark)] for mark in (READS, WRITES, FILLS))
    writes += getattr(command, "more_writes", list)()
    check_apart(_with_bins(reads), [*_with_bins(writes), *fills])
    with ExitStack() as claims:
        for place in writes:
            check_place(place.path)
            _check_images(place, reads)
            claims.enter_context(claimed(place))
        yield


def _places(command: Any, marks: dict[str, str], mark: str) -> Iterator[Place]:
    """The files and folders that options of a mark name."""
    hints, known = typing.get_type_hints(type(command), include_extras=True), bundled_weights()
    for name in (name for name, each in marks.items() if each == mark):
        positional = Positional in getattr(hints[name], "__metadata__", ())
        option, value = "" if positional else f"--{name.replace('_', '-')}", getattr(command, name)
        for each in value if isinstance(value, tuple) else (value,):
            if each is not None:
                yield Place(option, known.get(each, Path(each)))


def _with_bins(places: list[Place]) -> list[Place]:
    return [each for place in places for each in with_bin(place)]


def _check_images(out: Place, reads: list[Place]) -> None:
    """Raise ConfigError if a file to write is one of the images that are read: one in a folder of them.

    An image that no annotation file names, such as an earlier preview beside them, is none of these.
    """
    if out.path.suffix.lower() not in IMAGE_SUFFIXES or not out.path.exists():
        return
    files = [place.path for place in reads if place.path.suffix == ".json" and place.path.is_file()]
    named = [] if any(_is_list(path) for path in files) else [_images_in(path) for path in files]
    for place in reads:
        inside = place.path.is_dir() and out.path.resolve().is_relative_to(place.path.resolve())
        if inside and (not named or any(out.path.name in names for names in named)):
            raise ConfigError(f"{out} would overwrite an image of {place}; name another file to write")


def _is_list(path: Path) -> bool:
    """Whether a json file is a list, such as Label Studio's tasks, which name images in ways of their own."""
    with path.open("rb") as file:
        return file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")


def _images_in(path: Path) -> set[str]:
    """Names of the images of an annotation file, without their folders; none of a file that is none."""
    try:
        images = read_json(path)["images"]
        return {Path(image["file_name"].replace("\\", "/")).name for image in images}
    except (LightposeError, LookupError, TypeError, AttributeError):
        return set()
