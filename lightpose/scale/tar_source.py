"""Images in WebDataset tars: each is read by its place in the tar, so that nothing is unpacked."""

from __future__ import annotations

import json
import tarfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from itertools import groupby
from pathlib import PurePosixPath
from typing import Any

from lightpose.errors import DataError, ImageError, ImageTooLargeError, LightposeError, brief
from lightpose.io.images import IMAGE_SUFFIXES, max_bytes
from lightpose.scale.fetch import Fetcher
from lightpose.scale.parquet import load_arrow
from lightpose.scale.places import named_files
from lightpose.scale.remote_file import open_parts
from lightpose.scale.source import DistinctNames, Item, SourceOptions, readable

__all__ = ["TarSource", "is_tar"]

_BUFFER = 2**16
_AT_ONCE = 8
"""Tars that are listed at the same time: in a bucket, each member costs a request."""
_MOST_BESIDE = 2**24
_FAULT = "fault"
_DAMAGE = (tarfile.TarError, DataError, OSError, ValueError, OverflowError)


def is_tar(place: str) -> bool:
    """Whether an input is a tar or a pattern of such, by its name; a compressed one is, and is refused."""
    return place.lower().endswith((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst"))


class TarSource:
    """The images of tars, in the order of the tars and of their members. A member is an image by its suffix.

    Of what lies beside an image, `json` and `txt` keep the members KEY.json and KEY.txt; another name keeps a field of
    KEY.json. Everything is kept as text. A member's key is its path up to the first dot of its name, as WebDataset has
    it. A tar that is damaged gives one more item, which fails when it is read.
    """

    def __init__(self, inputs: Sequence[str], options: SourceOptions) -> None:
        self._inputs, self._keep, self._out = inputs, options.keep, options.out
        self._fetcher = Fetcher.of(options)
        self._patient = Fetcher.of(options, patient=True)

    @cached_property
    def kept_types(self) -> Mapping[str, Any]:
        """The Arrow type of each kept value: text."""
        return dict.fromkeys(self._keep, load_arrow().string())

    def items(self) -> Iterator[Item]:
        """One for each image. Raises UnreachableError or StoreError if a tar cannot be read."""
        waiting: deque[Future[list[Item]]] = deque()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            try:
                for tar in named_files(self._inputs, ".tar", self._out):
                    waiting.append(pool.submit(lambda tar: list(self._items_of(tar)), tar))
                    if len(waiting) >= _AT_ONCE:
                        yield from waiting.popleft().result()
                while waiting:
                    yield from waiting.popleft().result()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def read(self, place: str) -> bytes:
        """See `Source`."""
        tar, _, part = place.rpartition("#")
        if part.startswith(_FAULT):
            raise ImageError(part.removeprefix(f"{_FAULT}:"))
        start, size = map(int, part.split("+"))
        most = max_bytes()
        if size > most:
            raise ImageTooLargeError(f"the image has {size:,} bytes, more than the {most:,} that are read")
        content = self._fetcher.read_range(tar, start, size)
        if len(content) < size:
            raise ImageError(f"{tar} ends within this image; copy or download it again")
        return content

    def _items_of(self, tar: str) -> Iterator[Item]:
        stamp, faults = "", list[str]()
        try:
            file, stamp = open_parts(self._patient, tar, _BUFFER)
            with file, tarfile.open(fileobj=file, mode="r:", errors="surrogateescape") as members:
                yield from self._images(tar, members, stamp, faults)
        except (ImageError, *_DAMAGE) as error:
            faults.append(str(error) if isinstance(error, LightposeError) else _damage(tar, error))
        for told in faults:
            yield Item(f"{tar}/", f"{tar}#{_FAULT}:{told.replace('#', '')}", stamp, dict.fromkeys(self._keep))

    def _images(self, tar: str, members: tarfile.TarFile, stamp: str, faults: list[str]) -> Iterator[Item]:
        """The images of an open tar, with what is kept of what lies beside each."""
        distinct = DistinctNames()
        for _, together in groupby(_files(tar, members, faults), key=lambda each: _key(each.name)):
            group = list(together)
            images = [each for each in group if _suffix(each.name) in IMAGE_SUFFIXES]
            kept = self._kept(members, group) if images and self._keep else {}
            for each in images:
                name = distinct(readable(each.name))
                yield Item(f"{tar}/{name}", f"{tar}#{each.offset_data}+{each.size}", stamp, kept)

    def _kept(self, tar: tarfile.TarFile, group: Iterable[tarfile.TarInfo]) -> dict[str, str | None]:
        """What lies beside an image, by the names to keep."""
        wanted = {f".{name}" for name in self._keep}
        beside = {}
        for each in group:
            suffix = each.name[len(_key(each.name)) :]
            if (suffix == ".json" or suffix in wanted) and each.size <= _MOST_BESIDE:
                member = tar.extractfile(each)
                beside[suffix] = member.read().decode("utf-8", "replace") if member else ""
        try:
            fields = json.loads(beside.get(".json", "{}"))
        except (ValueError, RecursionError):
            fields = {}
        fields = fields if isinstance(fields, dict) else {}
        return {name: beside.get(f".{name}", _text(fields.get(name))) for name in self._keep}


def _files(tar: str, members: tarfile.TarFile, faults: list[str]) -> Iterator[tarfile.TarInfo]:
    """The regular files of a tar, of which tarfile keeps none. If it does not end as tars do, `faults` gets why.

    A second name of an image, which tar writes as a hard link, stands for the bytes of the first.
    """
    images: dict[str, tuple[int, int]] = {}
    try:
        while (member := members.next()) is not None:
            members.members.clear()  # type: ignore[attr-defined]
            if member.islnk() and member.linkname in images:
                member.type = tarfile.REGTYPE
                member.offset_data, member.size = images[member.linkname]
            if member.isreg():
                if _suffix(member.name) in IMAGE_SUFFIXES:
                    images[member.name] = member.offset_data, member.size
                yield member
        members.fileobj.seek(members.offset)
        if members.fileobj.read(tarfile.BLOCKSIZE).strip(b"\0"):  # tarfile takes a damaged header for the end
            raise tarfile.ReadError(f"there is no header at byte {members.offset:,}")
    except _DAMAGE as error:
        faults.append(_damage(tar, error))


def _damage(tar: str, error: Exception) -> str:
    if isinstance(error, tarfile.ReadError) and tar.endswith((".gz", ".tgz", ".bz2", ".xz", ".zst")):
        return f"{tar} is compressed, so that its images cannot be read one by one; unpack it to a .tar"
    return f"{tar} is damaged, and images may be missing from here on ({brief(error)}); copy or download it again"


def _key(name: str) -> str:
    folder, slash, file = name.rpartition("/")
    return f"{folder}{slash}{file.partition('.')[0]}"


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _text(value: Any) -> str | None:
    """A value of json as a text, so that all parts of the results have one type."""
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
