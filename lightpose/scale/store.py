"""Named bytes in one place: a folder, or a bucket's prefix. Parts, manifest and report of a bulk run lie in one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from filelock import FileLock

from lightpose.errors import StoreError
from lightpose.io.files import new_aside, write_aside

__all__ = ["REMOTE", "FolderStore", "Store", "open_store"]

REMOTE = ("s3://", "gs://", "az://")
"""How the names of places begin that are not on this computer."""


_LOCK = ".lightpose.lock"


class Store(Protocol):
    """Named bytes in one place. A name may have `/` in it; its parts are letters, digits and `-_.`.

    where: how the user named the place. All methods may be called by several threads and processes at a time.
    """

    where: str

    def read(self, name: str) -> bytes:
        """The bytes of that name. Raises StoreError if there are none."""

    def read_end(self, name: str, count: int) -> bytes:
        """The last so many bytes of that name, or all. Raises StoreError if there are none."""

    def put_once(self, name: str, content: bytes) -> bool:
        """Write the bytes, whole or not at all, and tell whether they were written: what was there stays.

        Of many writers at a time, one gets True. Raises StoreError if it cannot be written.
        """

    def put(self, name: str, content: bytes) -> None:
        """Write the bytes, whole or not at all, in place of what was there. Raises StoreError if that fails."""

    def names(self, prefix: str = "") -> list[str]:
        """The names that begin so, in order; of a place that is not there, none."""

    def delete(self, name: str) -> None:
        """Remove the bytes of that name, if they are there."""


def open_store(where: str) -> Store:
    """The store at a folder or a bucket's address. Nothing is made or read yet."""
    if where.startswith(REMOTE):
        from lightpose.scale.object_store import ObjectStore

        return ObjectStore(where)
    return FolderStore(where)


class FolderStore:
    """A store in a folder, which is made with the first bytes. A name with `/` lies in a folder below."""

    def __init__(self, where: str | Path) -> None:
        self.where = str(where)
        self._folder = Path(where)

    def read(self, name: str) -> bytes:
        """See `Store`."""
        with self._told(name, "read"):
            return (self._folder / name).read_bytes()

    def read_end(self, name: str, count: int) -> bytes:
        """See `Store`."""
        with self._told(name, "read"), (self._folder / name).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - count))
            return file.read()

    def put_once(self, name: str, content: bytes) -> bool:
        """See `Store`. A link to the whole file takes the name, which the system gives to one of all."""
        path = self._folder / name
        with self._told(name, "write"):
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = new_aside(path)
            try:
                write_aside(aside, content)
                _give_name(aside, path)
            except FileExistsError:
                return False
            except FileNotFoundError:  # another run ended meanwhile, and swept up what was aside
                if path.exists():
                    return False
                raise
            finally:
                aside.unlink(missing_ok=True)
        return True

    def put(self, name: str, content: bytes) -> None:
        """See `Store`."""
        path = self._folder / name
        with self._told(name, "write"):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_aside(path, content)

    def names(self, prefix: str = "") -> list[str]:
        """See `Store`. Hidden files, such as those that are being written, are no names."""
        top = self._folder / prefix.rpartition("/")[0]
        with self._told(prefix, "list"):
            found = [os.path.relpath(place, self._folder) for place in _files(top)] if top.exists() else []
        return sorted(name for each in found if (name := each.replace(os.sep, "/")).startswith(prefix))

    def delete(self, name: str) -> None:
        """See `Store`."""
        with self._told(name, "remove"):
            (self._folder / name).unlink(missing_ok=True)

    def clear(self, prefix: str) -> None:
        """Remove what writers that were killed left of names at the top that begin so, and that are all there by now:
        one that still writes such a name has lost."""
        with self._told(prefix, "remove"):
            for path in self._folder.glob(f".*{prefix}*.partial"):
                if path.name.lstrip(".").startswith(prefix):
                    path.unlink(missing_ok=True)

    @contextmanager
    def _told(self, name: str, what: str) -> Iterator[None]:
        """Turn errors of the system into one sentence."""
        try:
            yield
        except OSError as error:
            raise StoreError(f"cannot {what} {self._folder / name}: {error.strerror or error}") from error


def _give_name(aside: Path, path: Path) -> None:
    """Give a whole file its name. Raises FileExistsError if that is taken."""
    try:
        os.link(aside, path)
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError:  # a disk without hard links: one after the other, among those of this computer
        with FileLock(path.parent / _LOCK):
            if path.exists():
                raise FileExistsError(path) from None
            aside.replace(path)


def _files(folder: Path) -> Iterator[str]:
    """The paths of all files below a folder that are not hidden."""
    for place, folders, files in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if name[0] != "."]
        yield from (os.path.join(place, name) for name in files if name[0] != ".")  # noqa: PTH118


def _raise(error: OSError) -> None:
    raise error
