"""What a weights file says of itself, as a table in a terminal."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lightpose.cli.console import SafeConsole

__all__ = ["print_origins", "print_table", "size_text", "spec_rows"]

if TYPE_CHECKING:
    from lightpose.types import Spec


def size_text(spec: Spec) -> str:
    return "x".join(map(str, spec.input_hw))


def spec_rows(spec: Spec) -> list[tuple[str, str]]:
    """Every field of a spec and its value, to read."""
    rows = []
    for field in dataclasses.fields(spec):
        value = getattr(spec, field.name)
        if field.name == "skeleton":
            text = f"{value.name}, {len(value)} joints: {', '.join(value.joints)}"
        elif field.name == "input_hw":
            text = size_text(spec)
        elif isinstance(value, Mapping):
            text = ", ".join(f"{name}={each}" for name, each in value.items()) or "–"
        elif isinstance(value, tuple):
            text = ", ".join(f"{each:g}" if isinstance(each, float) else str(each) for each in value)
        else:
            text = f"{value:g}" if isinstance(value, float) else str(value)
        rows.append((field.name, text))
    return rows


def print_origins(spec: Spec, origins: Mapping[str, str]) -> None:
    """Each setting of a file that is not lightpose's, and where it is from."""
    words = {"asked": "as asked", "read": "read in the file"}
    rows = [(name, text, words.get(origins[name], origins[name])) for name, text in spec_rows(spec) if name in origins]
    print_table(("setting", "value", "where from"), rows)


def print_table(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(*titles, box=box.SIMPLE, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*map(Text, row))
    SafeConsole(width=None if sys.stdout.isatty() else 140, highlight=False).print(table)
