"""Images below an address of a bucket, images by their addresses, and images that a list names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightpose.errors import ConfigError, ImageError, LightposeError
from lightpose.io.images import IMAGE_SUFFIXES
from lightpose.io.sources import ImageFile
from lightpose.scale.buckets import is_bucket
from lightpose.scale.fetch import Fetcher, is_remote, referred
from lightpose.scale.folder_source import LISTS, is_list
from lightpose.scale.https import is_web
from lightpose.scale.places import listed_objects
from lightpose.scale.remote_file import open_parts
from lightpose.scale.source import DistinctNames, Item, SourceOptions, readable

__all__ = ["AddressList", "BucketSource", "WebSource", "is_address_list", "is_bucket", "is_web"]

_HEAD = 2**16
_BUFFER = 2**20
_FAULT = "fault:"
_TABLES = "s3://BUCKET/TABLE/*.parquet"


def is_address_list(place: str) -> bool:
    """Whether an input is a list that lies elsewhere, or one of this computer with addresses in it."""
    if is_remote(place):
        return os.path.splitext(place)[1].lower() in LISTS  # noqa: PTH122 - a Path would join the slashes
    try:
        return is_list(place) and b"://" in Fetcher().read_range(place, 0, _HEAD)
    except LightposeError:
        return False


class _ByPlace:
    """What the sources here share: an item's place is the image's own, and there are no columns."""

    def __init__(self, inputs: Sequence[str], options: SourceOptions) -> None:
        if options.keep:
            raise ConfigError(f"--keep {','.join(options.keep)} is for tables and tars: these images have no columns")
        self.kept_types: Mapping[str, Any] = {}
        self._inputs, self._options = tuple(inputs), options
        self._fetcher = Fetcher.of(options)

    def read(self, place: str) -> bytes:
        """See `Source`."""
        return self._fetcher.read(place)


class BucketSource(_ByPlace):
    """The images below addresses such as s3://BUCKET/FOLDER, and those of patterns such as s3://BUCKET/*/*.jpg.

    An object is an image by its suffix. Those whose names begin with a dot or an underscore are passed over, and all
    below such folders. They come as the store lists them, a thousand at a time, so that there may be any number.
    """

    def items(self) -> Iterator[Item]:
        """One for each image, named by its address. Raises StoreError if the store cannot list, ImageError if empty."""
        seen: set[int] = set()  # none for a single input, which names nothing twice
        for where in self._inputs:
            empty = True
            for address, stamp in listed_objects(where, tuple(IMAGE_SUFFIXES)):
                empty = False
                if hash(address) not in seen:
                    yield Item(address, address, stamp)
                if len(self._inputs) > 1:
                    seen.add(hash(address))
            if empty:
                raise ImageError(f"there is no image in {where}; a table is named by a pattern such as {_TABLES}")


class WebSource(_ByPlace):
    """The images of the https addresses themselves."""

    def items(self) -> Iterator[Item]:
        """One for each address."""
        return (Item(address, address) for address in dict.fromkeys(self._inputs))


class AddressList(_ByPlace):
    """The images that the lines of files name: paths, and addresses such as s3://… and https://….

    Of a list in a bucket, relative paths count from the list's folder; of one on this computer, from the folder in
    which the command runs. Empty lines are passed over. A line that names nothing is left to fail when it is read.
    """

    def items(self) -> Iterator[Item]:
        """One for each line, named by it. Raises ImageError if a list is empty or cannot be read."""
        names = DistinctNames()
        for where in self._inputs:
            empty = True
            file, _ = open_parts(Fetcher.of(self._options, patient=True), where, _BUFFER)
            with file:
                for line in file:
                    if text := os.fsdecode(line.strip(b"\r\n").removeprefix(b"\xef\xbb\xbf")):
                        empty = False
                        yield self._item(text, where, names)
            if empty:
                raise ImageError(f"there is no address in {where}; write one in each line")

    def read(self, place: str) -> bytes:
        """See `Source`."""
        if place.startswith(_FAULT):
            raise ImageError(place.removeprefix(_FAULT))
        return self._fetcher.read(place)

    def _item(self, line: str, where: str, names: DistinctNames) -> Item:
        name = names(readable(line))
        try:
            place = referred(line, where if is_remote(where) else os.path.abspath("list"))  # noqa: PTH100
        except ImageError as error:
            return Item(name, f"{_FAULT}{error}")
        return Item(name, place, "" if is_remote(place) else ImageFile(Path(place), Path(place)).stamp())
