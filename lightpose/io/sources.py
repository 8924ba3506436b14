"""Where images come from: files, folders, glob patterns, standard input."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from lightpose.errors import ImageError
from lightpose.io.images import IMAGE_SUFFIXES, decode_image, read_image
from lightpose.io.prefetch import ahead
from lightpose.types import Frame, ImageArray

__all__ = ["HELD_BYTES", "ImageFile", "find_images", "read_frames", "stdin_image"]

HELD_BYTES = 2**28
"""Size of images beyond which no more are held ahead, or waited for to fill a batch: seven of twelve megapixels."""


@dataclass(frozen=True)
class ImageFile:
    """An image to read. name: its path below the output folder. content: its bytes, if it is not a file."""

    path: Path
    name: Path
    content: bytes | None = None

    def read(self) -> ImageArray:
        """The image, upright. Raises ImageError if it cannot be read."""
        return read_image(self.path) if self.content is None else decode_image(self.content, str(self.path))

    def stamp(self) -> str:
        """What changes when the file does: size and time of change, or the hash of its bytes."""
        if self.content is not None:
            return hashlib.sha256(self.content).hexdigest()
        try:
            status = self.path.stat()
        except (OSError, ValueError):
            return ""
        return f"{status.st_size} {status.st_mtime_ns}"


def find_images(sources: Iterable[str], out: Path | None = None) -> list[ImageFile]:
    """The images that files, folders (with all below them) and glob patterns name, in order, each once.

    out: a folder whose images are earlier results; those below it are passed over when a folder is searched.
    Raises ImageError if a folder or pattern holds no image. A named file that is missing is left to fail when read.
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
            raise ImageError(f"there is no image in {source}; known kinds are {' '.join(sorted(IMAGE_SUFFIXES))}")
        for file, name in pairs:
            found.setdefault(os.path.abspath(file), (file, name))  # noqa: PTH100 - links stay apart
    names = _distinct([name for _, name in found.values()])
    return [ImageFile(path, name) for (path, _), name in zip(found.values(), names, strict=True)]


def stdin_image(content: bytes) -> ImageFile:
    """An image whose bytes came from standard input; it is written as stdin.png or stdin.jpg."""
    return ImageFile(
        Path("standard input"), Path("stdin.png" if content.startswith(b"\x89PNG") else "stdin.jpg"), content
    )


def read_frames(
    files: Iterable[tuple[int, ImageFile]], count: int, failed: Callable[[int, ImageError], None]
) -> Generator[Frame]:
    """The images as frames, in order; the next ones are read in a thread while the last is worked on.

    files: each with its number, which becomes the frame's. count: how many are read ahead, of `HELD_BYTES` at most.
    failed: called with the number of an image that cannot be read, and why.
    """
    with closing(ahead(_read, files, count, HELD_BYTES, _held)) as read:
        for number, file, image in read:
            if isinstance(image, ImageError):
                failed(number, image)
            else:
                yield Frame(image, file.name.as_posix(), number, path=file.path)


Read = tuple[int, ImageFile, ImageArray | ImageError]


def _read(numbered: tuple[int, ImageFile]) -> Read:
    """The image with its pixels, or with why they cannot be had."""
    number, file = numbered
    try:
        return number, file, file.read()
    except ImageError as error:
        return number, file, error


def _held(read: Read) -> int:
    """Bytes of its pixels."""
    return 0 if isinstance(read[2], ImageError) else read[2].nbytes


def _may_be_read(file: Path) -> bool:
    """Whether it is a file, or a link to one that is gone, which is to be told."""
    return file.is_file() or (file.is_symlink() and not file.exists())


def _is_below(file: Path, out: Path | None, searched: Path) -> bool:
    """Whether a file is in the output folder, unless that is what was to be searched."""
    if out is None or searched.resolve().is_relative_to(out.resolve()):
        return False
    return file.resolve().is_relative_to(out.resolve())


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
