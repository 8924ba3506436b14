"""Images below an address of a bucket, images by their addresses, and images that a list names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightpose.errors import ImageError, ImageTooLargeError
from lightpose.io.images import IMAGE_SUFFIXES
from lightpose.scale.buckets import is_bucket
from lightpose.scale.fetch import Fetcher, is_remote, referred
from lightpose.scale.https import is_web
from lightpose.scale.places import listed_objects, named_files
from lightpose.scale.source import Item, SourceOptions

__all__ = ["AddressList", "BucketSource", "WebSource", "is_bucket", "is_list", "is_web"]

_LISTS = (".txt", ".lst", ".list")
_MOST_LIST = 2**31
_FAULT = "fault:"


def is_list(place: str) -> bool:
    """Whether an input is a list of paths and addresses, by its name."""
    return place.lower().endswith(_LISTS) and (is_remote(place) or not Path(place).is_dir())


@dataclass
class _ByPlace:
    """What the sources here share: an item's place is the image's own."""

    inputs: Sequence[str]
    options: SourceOptions

    def __post_init__(self) -> None:
        self.kept_types: Mapping[str, Any] = {}
        self._fetcher = Fetcher(self.options.patience_s)

    def read(self, place: str) -> bytes:
        """See `Source`."""
        return self._fetcher.read(place)


class BucketSource(_ByPlace):
    """The images below addresses such as s3://BUCKET/FOLDER, and those of patterns such as s3://BUCKET/*/*.jpg.

    An object is an image by its suffix. Those whose names begin with a dot or an underscore are passed over, and all
    below such folders. They come as the store lists them, a thousand at a time, so that there may be any number.
    """

    def items(self) -> Iterator[Item]:
        """One for each image, named by its address. Raises StoreError if the store cannot list."""
        seen: set[int] = set()  # none for a single input, which names nothing twice
        for where in self.inputs:
            for address, stamp in listed_objects(where, tuple(IMAGE_SUFFIXES)):
                if len(self.inputs) > 1:
                    if hash(address) in seen:
                        continue
                    seen.add(hash(address))
                yield Item(address, address, stamp)


class WebSource(_ByPlace):
    """The images of the https addresses themselves."""

    def items(self) -> Iterator[Item]:
        """One for each address."""
        return (Item(address, address) for address in dict.fromkeys(self.inputs))


class AddressList(_ByPlace):
    """The images that the lines of files name: paths, and addresses such as s3://… and https://….

    A relative path counts from the list's folder. Lines are sorted, and equal ones count once; empty lines and those
    that begin with "# " are passed over. A line that names nothing is left to fail when it is read.
    """

    def items(self) -> Iterator[Item]:
        """One for each line, named by it. Raises ImageError if a list cannot be read."""
        lines: dict[bytes, str] = {}
        for where in named_files(self.inputs, ".txt"):
            for line in self._content(where).removeprefix(b"\xef\xbb\xbf").splitlines():
                if line and not line.startswith(b"# "):
                    lines.setdefault(line, where)
        for line in sorted(lines):
            yield self._item(line.decode("utf-8", "surrogateescape"), lines[line])

    def read(self, place: str) -> bytes:
        """See `Source`."""
        if place.startswith(_FAULT):
            raise ImageError(place.removeprefix(_FAULT))
        return self._fetcher.read(place)

    def _content(self, where: str) -> bytes:
        patient = Fetcher(self.options.patience_s, self.options.tries)
        size, _ = patient.size_and_stamp(where)
        if size > _MOST_LIST:
            raise ImageTooLargeError(f"{where} has more than {_MOST_LIST:,} bytes; cut it into several lists")
        return patient.read_range(where, 0, size)

    def _item(self, line: str, where: str) -> Item:
        try:
            place = referred(line, where)
        except ImageError as error:
            return Item(line, f"{_FAULT}{error}")
        try:
            return Item(line, place, "" if is_remote(place) else self._fetcher.size_and_stamp(place)[1])
        except ImageError:
            return Item(line, place)  # it fails when it is read
