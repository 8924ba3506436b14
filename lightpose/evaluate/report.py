"""An evaluation's figures beside how they were made, as text for people and as json for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from lightpose.evaluate.bootstrap import Interval, Intervals
from lightpose.evaluate.breakdown import KINDS, Breakdown
from lightpose.evaluate.evaluation import Evaluation
from lightpose.evaluate.pck import TABLE_SHARES, SizeName, part_table

__all__ = ["Against", "Report", "aligned", "figures", "manner", "pck_tables", "percent"]

Figures = dict[str, float]

PREFIXES: dict[SizeName, str] = {"box": "pck", "head": "pckh", "torso": "pck_torso"}


@dataclass(frozen=True, eq=False)
class Against:
    """Another network on the same people in the same boxes.

    name: what the user called it. figures: its own. gains: intervals of what the measured network gains over it, on
    the same draws of images for both; None if none were asked for.
    """

    name: str
    figures: Figures
    gains: Intervals | None = None


@dataclass(frozen=True, eq=False)
class Report:
    """What an evaluation found.

    how: what was measured, and in which manner. figures: by name, in [0, 1], see `figures`. given: the same in the
    given boxes, where a detector's are to be held against them. tables: PCK by part of the
    body, by the name of the figure. intervals, breakdown, against: where they were asked for.
    """

    how: dict[str, Any]
    figures: Figures = field(default_factory=dict)
    tables: dict[str, Figures] = field(default_factory=dict)
    intervals: Intervals | None = None
    breakdown: Breakdown | None = None
    given: Figures = field(default_factory=dict)
    against: Against | None = None

    def to_json(self) -> str:
        """One json object; what cannot be told is null."""
        document: dict[str, Any] = {**self.how, **_rounded(self.figures)}
        document |= {name: _rounded(table) for name, table in self.tables.items()}
        if self.intervals:
            document |= {f"{name}_interval": _pair(one) for name, one in self._bounds(self.intervals).items()}
            document["bootstrap"] = {name: getattr(self.intervals, name) for name in ("resamples", "seed", "level")}
        if self.given:
            document["given_boxes"], document["lost"] = _rounded(self.given), _rounded(self._lost())
        if self.against:
            document["against"] = self._against_json(self.against)
        if self.breakdown:
            document["breakdown"] = _breakdown_json(self.breakdown)
        return json.dumps(document)

    def to_text(self) -> str:
        """Lines for a terminal; figures in percent, each line of them with the manner they were got in."""
        lines = ["  ".join(f"{name}={value}" for name, value in self.how.items())]
        if self.figures:
            bounds = self._bounds(self.intervals)
            named = [f"{name} {percent(value)}{_range(bounds.get(name))}" for name, value in self.figures.items()]
            lines.append(f"{'  '.join(named)}  ({manner(self.how)})")
        if self.intervals:
            made = f"{self.intervals.resamples} draws of the images with replacement, seed {self.intervals.seed}"
            lines.append(f"in brackets: {100 * self.intervals.level:g} % percentile intervals of {made}")
        if self.given:
            named = [f"{name} {percent(self.given[name])} ({-100 * loss:+.1f})" for name, loss in self._lost().items()]
            lines.append(f"in the given boxes (what finding people costs): {'  '.join(named)}")
        if self.against:
            lines.append(self._against_line(self.against))
        for name, table in self.tables.items():
            lines += aligned([["", *table], [name, *map(percent, table.values())]])
        if self.breakdown:
            lines += _breakdown_lines(self.breakdown)
        return "\n".join(lines)

    def _lost(self) -> Figures:
        """By how much the detector's boxes are worse than the given ones, for the figures that both have."""
        both = {name: (self.given[name], value) for name, value in self.figures.items() if value >= 0}
        return {name: given - value for name, (given, value) in both.items() if given >= 0}

    def _gained(self, against: Against) -> Figures:
        """By how much this network is better than the other, for the figures that both have."""
        both = {name: (value, against.figures[name]) for name, value in self.figures.items() if value >= 0}
        return {name: mine - theirs for name, (mine, theirs) in both.items() if theirs >= 0}

    def _against_line(self, against: Against) -> str:
        bounds = self._bounds(against.gains)
        named = [
            f"{name} {percent(against.figures[name])} ({100 * gain:+.1f}{_signed(bounds.get(name))})"
            for name, gain in self._gained(against).items()
        ]
        return f"{against.name} on the same people (in parentheses: what this network gains): {'  '.join(named)}"

    def _against_json(self, against: Against) -> dict[str, Any]:
        bounds = {f"{name}_interval": _pair(one) for name, one in self._bounds(against.gains).items()}
        gained = {**_rounded(self._gained(against)), **bounds}
        return {"model": against.name, **_rounded(against.figures), "gained": gained}

    def _bounds(self, intervals: Intervals | None) -> dict[str, Interval]:
        if intervals is None:
            return {}
        bounds = {name: getattr(intervals, name) for name in ("ap", "ap50", "ap75")}
        first_pck = next((name for name in self.figures if name.startswith("pck")), None)
        return bounds | ({first_pck: intervals.pck} if first_pck else {})


def manner(how: dict[str, Any]) -> str:
    """How a figure was got, in words: boxes, flip test, decoder, crops and suppression."""
    beta = f" β={how['beta']:g}" if how["decoder"].startswith("softargmax") else ""
    flip = "flip test" if how["flip"] else "no flip test"
    nms = "no NMS" if how["nms"] == "none" else f"OKS-NMS {how['nms']} {how['nms_oks']:g} by {how['nms_areas']} areas"
    boxes = "given boxes" if how["boxes"] == "given" else f"boxes of {how['boxes']}"
    if how["geometry"] == "none":
        return f"{boxes}, whole images, {nms}"
    crops = f"{how['geometry']} geometry, crops {how['padding']:g} × the boxes"
    return f"{boxes}, {flip}, {how['decoder']}{beta}, {crops}, {nms}"


def figures(evaluation: Evaluation, size: SizeName) -> Figures:
    """COCO's ten figures, and PCK at the reaches usual for that size of a person; NaN for what is not known."""
    pck = {f"{PREFIXES[size]}_{share:g}": evaluation.pck(share) for share in TABLE_SHARES[size]}
    return {**asdict(evaluation.scores), **pck}


def pck_tables(evaluation: Evaluation, size: SizeName) -> dict[str, Figures]:
    """PCK by part of the body, for each usual reach, by the name of the figure and `_parts`."""
    skeleton = evaluation.results.skeleton
    return {
        f"{PREFIXES[size]}_{share:g}_parts": part_table(evaluation.errors, skeleton, size, share)
        for share in TABLE_SHARES[size]
    }


def _breakdown_json(breakdown: Breakdown) -> dict[str, Any]:
    joints = {
        joint: {**dict(zip(KINDS, counts, strict=True)), "ap": _known(ap)}
        for joint, counts, ap in zip(breakdown.joints, breakdown.counts.tolist(), breakdown.ap.tolist(), strict=True)
    }
    people = {name: getattr(breakdown, name) for name in ("persons", "found", "poses", "astray")}
    return {**people, **_rounded(dict(zip(KINDS, breakdown.overall.tolist(), strict=True))), "joints": joints}


def _breakdown_lines(breakdown: Breakdown) -> list[str]:
    """The table of joints, and a line on people."""
    rows = [["joint", *KINDS, "labelled", "AP alone"]]
    for joint, shares, counts, ap in zip(
        breakdown.joints, breakdown.shares, breakdown.counts, breakdown.ap, strict=True
    ):
        rows.append([joint, *map(percent, shares), str(counts.sum()), percent(ap)])
    rows.append(["all", *map(percent, breakdown.overall), str(breakdown.counts.sum()), ""])
    people = f"{breakdown.found} of {breakdown.persons} people are found (OKS of 0.1 or more)"
    astray = f"{breakdown.astray} of {breakdown.poses} poses match nobody"
    return [*aligned(rows), f"{people}; {astray}"]


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns of one width each, the first to the left and the rest to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(_padded(row, widths)) for row in rows]


def _padded(row: Sequence[str], widths: Sequence[int]) -> Iterable[str]:
    return (
        cell.rjust(width) if place else cell.ljust(width)
        for place, (cell, width) in enumerate(zip(row, widths, strict=True))
    )


def percent(value: float, places: int = 1) -> str:
    """A share in percent; a dash for -1 and NaN, which stand for what cannot be told."""
    return f"{100 * value:.{places}f}" if value >= 0 else "-"  # NaN is not, either


def _range(interval: Interval | None) -> str:
    return (
        "" if interval is None or math.isnan(interval.low) else f" [{percent(interval.low)}, {percent(interval.high)}]"
    )


def _signed(interval: Interval | None) -> str:
    """Bounds of a difference."""
    if interval is None or math.isnan(interval.low):
        return ""
    return f" [{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]"


def _known(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)


def _rounded(values: Figures) -> dict[str, float | None]:
    return {name: _known(value) for name, value in values.items()}


def _pair(interval: Interval) -> list[float | None]:
    return [_known(interval.low), _known(interval.high)]
