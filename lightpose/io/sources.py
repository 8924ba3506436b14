"""Where images come from: files, folders, glob patterns, standard input."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightpose.errors import ImageError
from lightpose.io.images import IMAGE_SUFFIXES, decode_image, read_image
from lightpose.types import ImageArray

__all__ = ["Picture", "find_pictures", "stdin_picture"]


@dataclass(frozen=True)
class Picture:
    """A picture to read. name: its path below the output folder. content: its bytes, if it is not a file."""

    path: Path
    name: Path
    content: bytes | None = None

    def read(self) -> ImageArray:
        """The picture, upright. Raises ImageError if it cannot be read."""
        return read_image(self.path) if self.content is None else decode_image(self.content, str(self.path))


def find_pictures(sources: Iterable[str], out: Path | None = None) -> list[Picture]:
    """The pictures that files, folders (with all below them) and glob patterns name, in order, each once.

    out: a folder whose pictures are earlier results; those below it are passed over when a folder is searched.
    Raises ImageError if a folder or pattern holds no picture. A named file that is missing is left to fail when read.
    """
    found: dict[str, tuple[Path, Path]] = {}
    for source in sources:
        path = Path(source)
        if path.is_dir():
            kept = (file for file in path.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES and _may_be_read(file))
            inside = sorted(file for file in kept if not _is_below(file, out, path))
            pairs = [(file, file.relative_to(path)) for file in inside]
        elif not path.exists() and glob.has_magic(source):
            pairs = [(Path(file), Path(Path(file).name)) for file in sorted(glob.glob(source, recursive=True))]  # noqa: PTH207
            pairs = [(file, name) for file, name in pairs if file.is_file()]
        else:
            pairs = [(path, Path(path.name))]
        if not pairs:
            raise ImageError(f"there is no picture in {source}; known kinds are {' '.join(sorted(IMAGE_SUFFIXES))}")
        for file, name in pairs:
            found.setdefault(os.path.abspath(file), (file, name))  # noqa: PTH100 - links stay apart
    names = _distinct([name for _, name in found.values()])
    return [Picture(path, name) for (path, _), name in zip(found.values(), names, strict=True)]


def _may_be_read(file: Path) -> bool:
    """Whether it is a file, or a link to one that is gone, which is to be told."""
    return file.is_file() or (file.is_symlink() and not file.exists())


def _is_below(file: Path, out: Path | None, searched: Path) -> bool:
    """Whether a file is in the output folder, unless that is what was to be searched."""
    if out is None or searched.resolve().is_relative_to(out.resolve()):
        return False
    return file.resolve().is_relative_to(out.resolve())


def stdin_picture(content: bytes) -> Picture:
    """A picture whose bytes came from standard input; it is written as stdin.png or stdin.jpg."""
    return Picture(
        Path("standard input"), Path("stdin.png" if content.startswith(b"\x89PNG") else "stdin.jpg"), content
    )


def _distinct(names: Sequence[Path]) -> list[Path]:
    """The names in their order, with a number added to those that were taken before."""
    taken: dict[Path, None] = {}
    for name in names:
        number, free = 1, name
        while free in taken:
            number += 1
            free = name.with_name(f"{name.stem}_{number}{name.suffix}")
        taken[free] = None
    return list(taken)
