"""What was measured of a weights file, as a json object that other commands and programs read: figures, all that they
depend on, and what the network costs."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightpose.errors import DataError
from lightpose.evaluate.report import Report
from lightpose.io.files import read_json
from lightpose.types import ModelSpec
from lightpose.weights import find_weights

__all__ = ["Record", "read_records", "record", "weight_facts"]

KINDS: dict[str, tuple[type, ...]] = {
    "model": (str,), "network": (str,), "data": (str,), "pictures": (int,), "persons": (int,), "boxes": (str,),
    "flip": (bool,), "decoder": (str,), "beta": (int, float), "geometry": (str,), "padding": (int, float),
    "nms": (str,), "nms_oks": (int, float), "nms_areas": (str,), "input": (str,),
}  # fmt: skip
"""What a record must say, and of which kind it is."""


def weight_facts(model: str | Path, spec: ModelSpec) -> dict[str, Any]:
    """A weights file's checksum, parameters, the paper's GFLOPs, and true multiply-accumulates for a crop.

    model: as `find_weights` takes it. spec: what it says of itself, at the input size that it is used at. Without
    torch, which counts them, and of another project's graph, the latter three are None.
    """
    path = find_weights(model)
    facts: dict[str, Any] = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    unknown = {**facts, "parameters": None, "paper_gflops": None, "macs": None}
    if spec.adopted:
        return unknown
    try:
        from lightpose.weights.cost import profile_spec
    except ImportError:
        return unknown
    cost = profile_spec(spec)
    return {**facts, "parameters": cost.parameters, "paper_gflops": round(cost.paper_gflops, 6), "macs": cost.macs}


def record(model: str | Path, report: Report, facts: dict[str, Any]) -> dict[str, Any]:
    """The json object of one measurement. facts: see `weight_facts`."""
    return {"model": str(model), **json.loads(report.to_json()), **facts}


@dataclass(frozen=True, eq=False)
class Record:
    """A record that has been read. path: its file. table: the json object, checked."""

    path: Path
    table: dict[str, Any]

    @property
    def network(self) -> str:
        return str(self.table["network"])

    @property
    def gc(self) -> bool:
        """Whether the network has global context blocks, where that is a choice; True otherwise."""
        return bool(self.table.get("gc", True))

    @property
    def input_hw(self) -> tuple[int, int]:
        height, width = map(int, self.table["input"].split("x"))
        return height, width

    def figure(self, name: str) -> float | None:
        """A figure in [0, 1], or None where it is not known."""
        value = self.table.get(name)
        return float(value) if isinstance(value, int | float) and 0 <= value < math.inf else None


def read_records(paths: Iterable[str | Path]) -> list[Record]:
    """The records of json files, each with one or a list of them. Raises DataError if a file holds something else."""
    records = []
    for path in map(Path, paths):
        document = read_json(path)
        rows = document if isinstance(document, list) else [document]
        for number, row in enumerate(rows):
            _check(f"{path}: record {number}", row)
            records.append(Record(path, row))
    return records


def _check(where: str, row: Any) -> None:
    advice = "write it with lightpose evaluate --report"
    if not isinstance(row, dict):
        raise DataError(f"{where} is not an object; {advice}")
    for name, kinds in KINDS.items():
        if not isinstance(row.get(name), kinds):
            raise DataError(f"{where} has no usable {name!r}; {advice}")
    sides = row["input"].split("x")
    if len(sides) != 2 or not all(side.isascii() and side.isdigit() for side in sides):
        raise DataError(f"{where} has the input {row['input']!r}, which is not HEIGHTxWIDTH; {advice}")
