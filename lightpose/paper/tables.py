"""Tables 1 to 5 of the paper: its numbers, our counts, and what was measured, as far as it was."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

from lightpose.evaluate.record import Record
from lightpose.paper import facts
from lightpose.paper.facts import Result
from lightpose.paper.protocol import describe
from lightpose.paper.stages import TrainingLog, stage_marks
from lightpose.paper.table import NOT_MEASURED, Row, Table
from lightpose.skeletons import COCO17
from lightpose.types import ModelSpec
from lightpose.weights.cost import Profile, profile_spec

__all__ = ["counted", "table1", "table2", "table3", "table4", "table5"]

Cells = dict[str, float | None]

FIGURES = {"AP": "ap", "AP50": "ap50", "AP75": "ap75", "APM": "ap_medium", "APL": "ap_large", "AR": "ar"}
"""The paper's columns, and our names of them."""

COUNTS = {"params M": (1, 3), "FLOPs G": (1, 3)}


def counted(network: str, input_hw: tuple[int, int], gc: bool = True) -> Profile:
    """The cost of a network of ours, with 17 joints."""
    return profile_spec(ModelSpec(network, COCO17, input_hw, {} if gc else {"gc": False}))


def table1(records: Sequence[Record]) -> Table:
    """Results on COCO val2017."""
    title = "Table 1: COCO val2017, flip test, β-soft-argmax with β 160, boxes of a detector (human AP 56.4)"
    return _results(title, facts.TABLE_1, records, "val2017", "table1")


def table2(records: Sequence[Record]) -> Table:
    """Results on COCO test-dev2017."""
    title = "Table 2: COCO test-dev2017, otherwise as Table 1"
    return _results(title, facts.TABLE_2, records, "test-dev2017", "table2")


def table3(records: Sequence[Record]) -> Table:
    """Global context."""
    rows: list[Row] = []
    used: list[Record] = []
    for one in facts.TABLE_3:
        label = f"{one.network} {'with' if one.gc else 'without'} GC"
        theirs: Cells = {"params M": one.parameters_m, "FLOPs G": one.gflops}
        rows.append(Row(label, "paper", theirs | {"AP": one.ap, "AP50": one.ap50, "AR": one.ar}))
        mine = [r for r in records if _is(r, one.network, facts.SMALL, one.gc)]
        used += mine
        note = functools.partial(describe, collection="val2017", decoder="quarter")
        rows += _ours(label, _counts(one.network, facts.SMALL, one.gc), mine, ("AP", "AP50", "AR"), note)
    columns = {"params M": (1, 3), "FLOPs G": (4, 6), "AP": (1, 1), "AP50": (1, 1), "AR": (1, 1)}
    title = "Table 3: global context, COCO val2017 at 256x192"
    return Table(title, columns, tuple(rows), (*facts.REMARKS["table3"], *_unused(records, used)))


def table4(logs: Sequence[TrainingLog]) -> Table:
    """Stages of the iterative training strategy."""
    rows: list[Row] = []
    for network, aps in facts.STAGES.items():
        rows.append(Row(network, "paper", _staged(aps)))
        mine = [log for log in logs if log.model == network]
        for log in mine:
            [marks] = stage_marks([log])
            found = [None if mark.ap is None or not mark.finished else 100 * mark.ap for mark in marks]
            rows.append(Row(network, "ours", _staged(found), f"{log.path}: {log.how}"))
        if not mine:
            rows.append(Row(network, "ours", {}, NOT_MEASURED))
    columns = {**{f"stage {stage}": (2, 2) for stage in range(7)}, "gain": (2, 2)}
    others = tuple(f"not in this table: {log.path} ({log.model})" for log in logs if log.model not in facts.STAGES)
    title = "Table 4: AP after each stage of training, COCO val2017 at 256x192"
    return Table(title, columns, tuple(rows), (*facts.REMARKS["table4"], *others))


def table5(records: Sequence[Record]) -> Table:
    """Decoders."""
    names = ["Common", *(f"β={beta:g}" for beta in facts.BETAS)]
    rows: list[Row] = []
    used: list[Record] = []
    for network, aps in facts.TABLE_5.items():
        rows.append(Row(network, "paper", dict(zip(names, aps, strict=True))))
        mine = [r for r in records if _is(r, network, facts.SMALL) and _column(r)]
        used += mine
        for _, group in groupby(sorted(mine, key=_same_run), key=_same_run):
            members = list(group)
            cells: Cells = {_column(r): _percent(r.figure("ap")) for r in members}
            rows.append(Row(network, "ours", cells, describe(members[0], "val2017")))
        if not mine:
            rows.append(Row(network, "ours", {}, NOT_MEASURED))
    passed_over = {"argmax", "softargmax_quarter", "dark", "dark_udp", "expected_oks"}
    unused = _unused([r for r in records if r.table["decoder"] not in passed_over], used)
    title = "Table 5: AP by decoder, COCO val2017 at 256x192"
    return Table(title, dict.fromkeys(names, (2, 2)), tuple(rows), (*facts.REMARKS["table5"], *unused))


def _results(title: str, printed: Iterable[Result], records: Sequence[Record], collection: str, name: str) -> Table:
    rows: list[Row] = []
    used: list[Record] = []
    note = functools.partial(describe, collection=collection, decoder="softargmax", beta=160)
    for (network, size), group in groupby(printed, key=lambda one: (one.network, one.input_hw)):
        for one in group:
            theirs: Cells = {"params M": one.parameters_m, "FLOPs G": one.gflops}
            theirs |= {column: getattr(one, figure) for column, figure in FIGURES.items()}
            label = _label(one)
            rows.append(Row(label, "paper", theirs))
        if network and size:
            mine = [r for r in records if _is(r, network, size)]
            used += mine
            rows += _ours(label, _counts(network, size), mine, tuple(FIGURES), note)
    columns = COUNTS | dict.fromkeys(FIGURES, (1, 1))
    return Table(title, columns, tuple(rows), (*facts.REMARKS[name], *_unused(records, used)))


def _label(one: Result) -> str:
    size = f" {one.input_hw[0]}x{one.input_hw[1]}" if one.input_hw else ""
    named = one.network or (one.method if one.method == one.backbone else f"{one.method} {one.backbone}")
    return f"{named}{size}{' pretrained' if one.pretrained else ''}"


def _ours(
    label: str, counts: Cells, records: Sequence[Record], columns: Sequence[str], note: Callable[[Record], str]
) -> list[Row]:
    """A row for each record, or one with the counts alone."""
    if not records:
        return [Row(label, "ours", counts, NOT_MEASURED)]
    return [
        Row(label, "ours", counts | {name: _percent(one.figure(FIGURES[name])) for name in columns}, note(one))
        for one in records
    ]


def _counts(network: str, input_hw: tuple[int, int], gc: bool = True) -> Cells:
    cost = counted(network, input_hw, gc)
    return {"params M": cost.parameters / 1e6, "FLOPs G": cost.paper_gflops}


def _is(record: Record, network: str, input_hw: tuple[int, int], gc: bool = True) -> bool:
    return (record.network, record.input_hw, record.gc) == (network, input_hw, gc)


def _unused(records: Iterable[Record], used: Sequence[Record]) -> tuple[str, ...]:
    """A remark on each record that no row shows."""
    return tuple(
        f"not in this table: {one.path} ({one.network} {one.table['input']}{'' if one.gc else ' without GC'})"
        for one in records
        if all(one is not other for other in used)
    )


def _column(record: Record) -> str:
    """The column of Table 5 that a record belongs to; empty if to none."""
    if record.table["decoder"] == "quarter":
        return "Common"
    beta = record.table["beta"]
    return f"β={beta:g}" if record.table["decoder"] == "softargmax" and beta in facts.BETAS else ""


def _same_run(record: Record) -> str:
    """The same for two records that differ in their decoder alone."""
    names = ("model", "sha256", "data", "pictures", "boxes", "box_threshold", "flip", "geometry", "nms", "nms_areas")
    return json.dumps([record.table.get(name) for name in names])


def _staged(aps: Sequence[float | None]) -> Cells:
    """Stages, and what the best gains over the first, which is what the paper sums up (+1.50 of lpn152)."""
    known = [ap for ap in aps if ap is not None]
    gain = max(known) - known[0] if len(known) > 1 else None
    return {**{f"stage {stage}": ap for stage, ap in enumerate(aps)}, "gain": gain}


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
