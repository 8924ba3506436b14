"""Tables as the bytes of a Parquet file, and back. The only file of the package that knows how they are encoded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lightpose.errors import StoreError
from lightpose.formats import parquet

__all__ = ["KEY", "about_of", "decode_groups", "decode_table", "encode_table", "footer_of", "load_arrow", "with_about"]

KEY = parquet.KEY
"""The metadata of a part have a JSON object under this name."""


def load_arrow() -> Any:
    """The package pyarrow, with Parquet. Raises MissingPackageError if it is not installed."""
    return parquet.load_arrow("scale")


def encode_table(table: Any) -> bytes:
    """The bytes of a Parquet file, the same for the same table. Each page has a checksum."""
    arrow = load_arrow()
    buffer = arrow.BufferOutputStream()
    arrow.parquet.write_table(
        table, buffer, compression="zstd", use_dictionary=False, write_page_checksum=True, store_schema=True
    )
    content: bytes = buffer.getvalue().to_pybytes()
    return content


def decode_table(content: bytes) -> Any:
    """The table in a Parquet file. Raises StoreError if the file is damaged."""
    with _opened(content) as file:
        return file.read(use_threads=False)


def decode_groups(content: bytes) -> Iterator[Any]:
    """The row groups of a Parquet file, as tables. Raises StoreError if the file is damaged."""
    with _opened(content) as file:
        for number in range(file.num_row_groups):
            yield file.read_row_group(number, use_threads=False)


@contextmanager
def _opened(content: bytes) -> Iterator[Any]:
    """A Parquet file, of which tables are read in this thread: those of Arrow may still be at work when the process
    ends, which then aborts."""
    arrow = load_arrow()
    try:
        how = {"pre_buffer": False, "page_checksum_verification": True}
        yield arrow.parquet.ParquetFile(arrow.BufferReader(content), **how)
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise StoreError(f"it is no whole Parquet file ({str(error).partition(chr(10))[0][:160]})") from error


def with_about(table: Any, about: Mapping[str, Any]) -> Any:
    """The table with facts in its metadata."""
    known = table.schema.metadata or {}
    return table.replace_schema_metadata({**known, KEY: json.dumps(about, ensure_ascii=False).encode()})


def about_of(metadata: Mapping[bytes, bytes] | None) -> dict[str, Any]:
    """The facts in the metadata of a table or file. Raises StoreError if there are none."""
    try:
        found = json.loads((metadata or {})[KEY])
    except (LookupError, ValueError) as error:
        raise StoreError("it is no part of a bulk run") from error
    if not isinstance(found, dict):
        raise StoreError("it is no part of a bulk run")
    return found


def footer_of(end: bytes) -> tuple[int, dict[str, Any]] | int:
    """Rows and facts of a Parquet file, out of its last bytes; if those are too few, how many are needed.

    Raises StoreError if they are not the end of such a file.
    """
    arrow = load_arrow()
    if end[-4:] != b"PAR1":
        raise StoreError("it is no whole Parquet file")
    needed = int.from_bytes(end[-8:-4], "little") + 8
    if needed > len(end):
        return needed
    try:
        metadata = arrow.parquet.read_metadata(arrow.BufferReader(end))
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise StoreError("its end is damaged") from error
    return metadata.num_rows, about_of(metadata.metadata)
