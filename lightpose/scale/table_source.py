"""Images in a column of Parquet tables: their bytes, or where they lie."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from lightpose.errors import DataError, ImageError, ImageMissingError, UnreachableError, brief
from lightpose.scale.fetch import Fetcher, referred
from lightpose.scale.parquet import load_arrow
from lightpose.scale.places import named_files
from lightpose.scale.remote_file import open_parts
from lightpose.scale.source import Item, SourceOptions

__all__ = ["ParquetSource", "check_columns", "image_bytes", "is_parquet"]

_BUFFER = 2**20
_BATCH_BYTES = 2**24
_BATCH_ROWS = 64
_LISTED_ROWS = 10_000
_FAULT = "fault"


def is_parquet(place: str) -> bool:
    """Whether an input is a Parquet table, a folder or a pattern of such, by its name."""
    return place.rstrip("/").lower().endswith((".parquet", ".pq"))


class ParquetSource:
    """The rows of Parquet tables, in the order of the tables and of their rows. Each row is an item.

    The column has images' bytes, paths or addresses, or structs of `bytes` and `path` as Hugging Face writes them. A
    relative path counts from the table's folder. Row groups may be large: they are read forward, page by page, and
    never as a whole. A row without an image, and a table that is damaged, are left to fail when they are read.
    """

    def __init__(self, inputs: Sequence[str], options: SourceOptions) -> None:
        self._inputs, self._options = inputs, options
        self._fetcher = Fetcher.of(options)
        self._patient = Fetcher.of(options, patient=True)
        self._groups: dict[tuple[str, int], _Group] = {}
        self._lock = threading.Lock()

    @cached_property
    def kept_types(self) -> Mapping[str, Any]:
        """The Arrow type of each kept column, of the first table that is whole. Raises DataError if it lacks one."""
        for table in named_files(self._inputs, ".parquet", self._options.out):
            try:
                schema = _opened(self._patient, table)[0].schema_arrow
            except ImageError:
                continue  # it becomes a row with its fault
            check_columns(schema, self._options, table)
            return {name: schema.field(name).type for name in self._options.keep}
        raise DataError(f"there is no whole Parquet table in {', '.join(self._inputs)}")

    def items(self) -> Iterator[Item]:
        """One for each row. Raises DataError if a table lacks a column, or has another type for one to keep."""
        kept_types = self.kept_types
        for table in named_files(self._inputs, ".parquet", self._options.out):
            try:
                file, stamp = _opened(self._patient, table)
            except ImageError:
                yield Item(table, f"{table}#{_FAULT}", "", dict.fromkeys(self._options.keep))
                continue
            check_columns(file.schema_arrow, self._options, table)
            for name, kind in kept_types.items():
                if file.schema_arrow.field(name).type != kind:
                    raise DataError(f"{table}: the column {name!r} has not the type {kind}, as in the first table")
            row = 0
            for group in range(file.num_row_groups):
                for place, kept in enumerate(self._kept(file, group)):
                    yield Item(f"{table}#{row}", f"{table}#{group}.{place}", stamp, kept)
                    row += 1

    def read(self, place: str) -> bytes:
        """See `Source`."""
        table, _, row = place.rpartition("#")
        if row == _FAULT:
            _opened(self._fetcher, table)
            raise ImageError(f"{table} was damaged when it was listed, and is no more; start a new run")
        group, number = map(int, row.split("."))
        with self._lock:
            value = self._group(table, group).row(number)
        return image_bytes(value, table, self._options.column, self._fetcher)

    def _kept(self, file: Any, group: int) -> Iterator[dict[str, Any]]:
        """The kept values of each row in a group."""
        if not self._options.keep:
            yield from ({} for _ in range(file.metadata.row_group(group).num_rows))
            return
        for batch in file.iter_batches(_LISTED_ROWS, [group], list(self._options.keep), use_threads=False):
            yield from batch.to_pylist()

    def _group(self, table: str, group: int) -> _Group:
        if (table, group) not in self._groups:
            while len(self._groups) > 1:  # two: threads that read ahead may be on both sides of a seam
                self._groups.pop(next(iter(self._groups)))
            self._groups[table, group] = _Group(self._fetcher, table, group, self._options.column)
        return self._groups[table, group]


class _Group:
    """The images of one row group, read forward; the last batches are kept for threads that come a little late."""

    def __init__(self, fetcher: Fetcher, table: str, group: int, column: str) -> None:
        self._given = fetcher, table, group, column
        self._fault: tuple[int, str] | None = None
        self._restart()

    def _restart(self) -> None:
        self._batches = self._read()
        self._held: list[tuple[int, Any]] = []
        self._end = 0

    def row(self, number: int) -> Any:
        """The value of a row. Raises ImageError if the table is damaged there."""
        if self._held and number < self._held[0][0]:
            self._restart()
        while number >= self._end:
            if self._fault and number >= self._fault[0]:
                raise ImageError(self._fault[1])
            self._next()
        start, values = next(held for held in reversed(self._held) if held[0] <= number)
        return values[number - start].as_py()

    def _next(self) -> None:
        _, table, group, _ = self._given
        try:
            values = next(self._batches, None)
        except UnreachableError:  # ends the generator, so the next try needs a fresh one
            self._restart()
            raise
        except (load_arrow().ArrowException, OSError, DataError) as error:
            values, told = None, f"{table}: row group {group} is damaged from row {self._end} on ({brief(error)})"
        else:
            told = f"{table}: row group {group} has {self._end} rows, fewer than when it was listed; start a new run"
        if values is None:
            self._fault = self._end, told
            self._restart()
            return
        self._held = [*self._held[-1:], (self._end, values)]
        self._end += len(values)

    def _read(self) -> Iterator[Any]:
        fetcher, table, group, column = self._given
        file, _ = _opened(fetcher, table)
        about = file.metadata.row_group(group)
        chunks = [about.column(number) for number in range(about.num_columns)]
        size = sum(each.total_uncompressed_size for each in chunks if each.path_in_schema.split(".")[0] == column)
        rows = max(1, min(_BATCH_ROWS, _BATCH_BYTES * about.num_rows // max(size, 1)))
        for batch in file.iter_batches(rows, [group], [column], use_threads=False):
            yield batch.column(0)


def check_columns(schema: Any, options: SourceOptions, table: str) -> None:
    """Raise DataError unless a table has the columns, and images or their places in the one."""
    column = options.column
    for name in (column, *options.keep):
        if schema.names.count(name) != 1:
            found = "lacks the column" if name not in schema.names else "has more than one column"
            hint = "name it by --column" if name == column else "name others by --keep"
            raise DataError(f"{table} {found} {name!r}; {hint}, of {', '.join(schema.names[:20])}")
    kind, types = schema.field(column).type, load_arrow().types
    kind = kind.value_type if types.is_dictionary(kind) else kind
    named = {kind.field(number).name for number in range(kind.num_fields)} if types.is_struct(kind) else set()
    tests = ("is_binary", "is_large_binary", "is_binary_view", "is_fixed_size_binary", "is_string", "is_large_string",
             "is_string_view")  # fmt: skip
    if not (named & {"bytes", "path"} or any(getattr(types, test)(kind) for test in tests)):
        raise DataError(
            f"{table}: the column {column!r} is of the type {kind}; it must have images' bytes, paths or addresses, "
            "or structs of bytes and path"
        )


def image_bytes(value: Any, table: str, column: str, fetcher: Fetcher) -> bytes:
    """The image that a value of a table holds or names. Raises ImageError if it is null."""
    if isinstance(value, Mapping):
        value = value.get("path") if value.get("bytes") is None else value["bytes"]
    if value is None:
        raise ImageMissingError(f"there is no image in this row: {column!r} of {table} is null")
    return fetcher.read(referred(value, table)) if isinstance(value, str) else bytes(value)


def _opened(fetcher: Fetcher, table: str) -> tuple[Any, str]:
    """A Parquet file and its stamp. Raises ImageError if it is not there, or no such file."""
    arrow = load_arrow()
    file, stamp = open_parts(fetcher, table, _BUFFER)
    try:
        how = {"buffer_size": _BUFFER, "pre_buffer": False, "page_checksum_verification": True}
        return arrow.parquet.ParquetFile(file, **how), stamp
    except (arrow.ArrowException, OSError, DataError) as error:
        raise ImageError(f"{table} is no whole Parquet file ({brief(error)})") from error
