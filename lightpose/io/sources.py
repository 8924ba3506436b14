"""Where images come from: files, folders, glob patterns, standard input."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from lightpose.errors import ImageError
from lightpose.io.headers import image_kind
from lightpose.io.images import IMAGE_SUFFIXES, decode_image, read_image, read_regular
from lightpose.io.prefetch import ahead
from lightpose.types import Frame, ImageArray

__all__ = ["HELD_BYTES", "ImageFile", "distinct_names", "find_images", "images_of", "read_frames", "stdin_image"]

HELD_BYTES = 2**28
"""Size of images beyond which no more are held ahead, or waited for to fill a batch: seven of twelve megapixels."""

_SUFFIXES = IMAGE_SUFFIXES | {
    ".jpe", ".jfif", ".gif", ".avif", ".pnm", ".pbm", ".pam", ".j2k", ".j2c", ".dib",
    ".heic", ".heif", ".jxl", ".svg", ".exr", ".hdr", ".pfm", ".psd", ".ico", ".tga", ".ras", ".sr",
    ".raw", ".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw",
}  # fmt: skip
"""Suffixes of images, of kinds that cannot be read too; a file with another one is an image if it begins like one."""
_FEW_BYTES = 64
_PLAIN = frozenset({"PNM", "PAM", "BMP", "SVG"})
"""Kinds whose first bytes a text may have too: they go by their suffix alone."""


@dataclass(frozen=True)
class ImageFile:
    """An image to read. name: its path below the output folder. content: its bytes, if it is not a file.

    fault: why there is nothing to read, such as a folder without permission; told in place of the image.
    """

    path: Path
    name: Path
    content: bytes | None = None
    fault: str = ""

    def read(self, max_pixels: int | None = None) -> ImageArray:
        """The image, upright. Raises ImageError if it cannot be read. max_pixels: as for `read_image`."""
        if self.fault:
            raise ImageError(self.fault)
        if self.content is None:
            return read_image(self.path, max_pixels=max_pixels)
        return decode_image(self.content, str(self.path), max_pixels=max_pixels)

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

    In a folder, an image is a file with an image's suffix, or that begins like an image. Hidden files and folders,
    whose names begin with a dot, are passed over; links are followed. Images of a kind that cannot be read, and folders
    that cannot be searched, are left to fail when read; so are a missing file and a source without images.

    out: a folder whose images are earlier results; those below it are passed over when a folder is searched.
    Raises ImageError if there is no image in any source.
    """
    found: dict[str, ImageFile] = {}
    for source in sources:
        path = Path(source)
        files = sorted(images_of(source, out), key=lambda file: file.path)
        for file in files or [ImageFile(path, Path(path.name), fault=f"there is no image in {source}")]:
            found.setdefault(os.path.abspath(file.path), file)  # noqa: PTH100 - links stay apart
    if found and all(file.fault for file in found.values()):
        raise ImageError("; ".join(file.fault for file in found.values()))
    names = distinct_names([file.name for file in found.values()])
    return [ImageFile(file.path, name, None, file.fault) for file, name in zip(found.values(), names, strict=True)]


def images_of(
    source: str, out: Path | None = None, is_wanted: Callable[[os.DirEntry[str]], bool] | None = None
) -> Iterator[ImageFile]:
    """The images that a file, folder or glob pattern names, as `find_images` does, one after the other.

    In order of their paths, part by part; what lies behind links to folders comes last. No more is held than the names
    in one folder and in those above it. is_wanted: which files of a folder are looked for; images if not given.
    """
    path = Path(source)
    if os.path.isdir(path):  # noqa: PTH112 - does not raise where there is no permission
        yield from _search(path, out, is_wanted or _is_image)
    elif not os.path.lexists(path) and glob.has_magic(source):
        for name in sorted(glob.iglob(source, recursive=True), key=_parts):  # noqa: PTH207
            if not os.path.isdir(name):  # noqa: PTH112
                yield ImageFile(Path(name), Path(Path(name).name))
    else:
        yield ImageFile(path, Path(path.name))


def _parts(name: str) -> str:
    """What puts names in the order of paths, which goes by their parts."""
    return name.replace(os.sep, "\0")


def _search(folder: Path, out: Path | None, is_wanted: Callable[[os.DirEntry[str]], bool]) -> Iterator[ImageFile]:
    """The wanted files below a folder, and the folders there that cannot be searched."""
    results = None if out is None or _is_below(folder, out) else out
    seen: set[str] = set()
    links = [folder]
    while links:
        left: list[Iterator[Path | ImageFile]] = [iter((links.pop(0),))]
        while left:
            place = next(left[-1], None)
            if place is None:
                left.pop()
            elif isinstance(place, ImageFile):
                yield place
            elif not (results and _is_below(place, results)):
                real = os.path.realpath(place)
                if real not in seen:
                    seen.add(real)
                    left.append(_shown(place, folder, results, links, is_wanted))


def _shown(
    place: Path, top: Path, results: Path | None, links: list[Path], is_wanted: Callable[[os.DirEntry[str]], bool]
) -> Iterator[Path | ImageFile]:
    """The wanted files and folders of a folder, in order; links to folders are added to those that come last, as what
    they lead to may be below as itself."""
    names: list[str] = []  # of a million files: their entries would take five times the memory
    folders: set[str] = set()
    try:
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.name[0] == ".":
                    continue
                if _is(entry.is_dir):
                    folders.add(entry.name)
                elif not is_wanted(entry) or (results and entry.is_symlink() and _is_below(Path(entry.path), results)):
                    continue
                names.append(entry.name)
    except OSError as error:
        below = place.relative_to(top) if place != top else Path(place.name)
        yield ImageFile(place, below, fault=f"cannot read {place}: {error.strerror}")
        return
    names.sort()
    below = place.relative_to(top)
    linked = {name for name in folders if (place / name).is_symlink()}
    links += [place / name for name in names if name in linked]
    for name in names:
        if name not in folders:
            yield ImageFile(place / name, below / name)
        elif name not in linked:
            yield place / name


def _is_image(entry: os.DirEntry[str]) -> bool:
    """Whether a file is an image by its suffix or first bytes; what is no regular file goes by its suffix."""
    if Path(entry.name).suffix.lower() in _SUFFIXES:
        return True
    try:
        return _is(entry.is_file) and image_kind(read_regular(entry.path, _FEW_BYTES)) not in {None, *_PLAIN}
    except ImageError:
        return False


def _is(asked: Callable[[], bool]) -> bool:
    """What is asked of an entry; no for a link that leads in a circle."""
    try:
        return asked()
    except OSError:
        return False


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


def _is_below(path: Path, folder: Path) -> bool:
    """Whether a path is that folder or below it, links followed."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def distinct_names(names: Sequence[Path]) -> list[Path]:
    """The names in their order, with a number added to those that were taken before."""
    taken: dict[Path, None] = {}
    numbers: dict[Path, int] = {}
    for name in names:
        free = name
        while free in taken:
            numbers[name] = numbers.get(name, 1) + 1
            free = name.with_name(f"{name.stem}_{numbers[name]}{name.suffix}")
        taken[free] = None
    return list(taken)
