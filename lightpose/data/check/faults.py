"""What a check reports: kinds of faults, and findings of them in a file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

__all__ = ["Fault", "Finding", "Kind", "Name", "Severity"]

Severity = Literal["error", "warning", "note"]
Kind = Literal["annotation", "image", "category", "joint", "file"]
Name = int | str
"""An id, or what else an annotation, image or joint can be found by."""


@dataclass(frozen=True)
class Fault:
    """A kind of fault that files can have.

    severity: `error` if `read_coco` refuses the file or training or AP would be wrong, `warning` if that depends on the
    use or the labels look wrong, `note` for what is good to know. kind: of what. consequence, remedy: a sentence each.
    """

    code: str
    severity: Severity
    kind: Kind
    what: str
    consequence: str
    remedy: str

    def naming(self, names: Iterable[Name]) -> Finding:
        """The finding of this fault in those that are named; its count may be 0."""
        found = tuple(names)
        return Finding(**vars(self), count=len(found), examples=found)

    def at(self, names: Sequence[Name], where: Any, suspect: Any = True) -> Finding:
        """The finding of this fault in those names (N,) for which `where` (N,) is true; in none if it is no suspect."""
        return self.naming(names[number] for number in np.flatnonzero(where).tolist() if suspect)


@dataclass(frozen=True)
class Finding(Fault):
    """One kind of fault, found in a file.

    count: of how many. examples: ids of the first of them; names, where the kind is category, joint or file.
    """

    count: int
    examples: tuple[Name, ...]
