"""Results in a bucket: objects of S3, Google Cloud Storage or Azure, written once by a conditional PUT."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from lightpose.errors import LightposeError, StoreError, brief
from lightpose.scale.buckets import Buckets, ObjectAddress, credentials_error, request_timeout_s

__all__ = ["ObjectStore", "object_error"]

Given = TypeVar("Given")

_WAITS = (0.005, 0.02, 0.1)
"""Pauses before a request is given again, in times that one may take. obstore repeats no PUT whose end is unknown."""
_TOKEN = "lightpose-put"
"""The name under which an object keeps who wrote it."""
_CHUNK = 1000


@dataclass
class ObjectStore:
    """A folder in a bucket, as `Store` has it. where: its address, such as s3://BUCKET/FOLDER.

    It goes to other processes as its address alone. A request that fails, hangs or says that it failed is repeated.
    """

    where: str
    _buckets: Buckets = field(default_factory=Buckets, repr=False, compare=False)

    def __post_init__(self) -> None:
        ObjectAddress.of(self.where)

    def read(self, name: str) -> bytes:
        """An object's bytes. Raises StoreError if it is not there or cannot be had."""
        return bytes(self._do("read", name, lambda handle, key: handle.get(key).bytes()))

    def read_end(self, name: str, count: int) -> bytes:
        """The last so many bytes of an object, or all. Raises StoreError if it is not there."""
        return bytes(self._do("read", name, lambda handle, key: handle.get(key, options=_end(count)).bytes()))

    def put_once(self, name: str, content: bytes) -> bool:
        """Write an object unless it is there; whether this call has written it.

        A PUT may be carried out and then reported as an error, and its repetition finds its own object. So each call
        has a token, which the object keeps: who finds another's token has lost.
        """
        from obstore.exceptions import AlreadyExistsError

        token = secrets.token_hex(16)

        def put(handle: Any, key: str) -> bool:
            try:
                handle.put(key, content, mode="create", attributes={_TOKEN: token})
            except AlreadyExistsError:
                there = handle.get(key)
                kept = there.attributes.get(_TOKEN)
                return bool(kept == token) if kept is not None else bytes(there.bytes()) == content
            return True

        return self._do("written", name, put)

    def put(self, name: str, content: bytes) -> None:
        """Write an object, over what is there. Raises StoreError."""
        self._do("written", name, lambda handle, key: handle.put(key, content))

    def names(self, prefix: str = "") -> list[str]:
        """The names that begin so, sorted, without those of folders. Raises StoreError."""
        return self._do("listed", prefix, lambda handle, key: sorted(self._named(handle, key, prefix)))

    def delete(self, name: str) -> None:
        """Remove an object; it may be gone already. Raises StoreError."""

        def delete(handle: Any, key: str) -> None:
            try:
                handle.delete(key)
            except FileNotFoundError:
                return

        self._do("removed", name, delete)

    def _named(self, handle: Any, key: str, prefix: str) -> Iterator[str]:
        """Names below the folder that begin with a prefix; obstore itself lists whole folders alone.

        The stores list in order, but for S3's directory buckets: elsewhere it begins and ends at the prefix.
        """
        whole, ordered = len(key) - len(prefix), "--x-s3" not in self.where
        start = f"{key[:-1]}{chr(ord(key[-1]) - 1)}~~~~" if ordered and prefix else None
        for chunk in handle.list(key.rpartition("/")[0] or None, offset=start, chunk_size=_CHUNK):
            for each in chunk:
                if each["path"].startswith(key):
                    yield each["path"][whole:]
                elif ordered and each["path"] > key:
                    return

    def _do(self, what: str, name: str, act: Callable[[Any, str], Given]) -> Given:
        """Do something with an object, again if the store fails. Raises StoreError."""
        address = ObjectAddress.of(self.where)
        folder = address.key.strip("/")
        key = f"{folder}/{name}" if folder else name
        waits = iter(_WAITS)
        while True:
            try:
                return act(self._buckets.of(address), key)
            except LightposeError:
                raise
            except Exception as error:
                told, final = object_error(error, ObjectAddress(address.scheme, address.bucket, key), what)
                wait = None if final else next(waits, None)
                if wait is None:
                    raise told from error
            time.sleep(wait * request_timeout_s() * random.uniform(0.5, 1.5))


def _end(count: int) -> dict[str, Any]:
    return {"range": {"suffix": count}}


def object_error(error: Exception, address: ObjectAddress, what: str) -> tuple[LightposeError, bool]:
    """An error of obstore as a sentence, and whether trying again is of no use.

    what: what could not be done with the object, such as "read". An error that is not obstore's is raised again.
    """
    from obstore import exceptions

    place, text = f"{address.root}/{address.key}", str(error)
    told = credentials_error(error, address)
    if told is not None:
        return told, True
    if "NoSuchBucket" in text:
        return StoreError(f"there is no bucket {address.root}; make it first, or check its name and the region"), True
    if isinstance(error, FileNotFoundError):
        return StoreError(f"there is no {place}"), True
    if isinstance(error, exceptions.PermissionDeniedError):
        return StoreError(f"{place} cannot be {what}: these credentials may not; ask who owns {address.root}"), True
    if isinstance(error, exceptions.InvalidPathError | ValueError):
        reason = f"its name, or one beside it, has an empty part, a dot alone or a control character ({brief(error)})"
        return StoreError(f"{place} cannot be {what}: {reason}; rename it"), True
    if "redirect" in text and "region" in text:
        return StoreError(f"{address.root} is in another region; set AWS_REGION to it"), True
    if isinstance(error, exceptions.BaseError | OSError):
        return StoreError(f"{place} cannot be {what}: {brief(error)}; try again when the store answers"), False
    raise error
