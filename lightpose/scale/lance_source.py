"""Images in a column of a Lance table."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from lightpose.errors import DataError, ImageError, MissingPackageError, StoreError, brief
from lightpose.scale.fetch import Fetcher
from lightpose.scale.source import Item, SourceOptions
from lightpose.scale.table_source import check_columns, image_bytes

__all__ = ["LanceSource", "is_lance"]

_TAKEN = 16
"""Rows that are read at once, for one that is asked for and those that will be next."""


def is_lance(place: str) -> bool:
    """Whether an input is a Lance table, by its name."""
    return place.rstrip("/").lower().endswith(".lance")


class LanceSource:
    """The rows of Lance tables, in the order of the tables and of their rows; the column is as `ParquetSource` has it.

    A table is read in the version that it had when it was listed: rows that are added meanwhile do not count.
    """

    def __init__(self, inputs: Sequence[str], options: SourceOptions) -> None:
        self._inputs, self._options = inputs, options
        self._fetcher = Fetcher.of(options)
        self._open: dict[tuple[str, int], Any] = {}
        self._taken: tuple[str, int, list[Any]] = "", 0, []
        self._lock = threading.Lock()

    @cached_property
    def kept_types(self) -> Mapping[str, Any]:
        """The Arrow type of each kept column in the first table. Raises DataError if it lacks one."""
        schema = _opened(self._inputs[0]).schema
        check_columns(schema, self._options, self._inputs[0])
        return {name: schema.field(name).type for name in self._options.keep}

    def items(self) -> Iterator[Item]:
        """One for each row. Raises DataError if a table is not there, or lacks a column."""
        for table in self._inputs:
            dataset = _opened(table)
            check_columns(dataset.schema, self._options, table)
            for name, kind in self.kept_types.items():
                if dataset.schema.field(name).type != kind:
                    raise DataError(f"{table}: the column {name!r} has not the type {kind}, as in the first table")
            rows = self._kept(dataset)
            for row, kept in enumerate(rows):
                yield Item(f"{table}#{row}", f"{table}#{dataset.version}.{row}", str(dataset.version), kept)

    def read(self, place: str) -> bytes:
        """See `Source`."""
        table, _, row = place.rpartition("#")
        version, number = map(int, row.split("."))
        with self._lock:
            value = self._row(table, version, number)
        return image_bytes(value, table, self._options.column, self._fetcher)

    def _kept(self, dataset: Any) -> Iterator[dict[str, Any]]:
        if not self._options.keep:
            yield from ({} for _ in range(dataset.count_rows()))
            return
        for batch in dataset.to_batches(columns=list(self._options.keep), scan_in_order=True):
            yield from batch.to_pylist()

    def _row(self, table: str, version: int, number: int) -> Any:
        """The value of a row; those after it are read with it."""
        key = f"{table}#{version}"
        if not (self._taken[0] == key and 0 <= number - self._taken[1] < len(self._taken[2])):
            try:
                dataset = self._open.setdefault((table, version), None) or _opened(table, version)
                self._open = {(table, version): dataset}
                rows = range(number, min(number + _TAKEN, dataset.count_rows()))
                values = dataset.take(list(rows), columns=[self._options.column]).column(0).to_pylist()
            except (OSError, ValueError, DataError) as error:
                raise ImageError(f"row {number} of {table} cannot be read ({brief(error)})") from error
            self._taken = key, number, values
        return self._taken[2][number - self._taken[1]]


def _opened(table: str, version: int | None = None) -> Any:
    """A Lance table. Raises DataError if it is none."""
    try:
        import lance
    except ImportError as error:
        raise MissingPackageError("pylance", "lance") from error
    if table.startswith("https://"):
        raise StoreError(f"{table}: Lance tables are read from folders and buckets; copy it there")
    try:
        return lance.dataset(table, version=version)
    except (OSError, ValueError) as error:
        raise DataError(f"{table} is no Lance table that can be read ({brief(error)})") from error
