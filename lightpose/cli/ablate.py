"""`lightpose ablate`: what decoders, global context, training stages and input sizes are worth."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg, subcommand

from lightpose.cli.marks import Reads, ReadsNamed
from lightpose.errors import ConfigError
from lightpose.types import DecoderName

__all__ = ["Ablate"]

if TYPE_CHECKING:
    from lightpose.paper.ablate import Bench, Measured
    from lightpose.paper.stages import Mark, TrainingLog


@dataclass(frozen=True, kw_only=True)
class _OnPersons:
    """The options of ablations that measure; see `lightpose evaluate`."""

    models: Annotated[Positional[tuple[ReadsNamed, ...]], arg(metavar="MODEL...")]
    """Names of bundled weights, weights files (.onnx or .safetensors), or folders of training runs."""
    annotations: Reads
    """COCO keypoint file; joints are matched by name."""
    images: Reads
    """Folder of its images."""
    boxes: Reads | None = None
    """COCO detection results of people, to crop by; the labelled people's own boxes if not given."""
    box_threshold: float | None = None
    """Pass over boxes that score less."""
    flip: bool = True
    """Average with the mirrored crop, as the paper does."""
    nms: Literal["hard", "soft", "none"] = "hard"
    """How OKS-NMS (threshold 0.9) drops poses that are nearly the same."""
    nms_areas: Literal["box", "crop"] = "box"
    """What OKS-NMS takes for a person's area; the paper's protocol takes the crop's."""
    bootstrap: int = 0
    """Draws of the images for 95 % intervals of gains, both sides on the same draws; 1000 is usual, 0 for none."""
    seed: int = 0
    """Of those draws."""
    json: bool = False
    """Print a json list of records, as `lightpose paper --results` reads them, instead of tables."""

    @contextmanager
    def _bench(self, decoder: DecoderName | None = None, beta: float | None = None) -> Iterator[Bench]:
        """What to measure on, with a progress bar for as long as it is open."""
        from lightpose.cli.console import bars
        from lightpose.evaluate.detections import open_source, read_detections
        from lightpose.evaluate.protocol import LIGHTPOSE
        from lightpose.inference.top_down import PredictOptions
        from lightpose.paper.ablate import Bench

        if not self.models:
            raise ConfigError("name at least one weights file; see lightpose ablate --help")
        if self.bootstrap < 0 or self.seed < 0:
            raise ConfigError("bootstrap and seed must be whole numbers from 0 on; 0 draws give no intervals")
        if self.boxes is None and self.box_threshold is not None:
            raise ConfigError("a box threshold needs the boxes of a detector; give --boxes as well")
        options = PredictOptions(self.flip, decoder, beta, batch=32)
        protocol = replace(LIGHTPOSE, nms=self.nms, areas=self.nms_areas)
        source = open_source(self.annotations, self.images)
        detections = None if self.boxes is None else read_detections(self.boxes, source, self.box_threshold)
        with bars() as progress:
            task = progress.add_task("persons", total=None, note="")

            def advance(name: str, done: int, total: int) -> None:
                progress.update(task, completed=done, total=total, note=name)

            yield Bench(source, options, detections, protocol, self.bootstrap, self.seed, advance)

    def _print(self, groups: Sequence[Sequence[Measured]], columns: Sequence[str]) -> int:
        """Print records or tables; 0."""
        if self.json:
            print(json.dumps([one.to_record() for group in groups for one in group], indent=1))
            return 0
        from lightpose.evaluate.report import aligned, manner

        for group in groups:
            how = group[0].report.how
            print(f"{how['data']}: {how['pictures']} images, {how['persons']} persons")
            header, *lines = aligned([["model", *columns], *([one.model, *_cells(one, columns)] for one in group)])
            print(
                header,
                *(f"{line}  ({manner(one.report.how)})" for line, one in zip(lines, group, strict=True)),
                sep="\n",
            )
        if self.bootstrap:
            print(f"in brackets: 95 % percentile intervals of gains, {self.bootstrap} draws, seed {self.seed}")
        return 0


@dataclass(frozen=True, kw_only=True)
class Decode(_OnPersons):
    """Measure every decoder, those of the soft-argmax with each β, from heatmaps computed once (Table 5 of the paper).

    Gains are over argmax. Example: lightpose ablate decode lpn50 --annotations person_keypoints_val2017.json --images
    val2017
    """

    betas: tuple[float, ...] = (40.0, 80.0, 120.0, 160.0, 200.0)
    """Of the soft-argmax; the paper's if not given."""

    def run(self) -> int:
        """0 once the tables are printed."""
        from lightpose.paper.ablate import ablate_decoders, decodings

        ways = decodings(self.betas)
        with self._bench() as bench:
            groups = list(ablate_decoders(bench, self.models, ways))
        return self._print(groups, ("decoder", "AP", "gain", "AP50", "AP75", "AR", "PCK@0.1"))


@dataclass(frozen=True, kw_only=True)
class _OneDecoder(_OnPersons):
    """The options of ablations that keep to one decoder."""

    decoder: DecoderName | None = None
    """How heatmaps become points; the weights' own if not given."""
    beta: float | None = None
    """β of the soft-argmax; the weights' own (160) if not given."""


@dataclass(frozen=True, kw_only=True)
class Gc(_OneDecoder):
    """Compare weights trained without and with global context blocks (Table 3 of the paper).

    The paper trained one stage and decoded without the soft-argmax: --decoder quarter. Example: lightpose ablate gc
    runs/plain runs/gc --decoder quarter --annotations person_keypoints_val2017.json --images val2017
    """

    def run(self) -> int:
        """0 once the tables are printed."""
        from lightpose.paper.ablate import ablate_gc

        with self._bench(self.decoder, self.beta) as bench:
            groups = list(ablate_gc(bench, self.models))
        return self._print(groups, ("GC", "parameters", "GFLOPs", "AP", "gain", "AP50", "AR"))


@dataclass(frozen=True, kw_only=True)
class Size(_OneDecoder):
    """Compare input sizes: weights trained at different ones, or the same weights at those of --input-hw.

    Example: lightpose ablate size best.safetensors --input-hw 128x96 192x144 256x192 --annotations val.json --images
    val2017
    """

    input_hw: tuple[str, ...] = ()
    """Heights and widths, such as 128x96 256x192, to run every model at (.safetensors files only); each at its own if
    not given."""

    def run(self) -> int:
        """0 once the tables are printed."""
        from lightpose.cli.profile import parse_size
        from lightpose.paper.ablate import ablate_size

        sizes = [parse_size(text, "--input-hw") for text in self.input_hw]
        with self._bench(self.decoder, self.beta) as bench:
            groups = list(ablate_size(bench, self.models, sizes))
        return self._print(groups, ("input", "parameters", "GFLOPs", "GMACs", "AP", "gain", "AP50", "PCK@0.1"))


@dataclass(frozen=True)
class Stages:
    """What the stages of training were worth (Table 4 of the paper), from logs of runs, side by side.

    A run in one piece, such as one long cosine schedule, is shown by its best AP after as many epochs.
    Example: lightpose ablate stages runs/paper_lpn50 runs/cosine690
    """

    logs: Annotated[Positional[tuple[Reads, ...]], arg(metavar="LOG...")]
    """Folders of training runs, or their log.json."""
    json: bool = False
    """Print a json list, one object a run, instead of a table."""

    def run(self) -> int:
        """0 once the table is printed."""
        from lightpose.paper.stages import read_log, stage_marks

        if not self.logs:
            raise ConfigError("name at least one log; see lightpose ablate stages --help")
        logs = [read_log(path) for path in self.logs]
        marks = stage_marks(logs)
        if self.json:
            runs = zip(logs, marks, strict=True)
            print(json.dumps([_run(log, own) for log, own in runs], indent=1))
        else:
            print("\n".join(_stage_lines(logs, marks)))
        return 0


@dataclass(frozen=True)
class Ablate:
    """Measure what the parts of the method are worth."""

    command: (
        Annotated[Decode, subcommand("decode", prefix_name=False)]
        | Annotated[Gc, subcommand("gc", prefix_name=False)]
        | Annotated[Stages, subcommand("stages", prefix_name=False)]
        | Annotated[Size, subcommand("size", prefix_name=False)]
    )

    def run(self) -> int:
        """What the subcommand gives."""
        return self.command.run()


def _cells(one: Measured, columns: Sequence[str]) -> list[str]:
    """A row of a table, without the model."""
    from lightpose.evaluate.report import percent

    figures, how, facts = one.report.figures, one.report.how, one.facts
    beta = f" β={how['beta']:g}" if how["decoder"].startswith("softargmax") else ""
    known: dict[str, Callable[[], str]] = {
        "decoder": lambda: how["decoder"] + beta,
        "GC": lambda: "yes" if how["gc"] else "no",
        "input": lambda: how["input"],
        "parameters": lambda: _known(facts["parameters"], "{:,}"),
        "GFLOPs": lambda: _known(facts["paper_gflops"], "{:.4f}"),
        "GMACs": lambda: _known(facts["macs"] and facts["macs"] / 1e9, "{:.4f}"),
        "gain": lambda: _gain(one),
        "PCK@0.1": lambda: percent(figures["pck_0.1"]),
    }
    return [known[name]() if name in known else percent(figures[name.lower()], 2) for name in columns]


def _known(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _gain(one: Measured) -> str:
    """In points of AP, with its interval."""
    bounds = "" if one.interval is None else f" [{100 * one.interval.low:+.2f}, {100 * one.interval.high:+.2f}]"
    return "" if one.gain is None else f"{100 * one.gain:+.2f}{bounds}"


def _run(log: TrainingLog, marks: Sequence[Mark]) -> dict[str, Any]:
    return {"log": str(log.path), "model": log.model, "how": log.how, "stages": [asdict(mark) for mark in marks]}


def _stage_lines(logs: Sequence[TrainingLog], marks: Sequence[Sequence[Mark]]) -> list[str]:
    """The table, a row a stage, and how its figures were got."""
    from lightpose.evaluate.report import aligned

    header = ["stage", *(name for _ in logs for name in ("epochs", "AP", "gain"))]
    rows = [header]
    rows += [
        [str(stage), *(cell for own in marks for cell in _stage_cells(own[stage : stage + 1]))]
        for stage in range(max(map(len, marks)))
    ]
    rows.append(["all", *(cell for own in marks for cell in ("", "", _points(_total(own))))])
    named = [
        f"columns {3 * place + 2} to {3 * place + 4}: {log.path}, {log.model}, AP {log.how}"
        for place, log in enumerate(logs)
    ]
    return [*named, *aligned(rows), "gains in points of AP; *: a stage that is not over"]


def _stage_cells(mark: Sequence[Mark]) -> list[str]:
    """Epochs, AP and gain; blank where the run has no such stage."""
    if not mark:
        return ["", "", ""]
    [one] = mark
    ap = "-" if one.ap is None else f"{100 * one.ap:.2f}"
    return [str(one.epochs), ap if one.finished or one.ap is None else f"{ap}*", _points(one.gain)]


def _total(marks: Sequence[Mark]) -> float | None:
    """What the best stage gains over the first, as the paper sums it up."""
    known = [mark.ap for mark in marks if mark.ap is not None]
    return max(known) - known[0] if len(known) > 1 else None


def _points(gain: float | None) -> str:
    return "" if gain is None else f"{100 * gain:+.2f}"
