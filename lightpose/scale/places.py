"""The tables, tars and lists that inputs name: patterns, folders of a bucket, and ranges such as {000..127}."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

from lightpose.errors import LightposeError, StoreError
from lightpose.scale.buckets import Buckets, ObjectAddress, is_bucket
from lightpose.scale.fetch import stamp_of
from lightpose.scale.object_store import object_error

__all__ = ["listed_objects", "named_files"]

_CHUNK = 1000
_MAGIC = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


def named_files(inputs: Sequence[str], suffix: str, out: str = "") -> Iterator[str]:
    """The files and addresses that inputs name, in order, each once: those of a pattern, and those below a folder.

    suffix: of the files that count below a folder, or in a bucket below an address. out: where the results go; what
    lies there is no input. What is not there is among them.
    """
    own, given = f"{_whole(out).rstrip('/')}/", set()
    for place in _named(inputs, suffix):
        whole = _whole(place)
        if whole not in given and not (out and whole.startswith(own)):
            given.add(whole)
            yield place


def _whole(place: str) -> str:
    """An address as it is; a path from the root, so that two spellings of it are the same."""
    return place if "://" in place else os.path.abspath(place)  # noqa: PTH100 - links stay apart


def _named(inputs: Sequence[str], suffix: str) -> Iterator[str]:
    for each in inputs:
        for place in _spelled(each):
            if is_bucket(place):
                yield from (address for address, _ in listed_objects(place, (suffix,), or_itself=True))
            elif os.path.isdir(place):  # noqa: PTH112 - a path may be no UTF-8
                yield from _below(place, suffix)
            elif glob.has_magic(place) and not os.path.lexists(place) and "://" not in place:
                for found in _shown(place):
                    yield from _below(found, suffix) if os.path.isdir(found) else [found]  # noqa: PTH112
            else:
                yield place


def _below(folder: str, suffix: str) -> Iterator[str]:
    """The files below a folder, such as one that Spark wrote as a table."""
    return (name for name in _shown(f"{glob.escape(folder)}/**/*{suffix}") if not os.path.isdir(name))  # noqa: PTH112


def _shown(pattern: str) -> list[str]:
    """The files of a pattern, sorted, without those that are no part of a table, such as Spark's `_SUCCESS`."""
    found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207
    return [name for name in found if os.path.basename(name)[0] != "_"]  # noqa: PTH119


def _spelled(place: str) -> Iterator[str]:
    """A range such as {000..127}, as WebDataset writes it, as its names."""
    found = _RANGE.search(place)
    if found is None:
        yield place
        return
    width = len(found[1])
    for number in range(int(found[1]), int(found[2]) + 1):
        yield from _spelled(f"{place[: found.start()]}{number:0{width}}{place[found.end() :]}")


def listed_objects(where: str, suffixes: tuple[str, ...], or_itself: bool = False) -> Iterator[tuple[str, str]]:
    """Addresses and stamps of the objects below an address, or that a pattern names, as the store sorts them.

    suffixes: of the names that count, in small letters. Those that begin with a dot or an underscore are passed over.
    or_itself: give the address, without a stamp, if nothing is there. Raises StoreError if it cannot be listed, or not
    in order.
    """
    address = ObjectAddress.of(where)
    magic = re.search(r"[*?[]", address.key)
    folder = address.key[: magic.start()].rpartition("/")[0] if magic else address.key.rstrip("/")
    pattern = _pattern(address.key) if magic else re.compile(".*", re.DOTALL)
    found = False
    for meta in _in_order(address, folder):
        key = meta["path"]
        parts = (key[len(folder) :].strip("/") or key.rpartition("/")[2]).split("/")
        hidden = any(part.startswith((".", "_")) for part in parts)
        if not hidden and key.lower().endswith(suffixes) and pattern.fullmatch(key):
            found = True
            yield f"{address.root}/{key}", stamp_of(meta)
    if or_itself and not found:
        yield where, ""


def _pattern(key: str) -> re.Pattern[str]:
    """A pattern as in a shell: * stops at a slash, and ** does not."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]/]+\])", key)
    meant = (_MAGIC.get(part) or (part.replace("[!", "[^") if part[:1] == "[" else re.escape(part)) for part in parts)
    return re.compile("".join(meant), re.DOTALL)


def _in_order(address: ObjectAddress, folder: str) -> Iterator[Any]:
    """What the store tells of each object below a folder. Raises StoreError if that is not in order."""
    last = b""
    for meta in _metas(ObjectAddress(address.scheme, address.bucket, folder)):
        name = meta["path"].encode()
        if name < last:
            raise StoreError(f"{address.root} lists its objects in no order; give a list of addresses instead")
        last = name
        yield meta


def _metas(address: ObjectAddress) -> Iterator[Any]:
    handle, found = Buckets().of(address), False
    try:
        for chunk in handle.list(address.key or None, chunk_size=_CHUNK):
            found = found or bool(chunk)
            yield from chunk
        if not found and address.key:
            yield handle.head(address.key)  # an object by its own address
    except FileNotFoundError:
        return
    except LightposeError:
        raise
    except Exception as error:
        raise object_error(error, address, "listed")[0] from error
