"""Videos as inputs of a bulk run: which there are, the ranges of time that each is cut into, and how one is opened."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, replace
from functools import cached_property
from io import BufferedReader
from itertools import groupby
from pathlib import Path
from typing import Any

from lightpose.errors import ConfigError, ImageError, ImageMissingError, LightposeError
from lightpose.io.images import IMAGE_SUFFIXES
from lightpose.io.sources import ImageFile, images_of
from lightpose.io.video import VIDEO_SUFFIXES, Range, Video, cut_video, read_range, source_kind
from lightpose.scale.fetch import Fetcher, is_remote, referred
from lightpose.scale.folder_source import LISTS, check_there, is_list
from lightpose.scale.https import is_web
from lightpose.scale.parquet import load_arrow
from lightpose.scale.places import listed_objects
from lightpose.scale.remote_file import open_parts
from lightpose.scale.source import DistinctNames, Item, SourceOptions, readable

__all__ = ["VIDEO", "VideoSource", "is_videos", "videos_in"]

VIDEO = "video"
"""The kept value of an item that says which video it is of."""

_BUFFER = 2**20
_HEAD = 2**12


def is_videos(place: str) -> bool:
    """Whether an input is a video, a list of them, or a folder or pattern of videos without any image."""
    if _suffix(place) in LISTS:
        return (is_remote(place) or is_list(place)) and _first_line_is_video(place)
    if is_remote(place):
        return _suffix(place) in VIDEO_SUFFIXES
    if "://" in place:
        return False
    if os.path.isdir(place):  # noqa: PTH112 - a path may be no UTF-8
        return next(_whole(images_of(place)), None) is None and next(_whole(_files(place)), None) is not None
    if glob.has_magic(place) and not os.path.lexists(place):
        return _names_videos(place)
    return _is_video(place)


class VideoSource:
    """Videos, each cut into ranges of time. An item is a range, and its place says what `open` needs to know of it.

    Videos of one folder are named by their paths below it, so that the folder may be moved between two runs. Raises
    MissingPackageError if PyAV is not installed, which alone finds a frame by its time.
    """

    def __init__(self, inputs: Sequence[str], options: SourceOptions) -> None:
        if options.keep:
            raise ConfigError(f"--keep {','.join(options.keep)} is for tables and tars: videos have no columns")
        self._inputs, self._options = tuple(inputs), options
        self._top = Path(inputs[0]).absolute() if len(inputs) == 1 and Path(inputs[0]).is_dir() else None
        self._fetcher = Fetcher.of(options, patient=True)

    @cached_property
    def kept_types(self) -> Mapping[str, Any]:
        """See `Listed`. Each item knows its video."""
        return {VIDEO: load_arrow().string()}

    def items(self) -> Iterator[Item]:
        """The ranges of each video, in order; a video that cannot be opened is an item too. Each video is read, and not
        decoded. Raises as `videos` does."""
        for video, fault in self._found():
            yield from self._ranges(video, fault)

    def videos(self) -> Iterator[Item]:
        """The videos themselves, each once. Raises ImageError if an input is not there or has none."""
        return (video for video, _ in self._found())

    def open(self, item: Item) -> tuple[Video, Range]:
        """The frames of an item's range and of its run-up. Raises ImageError or UnreachableError if they cannot be
        had."""
        place, _, text = item.place.rpartition("#")
        told = json.loads(text)
        if isinstance(told, str):
            raise ImageError(told)
        range_ = Range(*told)
        return read_range(self._opened(place), range_, item.kept[VIDEO]), range_

    def _opened(self, place: str) -> Path | BufferedReader:
        """A video's file, or the bytes of an address, which are read as they are asked for."""
        if is_remote(place):
            return open_parts(self._fetcher, place, _BUFFER)[0]
        path = Path(place) if self._top is None else self._top / place
        if not path.is_file():
            raise ImageMissingError(f"cannot read {path}: there is no such file")
        return path

    def _found(self) -> Iterator[tuple[Item, str]]:
        """Each video, and what is wrong with its place."""
        check_there([each for each in self._inputs if "://" not in each])
        names, seen = DistinctNames(), set[str]()  # of one input, what it names twice is two videos
        out = Path(self._options.out) if self._options.out else None
        for given in self._inputs:
            empty = True
            for name, place, stamp, fault in self._named(given, out):
                empty = False
                if place not in seen:
                    yield Item(names(readable(name)), place, stamp), fault
                if len(self._inputs) > 1:
                    seen.add(place)
            if empty:
                raise ImageError(f"there is no video in {given}; name another folder, list or pattern")

    def _named(self, given: str, out: Path | None) -> Iterator[tuple[str, str, str, str]]:
        """Name, place and stamp of each video that an input names, and what is wrong with the place."""
        if _suffix(given) in LISTS:
            yield from self._listed(given)
        elif is_remote(given):
            objects = [(given, "")] if is_web(given) else listed_objects(given, tuple(VIDEO_SUFFIXES))
            yield from ((address, address, stamp or self._stamp(address), "") for address, stamp in objects)
        else:
            for file in _files(given, out):
                inside = self._top is not None and not file.fault
                place = str(file.name) if inside else os.path.abspath(file.path)  # noqa: PTH100 - links stay
                yield file.name.as_posix() if inside else str(file.path), place, file.stamp(), file.fault

    def _listed(self, where: str) -> Iterator[tuple[str, str, str, str]]:
        for line in _lines(self._fetcher, where):
            try:
                place = referred(line, where if is_remote(where) else os.path.abspath("list"))  # noqa: PTH100
                yield line, place, self._stamp(place), ""
            except ImageError as error:
                yield line, line, "", str(error)

    def _stamp(self, place: str) -> str:
        try:
            return self._fetcher.size_and_stamp(place)[1]
        except ImageError:  # is told when it is opened
            return ""

    def _ranges(self, video: Item, fault: str) -> Iterator[Item]:
        """The items of a video."""
        kept = {VIDEO: video.source}
        try:
            if fault:
                raise ImageError(fault)
            ranges = cut_video(self._opened(video.place), self._options.shard_s, self._options.run_up_s)
        except ImageError as error:
            told = json.dumps(str(error).replace("#", ""))
            yield replace(video, place=f"{video.place}#{told}", kept=kept)
            return
        for range_ in ranges:
            name = video.source if len(ranges) == 1 else f"{video.source}#t={_time(range_)}"
            place = f"{video.place}#{json.dumps(astuple(range_))}"
            yield Item(name, place, video.stamp, kept, range_.frames)


def videos_in(items: Iterable[Item]) -> Iterator[Item]:
    """The videos that ranges are of, as `VideoSource.videos` gives them."""
    for name, ranges in groupby(items, key=lambda item: item.kept[VIDEO]):
        first = next(ranges)
        yield Item(name, first.place.rpartition("#")[0], first.stamp)


def _files(given: str, out: Path | None = None) -> Iterator[ImageFile]:
    return images_of(given, out, lambda entry: _is_video(entry.path))


def _whole(files: Iterable[ImageFile]) -> Iterator[ImageFile]:
    return (file for file in files if not file.fault)


def _names_videos(pattern: str) -> bool:
    """Whether the files of a pattern are videos. Raises ConfigError if some are images."""
    names = glob.glob(pattern, recursive=True)  # noqa: PTH207
    images = sum(_suffix(name) in IMAGE_SUFFIXES for name in names)
    if images and any(_suffix(name) in VIDEO_SUFFIXES for name in names):
        raise ConfigError(f"{pattern} names images and videos; give each to a run of its own, with another --out")
    return not images and (any(map(_is_video, names)) or _is_video(pattern))


def _is_video(path: str) -> bool:
    return source_kind(path) == "file"


def _suffix(place: str) -> str:
    return os.path.splitext(place)[1].lower()  # noqa: PTH122 - a Path would join the slashes of an address


def _lines(fetcher: Fetcher, where: str) -> Iterator[str]:
    """The lines of a list that are not empty."""
    file, _ = open_parts(fetcher, where, _BUFFER)
    with file:
        for line in file:
            if text := os.fsdecode(line.strip(b"\r\n").removeprefix(b"\xef\xbb\xbf")):
                yield text


def _first_line_is_video(place: str) -> bool:
    try:
        head = Fetcher().read_range(place, 0, _HEAD).removeprefix(b"\xef\xbb\xbf").split(b"\0")[0]
    except LightposeError:
        return False
    first = next((os.fsdecode(line.strip()) for line in head.splitlines() if line.strip()), "")
    return _suffix(first) in VIDEO_SUFFIXES if is_remote(first) or is_remote(place) else _is_video(first)


def _time(range_: Range) -> str:
    """As in a media fragment's address: seconds from, and seconds to."""
    return f"{range_.start_s:.10g}" + ("" if range_.end_s is None else f",{range_.end_s:.10g}")
