"""`lightpose bench`: how fast networks run on this machine."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from lightpose.cli.console import SafeConsole, bars, counting
from lightpose.cli.marks import Fills, Reads, ReadsNamed, Writes
from lightpose.errors import ConfigError, MissingPackageError

__all__ = ["Bench"]

if TYPE_CHECKING:
    from lightpose.bench.measure import Row
    from lightpose.bench.results import Cells, Change
    from lightpose.bench.variants import Variant


@dataclass(frozen=True)
class Bench:
    """Measure how fast networks run on this machine.

    All variants run interleaved, so that whatever else the machine does meets all alike; told are medians of single
    runs, half the interquartile range, and the processor's time, which leaves out what others used. Example:
    lightpose bench lpn50 simple50 --engines onnxruntime openvino --threads 1 2 --flip
    """

    models: Annotated[Positional[tuple[ReadsNamed, ...]], arg(metavar="MODEL...")] = ("lpn50",)
    """Bundled weights, files (.onnx, .xml or .safetensors; int8 ones of `lightpose quantize` as well), or networks
    by name (hrnet_w32, …), which are made untrained on the spot; the latter need `pip install 'lightpose[train]'`."""
    engines: tuple[
        Literal[
            "onnxruntime", "openvino", "openvino_bf16", "torch", "torch_channels_last", "torch_compile",
            "cuda", "directml", "coreml", "openvino_gpu",
        ],
        ...,
    ] = ("onnxruntime",)  # fmt: skip
    """What runs them. openvino_bf16: in bfloat16 what is not in int8. torch: as it is; torch_channels_last: channels
    together in memory; torch_compile: that, compiled, which takes a minute or more. The last four are other devices
    than the CPU. An engine that cannot run a file is passed over."""
    inputs: tuple[str, ...] = ()
    """Heights and widths, such as 256x192 384x288, for networks by name; 256x192, or a file's own, if not given."""
    batch: tuple[int, ...] = (1,)
    """Crops in a run, each in its turn."""
    threads: tuple[int, ...] = (0,)
    """Threads of the engine, each in its turn; 0 is one on each usable core."""
    flip: bool = False
    """Time the flip test too."""
    repeats: int = 30
    """Runs that count of each variant; each comes after one that does not."""
    memory: bool = True
    """Measure the peak memory of each variant in a process of its own."""
    stages: bool = False
    """Time it end to end too: read, detect, crop, network, decode, draw, write; and a folder of such images. With the
    engines of `lightpose predict`."""
    people: tuple[int, ...] = (1, 4, 16)
    """People in the image for --stages."""
    cache: Fills | None = None
    """Folder to keep exported networks in for the next time; empty it when a network or the export changes."""
    json: Writes | None = None
    """Write the results as a json list."""
    markdown: Writes | None = None
    """Write the tables in Markdown."""
    compare: Reads | None = None
    """An earlier --json file: tell what changed; exit code 1 if anything became slower by more than the spread."""
    figure: Writes | None = None
    """Draw Figure 4 of the paper, AP over speed, area FLOPs (.png, .svg or .pdf): of each network the fastest variant
    with batch 1, at the AP in --results, or hollow at the paper's. Needs `pip install 'lightpose[train,plot]'`."""
    results: tuple[Reads, ...] = ()
    """For --figure: records of lightpose evaluate --report or lightpose ablate --json."""

    def run(self) -> int:
        """0 once all is measured; 1 if something became slower."""
        from lightpose.bench.results import compare, read_results, write_json

        earlier = self._check()
        before = None if earlier is None else read_results(earlier)
        with tempfile.TemporaryDirectory() as temporary:
            variants = self._variants(self.cache or Path(temporary))
            rows = self._measure(variants)
            rows = self._with_end_to_end(rows, variants)
        _print(_tables(rows))
        print(f"{rows[0].machine}; {', '.join(sorted({row.engine_version for row in rows}))}")
        if self.json:
            write_json(rows, self.json)
        if self.markdown:
            _write_markdown(rows, self.markdown)
        if self.figure:
            self._draw(rows, self.figure)
        return 0 if before is None else _report(compare(before, rows))

    def _check(self) -> Path | None:
        """Whether all that is asked for can be done, before the work; gives the file to compare with."""
        if self.results and self.figure is None:
            raise ConfigError("--results are for --figure; name the image to draw, or leave them out")
        if self.figure:
            from lightpose.evaluate.plot import check_plot
            from lightpose.evaluate.record import read_records

            _need_torch()
            check_plot(self.figure)
            read_records(self.results)
        if self.cache:
            self.cache.mkdir(parents=True, exist_ok=True)
        return self.compare

    def _variants(self, cache: Path) -> list[Variant]:
        from lightpose.bench.variants import find_source, variants_of
        from lightpose.cli.profile import parse_size

        sizes: Sequence[tuple[int, int] | None] = [parse_size(text, "--inputs") for text in self.inputs] or [None]
        sources = [find_source(model, size) for model in self.models for size in sizes]
        return [
            variant
            for source in sources
            for variant in variants_of(source, self.engines, self.batch, self.threads, cache)
        ]

    def _measure(self, variants: list[Variant]) -> list[Row]:
        from lightpose.bench.measure import measure

        note = "compiling takes minutes" if "torch_compile" in self.engines else ""
        with bars() as progress:
            ready = progress.add_task("networks ready", total=len(variants), note=note)
            rounds = progress.add_task("rounds", total=self.repeats, note="")
            return measure(
                variants,
                self.repeats,
                self.flip,
                self.memory,
                lambda done: progress.update(rounds, completed=done),
                lambda done: progress.update(ready, completed=done),
            )

    def _with_end_to_end(self, rows: list[Row], variants: list[Variant]) -> list[Row]:
        """The rows, with the times end to end of those that differ in more than their batch."""
        from lightpose.bench.end_to_end import can_measure, measure_end_to_end

        if not self.stages:
            return rows
        first = {variant.opened_as: place for place, variant in reversed(list(enumerate(variants)))}
        done = list(rows)
        with counting("end to end", len(first)) as advance:
            for number, place in enumerate(sorted(first.values()), start=1):
                if can_measure(variants[place]):
                    repeats = min(self.repeats, 10)
                    whole = tuple(measure_end_to_end(variants[place], people, repeats) for people in self.people)
                    done[place] = replace(rows[place], end_to_end=whole)
                advance(number)
        return done

    def _draw(self, rows: list[Row], path: Path) -> None:
        from lightpose.bench.results import fastest
        from lightpose.evaluate.record import read_records
        from lightpose.paper.figure import MeasuredSpeed, figure4, plot_figure4

        speeds = [MeasuredSpeed(row.model, row.input_hw, row.fps, row.fps_flip) for row in fastest(rows)]
        drawn = plot_figure4(figure4(read_records(self.results), speeds), path)
        print(f"drawn to {path}: {drawn} points with speed and AP; hollow: speed from here, AP from the paper")


def _need_torch() -> None:
    try:
        import lightpose.weights.cost  # noqa: F401  (counts with torch)
    except ImportError as error:
        raise MissingPackageError("torch", "train") from error


def _tables(rows: list[Row]) -> list[Cells]:
    """Those that have a line."""
    from lightpose.bench.results import end_to_end_table, speed_table

    return [table for table in (speed_table(rows), end_to_end_table(rows)) if len(table) > 1]


def _print(tables: list[Cells]) -> None:
    """Tables for a terminal, or as wide as they are where there is none."""
    from rich import box
    from rich.table import Table

    console = SafeConsole(width=None if sys.stdout.isatty() else 10_000)
    for titles, *lines in tables:
        table = Table(box=box.SIMPLE)
        for place, title in enumerate(titles):
            table.add_column(title, justify="right" if place > 2 else "left", overflow="fold")
        for line in lines:
            table.add_row(*line)
        console.print(table)


def _write_markdown(rows: list[Row], path: Path) -> None:
    from lightpose.bench.results import markdown
    from lightpose.io.files import write_aside

    engines = ", ".join(sorted({row.engine_version for row in rows}))
    about = f"{rows[0].machine}; {engines}; medians of {rows[0].repeats} interleaved runs, ms.\n"
    write_aside(path, "\n".join([*(markdown(table, 3) for table in _tables(rows)), about]).encode())


def _report(changes: list[Change]) -> int:
    """Say what changed; 1 if something became slower."""
    if not changes:
        raise ConfigError("nothing that was measured is in the file to compare with; measure the same variants")
    for change in changes:
        times = f"{change.before_ms:.2f} ms before, {change.after_ms:.2f} ms now, ratio {change.ratio:.3f}"
        elsewhere = ", on another machine or with another engine" if change.elsewhere else ""
        print(f"{'SLOWER' if change.slower else 'ok'}: {change.label}: {times}{elsewhere}")
    return int(any(change.slower for change in changes))
