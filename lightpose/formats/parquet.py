"""Parquet: the long form in row groups by time, so that a part of a long video is read alone."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lightpose.errors import DataError, MissingPackageError
from lightpose.formats.base import Options, facts, made, matching
from lightpose.io.files import write_aside
from lightpose.results import STATES, Poses
from lightpose.results.tables import LONG, long_columns
from lightpose.skeletons import Skeleton
from lightpose.types import ImageArray

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.parquet import ParquetFile

__all__ = [
    "KEY",
    "VERSION",
    "ParquetParts",
    "ParquetWriter",
    "encode_frames",
    "load_arrow",
    "open_file",
    "read_parquet",
]

VERSION = 1
"""Of the schema. A reader refuses a file of a higher one."""

KEY = b"lightpose"
"""The file's metadata have a JSON object under this name: schema version, joints, image size, facts of the model."""

GROUP = 300
"""Frames in a row group: ten seconds of 30 a second."""

_PIXEL = 64.0
_SCORE = 1024.0
"""Points are kept to 1/64 pixel and scores to 1/1024, as floats, whose last bits are then 0 and take no space."""


def load_arrow(extra: str = "tables") -> Any:
    """The package pyarrow, with Parquet. Raises MissingPackageError, which names the extra, if it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingPackageError("pyarrow", extra) from error
    return pyarrow


class ParquetWriter:
    """The long form; a row group is written as soon as its frames are there."""

    def __init__(self, file: IO[bytes] | None, options: Options) -> None:
        self._arrow, self._file, self._options = load_arrow(), file, options
        self._waiting: list[Poses] = []
        self._writer: Any = None
        self._first: Poses | None = None

    def write(self, poses: Poses, _image: ImageArray | None = None, /) -> None:
        """Take a frame. Raises DataError if it has other joints than the first."""
        self._first = self._first or poses
        if poses.skeleton.joints != self._first.skeleton.joints:
            raise DataError(f"frame {poses.frame} has other joints than the first; write it to another file")
        self._waiting.append(poses)
        if len(self._waiting) >= GROUP:
            self._flush()

    def close(self) -> None:
        """Write the last row group, and the end of the file."""
        self._flush(last=True)

    def table(self, frames: list[Poses]) -> pyarrow.Table:
        """Frames as a table with the file's schema."""
        columns = long_columns(frames)
        for name, step in (("x", _PIXEL), ("y", _PIXEL), ("x_raw", _PIXEL), ("y_raw", _PIXEL), ("score", _SCORE)):
            columns[name] = np.round(columns[name].astype(np.float64) * step) / step
        schema = self._schema(frames[0] if frames else None)
        return self._arrow.table(
            {
                name: self._arrow.array(values, schema.field(name).type, from_pandas=True)
                for name, values in columns.items()
            },
            schema,
        )

    def _schema(self, poses: Poses | None) -> pyarrow.Schema:
        arrow = self._arrow
        text, real, time = arrow.dictionary(arrow.int16(), arrow.string()), arrow.float32(), arrow.float64()
        kinds = (arrow.dictionary(arrow.int32(), arrow.string()), arrow.int64(), time, arrow.int64(), text, real, real,
                 real, text, real, real)  # fmt: skip
        about: dict[str, Any] = {"schema": VERSION}
        if poses is not None:
            about |= {"joints": list(poses.skeleton.joints), "limbs": [*map(list, poses.skeleton.limbs)]}
            about |= {"image_hw": poses.image_hw, "about": facts(poses.about)}
        return arrow.schema(list(zip(LONG, kinds, strict=True)), metadata={KEY: json.dumps(about).encode()})

    def _flush(self, last: bool = False) -> None:
        if self._waiting or (last and self._writer is None):
            table = self.table(self._waiting)
            self._writer = self._writer or self._open(table.schema)
            self._writer.write_table(table)
            self._waiting = []
        if last:
            self._writer.close()

    def _open(self, schema: pyarrow.Schema) -> Any:
        return open_file(self._file, schema)


def open_file(file: Any, schema: pyarrow.Schema, checksums: bool = False) -> Any:
    """A file of Parquet to write. Floats are split by byte, which halves them. checksums: one for each page."""
    from pyarrow.parquet import ParquetWriter as Writer

    return Writer(
        file,
        schema,
        compression="zstd",
        compression_level=12,
        write_page_checksum=checksums,
        use_dictionary=["source", "joint", "state", "person"],
        column_encoding={
            **dict.fromkeys(("x", "y", "score", "x_raw", "y_raw"), "BYTE_STREAM_SPLIT"),
            "frame": "DELTA_BINARY_PACKED",
            "time_s": "BYTE_STREAM_SPLIT",
        },
    )


def encode_frames(frames: Sequence[Poses], more: Mapping[str, Any]) -> bytes:
    """The bytes of a whole file, with a checksum for each page. more: facts for its metadata beside its own."""
    writer, content = ParquetWriter(None, Options()), io.BytesIO()
    schema = writer.table(list(frames[:1])).schema
    about = {**json.loads(schema.metadata[KEY]), **more}
    with open_file(content, schema.with_metadata({KEY: json.dumps(about, ensure_ascii=False)}), True) as file:
        for start in range(0, len(frames), GROUP):
            file.write_table(writer.table(list(frames[start : start + GROUP])))
    return content.getvalue()


class ParquetParts(ParquetWriter):
    """The same for a run that may be killed: each row group is a whole file in a folder, NAME.parts, at first.

    At the end they become the one file, and the folder goes.
    """

    def __init__(self, path: Path, options: Options) -> None:
        super().__init__(None, options)
        self._path, self._folder, self._count = path, path.with_name(f"{path.stem}.parts"), 0
        self._folder.mkdir(parents=True, exist_ok=True)
        for old in self._parts():
            old.unlink()

    def _parts(self) -> list[Path]:
        return sorted(self._folder.glob("[0-9]*.parquet"))

    def _flush(self, last: bool = False) -> None:
        from lightpose.io.files import replace_together

        if self._waiting or (last and not self._count):
            table, content = self.table(self._waiting), io.BytesIO()
            with open_file(content, table.schema) as writer:
                writer.write_table(table)
            write_aside(self._folder / f"{self._count:08}.parquet", content.getvalue(), sync=False)
            self._count, self._waiting = self._count + 1, []
        if last:
            from pyarrow.parquet import read_table

            parts = self._parts()
            with replace_together(self._path) as (file,):
                first = read_table(parts[0])
                with open_file(file, first.schema) as writer:
                    for part in parts:
                        writer.write_table(read_table(part).cast(first.schema))
            for part in parts:
                part.unlink()
            self._folder.rmdir()


def read_parquet(
    path: Path, options: Options, start_s: float | None = None, end_s: float | None = None
) -> Iterator[Poses]:
    """The frames of a file, or of a folder of parts, in turn; those of a time alone, where it is given.

    Of a file by lightpose, only the row groups of that time are read. Raises DataError if it has other columns.
    """
    parts = sorted(path.glob("[0-9]*.parquet")) if path.is_dir() else [path]
    for part in parts:
        with _opened(part) as file:
            about = _about(file, part)
            skeleton = matching(tuple(about["joints"])) if about.get("joints") else None
            for group in range(file.num_row_groups):
                if _overlaps(file, group, start_s, end_s):
                    table = file.read_row_group(group)
                    yield from _frames(table, skeleton, about, options, f"{part}: row group {group}", start_s, end_s)


def _opened(path: Path) -> ParquetFile:
    pyarrow = load_arrow()
    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        text = str(error).partition("\n")[0][:160]
        raise DataError(f"{path} is no whole Parquet file ({text}); if a run was killed, start it again") from error
    lost = [name for name in LONG if name not in file.schema_arrow.names]
    if lost:
        raise DataError(f"{path} lacks the column {lost[0]!r}; a table of poses has {', '.join(LONG)}")
    return file


def _about(file: ParquetFile, path: Path) -> dict[str, Any]:
    content = (file.schema_arrow.metadata or {}).get(KEY, b"{}")
    try:
        about: dict[str, Any] = dict(json.loads(content))
        version = int(about.get("schema", VERSION))
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}: what it says of itself is damaged; write it anew from its source") from error
    if version > VERSION:
        raise DataError(f"{path} has schema {version}, and this lightpose knows {VERSION}; install a newer one")
    return about


def _overlaps(file: ParquetFile, group: int, start_s: float | None, end_s: float | None) -> bool:
    """Whether a row group may have frames of a time, by the least and the most of its times."""
    times = file.metadata.row_group(group).column(LONG.index("time_s")).statistics
    if (start_s is None and end_s is None) or times is None or not times.has_min_max:
        return True
    return not ((start_s is not None and times.max < start_s - 1e-9) or (end_s is not None and times.min >= end_s))


def _frames(
    table: Any, skeleton: Skeleton | None, about: dict[str, Any], options: Options, where: str,
    start_s: float | None, end_s: float | None,
) -> Iterator[Poses]:  # fmt: skip
    """The frames of a row group, by arrays: each person's joints are in the order of the first one's."""
    frame, time_s = table["frame"].to_numpy(), table["time_s"].to_numpy()
    person = table["person"].to_numpy(zero_copy_only=False).astype(np.float64)
    joint, source, states = (_texts(table[name]) for name in ("joint", "source", "state"))
    if skeleton is None:
        first = (frame == frame[0]) & (person == person[np.isfinite(person)][:1])
        skeleton = matching(tuple(joint[first].tolist()))
    count, expected = len(skeleton), np.array(skeleton.joints, object)
    names = ("x", "y", "score", "x_raw", "y_raw")
    values = np.stack([table[name].to_numpy(zero_copy_only=False) for name in names], -1)
    known = np.where(np.isin(states, STATES[1:]), states, "detected").astype(np.str_)
    starts = [*np.flatnonzero(np.diff(frame, prepend=frame[:1] - 1)).tolist(), len(frame)]
    for start, end in pairwise(starts):
        moment = None if np.isnan(time_s[start]) else float(time_s[start])
        if moment is not None and (
            moment < (start_s or -np.inf) - 1e-9 or moment >= (np.inf if end_s is None else end_s - 1e-9)
        ):
            continue
        rows = slice(start, end if np.isfinite(person[start:end]).all() else start)
        whole = (rows.stop - rows.start) % count == 0
        if not whole or (joint[rows].reshape(-1, count) != expected).any():
            raise DataError(f"{where}: frame {frame[start]} has other joints than the file names; write it anew")
        ids = person[rows].reshape(-1, count)[:, 0].astype(np.int64)
        joints = values[rows].reshape(-1, count, 5)
        raw = np.concatenate([joints[..., 3:], joints[..., 2:3]], -1) if np.isfinite(joints[..., 3:]).any() else None
        yield made(
            joints[..., :3],
            skeleton,
            name=str(source[start] or ""),
            image_hw=tuple(about["image_hw"]) if about.get("image_hw") else options.image_hw,
            ids=None if (ids < 0).any() else ids,
            states=known[rows].reshape(-1, count)[:, 0],
            raw_keypoints=raw,
            frame=int(frame[start]),
            time_s=options.time_s(int(frame[start])) if moment is None else moment,
            about=about.get("about") or {},
        )


def _texts(column: Any) -> NDArray[np.object_]:
    """A column of text, in a dictionary or not, as an array of objects."""
    chunk = column.combine_chunks()
    if not hasattr(chunk, "dictionary"):
        return np.array(chunk.to_pylist(), object)
    known = np.array([*chunk.dictionary.to_pylist(), None], object)
    return np.asarray(known[chunk.indices.fill_null(len(known) - 1).to_numpy(zero_copy_only=False)])
