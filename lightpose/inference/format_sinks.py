"""Sinks that write the formats of other tools while a run goes on, one for each name of `--formats`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from lightpose.errors import ConfigError
from lightpose.formats import Format, Options, Writer, convert, format_named, write_pairs
from lightpose.io.files import append_whole, check_place
from lightpose.io.places import Place, check_apart, check_own
from lightpose.io.sources import ImageFile
from lightpose.results import Poses
from lightpose.types import Frame

__all__ = ["FormatSink", "check_formats", "write_images"]

GROWING = ("csv", "csv-wide", "mot-challenge", "openpose", "yolo-pose", "parquet")
"""Formats of which a kill leaves all frames so far, readable; the others are made of the lines at the end."""


class FormatSink:
    """Writes one format into the folder of a run.

    What grows line by line, or file by file, does so; Parquet goes into NAME.parts first. Other formats are made of
    `lines`, the run's poses.jsonl, when it is closed. Nothing is opened before the first frame. about: facts of the
    model, for formats that hold them.
    """

    def __init__(self, kind: Format, out: Path, lines: Path, about: Mapping[str, Any] | None = None) -> None:
        self._kind, self._path, self._lines, self._about = kind, out / kind.file, lines, about or {}
        self._writer: Writer | None = None
        self._file: IO[bytes] | None = None
        self._frames = 0

    def write(self, frame: Frame, poses: Poses) -> None:
        """Take a frame."""
        self._frames += 1
        if self._kind.name not in GROWING:
            return
        if self._writer is None:
            self._writer = self._opened()
        self._writer.write(replace(poses, frame=frame.index, time_s=frame.time_s, about=self._about), frame.image)

    def close(self) -> None:
        """Finish the file, or make it if it does not grow. Raises DataError or ConfigError if it cannot be."""
        with ExitStack() as stack:
            if self._file is not None:
                stack.callback(self._file.close)
            if self._writer is not None:
                self._writer.close()
            elif self._frames:
                convert(self._lines, self._path, to=self._kind.name)

    def _opened(self) -> Writer:
        if self._kind.name == "parquet":
            from lightpose.formats.parquet import ParquetParts

            return ParquetParts(self._path, Options())
        if self._kind.is_folder:
            return self._kind.writer_to(self._path, Options())
        check_own(self._path)
        self._file = self._path.open("wb", buffering=0)
        return self._kind.writer_to(_Whole(self._file, self._path), Options())


class _Whole:
    """A file that a writer appends frames to: a full disk takes a frame whole or not at all."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file, self._path, self._size = file, path, 0

    def write(self, content: bytes) -> int:
        """Append all the lines of a frame."""
        append_whole(self._file, content, self._size, self._path)
        self._size += len(content)
        return len(content)


def check_formats(names: Sequence[str], out: Path, reads: Iterable[Path], continued: bool = False) -> list[Format]:
    """The formats of those names. Raises ConfigError if one is unknown, would overwrite what is read, or has a folder
    with something in it, but for a run that is continued."""
    kinds = [format_named(name) for name in dict.fromkeys(names)]
    for kind in kinds:
        if not kind.writer or kind.name == "jsonl":
            raise ConfigError(f"--formats cannot have {kind.name}: poses.json and poses.jsonl are written anyway")
        path = out / kind.file
        if kind.is_folder and not continued and (path.is_symlink() or (path.is_dir() and any(path.iterdir()))):
            raise ConfigError(f"{path} is a link, or has something in it; remove it, or name another --out")
        if not kind.is_folder and out.is_dir():
            check_place(path)
    check_apart([Place("", path) for path in reads], [Place("the result", out / kind.file) for kind in kinds])
    return sorted(kinds, key=lambda kind: kind.name not in GROWING)  # one that cannot be made keeps none from closing


def write_images(kinds: Iterable[Format], out: Path, files: Sequence[ImageFile]) -> list[Path]:
    """Write formats of the poses.json of images. Gives the files."""
    written = []
    named = {file.name.as_posix(): file for file in files}
    for kind in kinds:
        frames = format_named("poses-json").read(out / "poses.json", Options())
        pixels = kind.name == "yolo-pose"
        write_pairs(
            ((poses, named[poses.name].read() if pixels else None) for poses in frames), out / kind.file, kind.name
        )
        written.append(out / kind.file)
    return written
