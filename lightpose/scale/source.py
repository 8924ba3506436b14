"""Where the images of a bulk run come from: what there is, in a fixed order, and the bytes of each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from importlib import import_module
from typing import Any, Protocol, cast

from lightpose.errors import ConfigError
from lightpose.io.video import source_kind

__all__ = [
    "SOURCES",
    "DistinctNames",
    "Item",
    "Listed",
    "Source",
    "SourceOptions",
    "open_inputs",
    "open_source",
    "readable",
]


@dataclass(frozen=True)
class Item:
    """An image of a run, or a range of a video's time. source: its name in the rows; no two of a run share one. place:
    what `Source.read` needs. stamp: what changes when the image does: size and time of change, or the server's etag.
    kept: values of the user's columns. frames: that will come of it; what is read from a manifest does not know.

    source: text that is UTF-8; see `readable`. place: may hold bytes that are not, as `os.fsdecode` gives them.
    """

    source: str
    place: str
    stamp: str = ""
    kept: Mapping[str, Any] = field(default_factory=dict)
    frames: int = 1


@dataclass(frozen=True)
class SourceOptions:
    """How inputs are read. column: of a table, with the paths or bytes of images. keep: columns for the rows. out:
    where the results go; what lies there is no input. patience_s: for one request to a server. tries: of a request.
    shard_s: of a video's time, that are one item; run_up_s: that are looked at before them.
    """

    column: str = "image"
    keep: tuple[str, ...] = ()
    out: str = ""
    patience_s: float = 30.0
    tries: int = 5
    shard_s: float = 60.0
    run_up_s: float = 1.0


class Listed(Protocol):
    """What a run is over. A StoreError or ConfigError of a method stops the run: nobody is let in, or the whole bucket
    is gone.

    kept_types: the pyarrow type of each column that `Item.kept` has, in order; known once it is opened.
    """

    kept_types: Mapping[str, Any]

    def items(self) -> Iterator[Item]:
        """All images, in the same order each time. One that cannot be read is among them."""


class Source(Listed, Protocol):
    """The images of a run. It is opened in the driver and in each worker; only the driver lists it."""

    def read(self, place: str) -> bytes:
        """The bytes of an image.

        Raises ImageError if they cannot be had, ImageMissingError if there is no such image, ImageTooLargeError if
        there are more than `lightpose.io.images.max_bytes`, and UnreachableError if a later try may succeed. Several
        threads may call it.
        """


class DistinctNames:
    """Makes names that a run carries already into others: the second `a.jpg` becomes `a.jpg#2`.

    Keeps eight bytes of each name.
    """

    def __init__(self) -> None:
        self._taken: set[int] = set()
        self._times: dict[str, int] = {}

    def __call__(self, name: str) -> str:
        """The name, or one like it that no other image has."""
        free = name
        while (key := _key(free)) in self._taken:
            self._times[name] = self._times.get(name, 1) + 1
            free = f"{name}#{self._times[name]}"
        self._taken.add(key)
        return free


def _key(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")


def readable(name: str) -> str:
    """A name of a file as UTF-8; bytes that are none are written in hexadecimal. Two names may become one."""
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class Kind:
    """A kind of source. takes: whether an input is of this kind, by its name or content. opener: module and name."""

    name: str
    takes: str
    opener: str

    def is_of(self, place: str) -> bool:
        """Whether that input is of this kind."""
        found: bool = _load(self.takes)(place)
        return found

    def open(self, inputs: Sequence[str], options: SourceOptions) -> Listed:
        """The source of these inputs, all of this kind."""
        source: Listed = _load(self.opener)(inputs, options)
        return source


SOURCES = (
    Kind("Parquet table", "table_source:is_parquet", "table_source:ParquetSource"),
    Kind("Lance table", "lance_source:is_lance", "lance_source:LanceSource"),
    Kind("tar", "tar_source:is_tar", "tar_source:TarSource"),
    Kind("video", "video_source:is_videos", "video_source:VideoSource"),
    Kind("list of addresses", "object_source:is_address_list", "object_source:AddressList"),
    Kind("bucket", "object_source:is_bucket", "object_source:BucketSource"),
    Kind("web address", "object_source:is_web", "object_source:WebSource"),
    Kind("list", "folder_source:is_list", "folder_source:ListSource"),
    Kind("folder", "folder_source:is_local", "folder_source:FolderSource"),
)
"""In this order, the first that takes an input opens it. The functions are named by module, below lightpose.scale, and
name: `is_of(place: str) -> bool` and `open(inputs: Sequence[str], options: SourceOptions) -> Source`."""


def open_source(inputs: Sequence[str], options: SourceOptions) -> Source:
    """The images that inputs name, as `open_inputs` does. Raises ConfigError if they are videos."""
    source = open_inputs(inputs, options)
    if not hasattr(source, "read"):
        raise ConfigError(f"{inputs[0]} is a video, and no image")
    return cast("Source", source)


def open_inputs(inputs: Sequence[str], options: SourceOptions) -> Listed:
    """What inputs name, all of one kind: folders, files and patterns, or a list, or a table, or videos.

    Raises ConfigError if nobody takes an input, or if they are of several kinds.
    """
    if not inputs:
        raise ConfigError("name at least one folder, pattern, list or table; see lightpose bulk --help")
    kinds = {place: _kind_of(place) for place in inputs}
    first = kinds[inputs[0]]
    for place, kind in kinds.items():
        if kind is not first:
            raise ConfigError(
                f"{inputs[0]} is a {first.name} and {place} is a {kind.name}; give them to a run of their own"
            )
    return first.open(inputs, options)


def _kind_of(place: str) -> Kind:
    if source_kind(place) == "webcam":
        raise ConfigError(f"{place} is a camera, which has no end; give it to lightpose predict")
    kind = next((kind for kind in SOURCES if kind.is_of(place)), None)
    if kind is None:
        raise ConfigError(f"{place} is nothing that images can be read from: no folder, list or table")
    return kind


def _load(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    loaded: Callable[..., Any] = getattr(import_module(f"lightpose.scale.{module}"), function)
    return loaded
