"""Trains the bundled weights, stage after stage, and the studies beside them. docs/model_card.md names the data.

    pip install '.[train]'
    python tools/train_default_weights.py --stages 2 --install   # from weights/lpn50.safetensors on, on a CPU
    python tools/train_default_weights.py --long --install       # from nothing, on a GPU
    python tools/train_default_weights.py --study gc             # Table 3's shape: LPN-50/101/152 with and without GC
    python tools/train_default_weights.py --study stages         # Table 4's shape: seven stages, and one cosine as long
    python tools/train_default_weights.py --study depths         # LPN-101 and LPN-152 with the default's recipe
    python tools/train_default_weights.py --study peers          # SimpleBaseline-50 and HRNet-W32: ten times the work
    python tools/train_default_weights.py --study distilled      # LPN-50 again, with the best peer as its teacher

A stage is one run of examples/default/lpn50.toml: its learning rate restarts, and a cosine brings it to zero. The next
stage starts from the weights of the last one that was better. A killed run goes on with the same command.
Each run writes its folder under --out; results.md there collects accuracy on the validation sets, with 95 % intervals.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import tyro

from lightpose.cli.train import train
from lightpose.data.coco import read_coco
from lightpose.evaluate.bootstrap import bootstrap
from lightpose.evaluate.evaluation import evaluate_given_boxes
from lightpose.export.pose import export_checked
from lightpose.inference.top_down import PredictOptions
from lightpose.io.files import write_aside
from lightpose.train import read_config
from lightpose.train.config import DistillConfig, PlanConfig, SourceConfig, TrainConfig
from lightpose.weights import install_weights
from lightpose.weights.network import load_network, save_network
from lightpose.weights.open import open_runtime

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "examples/default/lpn50.toml"
START = ROOT / "weights/lpn50.safetensors"
VALIDATION = {
    "everyday": ("val_everyday.json", "."),
    "LSP-Extended": ("lspet/val.json", "lspet/images"),
}
MOST_LOST = 1.0
"""Points of AP that a better stage may lose on LSP-Extended."""


@dataclass(frozen=True)
class Options:
    """data: the folder of the sets. out: where runs go. stages: how many to train. start: weights of the first one.

    long: one long run from nothing instead of stages, as a GPU can. epochs: of each run, instead of the recipe's.
    install: put the best stage's weights into the project.
    """

    data: Path = Path("data")
    out: Path = Path("runs/default")
    study: Literal["default", "gc", "stages", "depths", "peers", "distilled"] = "default"
    stages: int = 1
    start: Path = START
    long: bool = False
    epochs: int | None = None
    install: bool = False


@dataclass(frozen=True)
class Run:
    """One training run: its name, its configuration."""

    name: str
    config: TrainConfig


@dataclass(frozen=True)
class Figures:
    """A run's accuracy on a validation set, in percent, as `results.md` shows it; ap is that of its row."""

    ap: float
    row: str


def recipe(options: Options) -> TrainConfig:
    """The recipe of a stage, on the data that the options name."""
    base = read_config(RECIPE)
    if not isinstance(base, TrainConfig):
        raise TypeError(f"{RECIPE} trains no pose network")
    epochs = options.epochs or base.optim.epochs
    train_sets = tuple(_below(options.data, source) for source in base.data.train)
    data = replace(base.data, train=train_sets, val=_below(options.data, base.data.val))
    return replace(base, data=data, optim=replace(base.optim, epochs=epochs))


def _below(data: Path, source: SourceConfig) -> SourceConfig:
    """The same source with `data`, the first folder of its paths, elsewhere."""
    annotations, images = (str(data / Path(path).relative_to("data")) for path in (source.annotations, source.images))
    return replace(source, annotations=annotations, images=images)


def lengthened(base: TrainConfig, options: Options) -> TrainConfig:
    """The recipe from nothing on an accelerator: a larger batch, ten million crops, more augmentation."""
    optim = replace(
        base.optim, lr=2e-3, weight_decay=0.05, batch=256, epochs=options.epochs or 700, warmup_epochs=5, ema=0.999
    )
    augment = replace(base.augment, scale=0.3, rotation_deg=30.0, half_body_probability=0.2)
    model = replace(base.model, init="kaiming")
    return replace(base, model=model, optim=optim, augment=augment, evaluate_every=10, preview_every=50)


def study(options: Options) -> Iterator[Run]:
    """The runs of a study, all long."""
    base = lengthened(recipe(options), options)
    if options.study == "gc":
        for name in ("lpn50", "lpn101", "lpn152"):
            for gc in (False, True):
                yield Run(
                    f"{name}_{'gc' if gc else 'plain'}", replace(base, model=replace(base.model, name=name, gc=gc))
                )
    elif options.study == "stages":
        yield from stages(base)
    elif options.study in ("depths", "peers"):
        for name in ("lpn101", "lpn152") if options.study == "depths" else ("simple50", "hrnet_w32"):
            yield Run(name, replace(base, model=replace(base.model, name=name)))
    elif options.study == "distilled":
        teacher = max(("simple50", "hrnet_w32"), key=lambda name: best_ap(options.out / name))
        distill = DistillConfig(str(options.out / teacher / "best.safetensors"), weight=1.0)
        yield Run("lpn50_distilled", replace(base, distill=distill))
    else:
        yield Run("lpn50", base)


def stages(base: TrainConfig) -> Iterator[Run]:
    """The paper's plan, all epochs shortened alike (150 become the recipe's), and one cosine of the same length."""
    scale = base.optim.epochs / 150
    milestones = (round(90 * scale), round(120 * scale))
    adam = replace(
        base.optim,
        optimizer="adam",
        lr=1e-3,
        weight_decay=0.0,
        schedule="steps",
        milestones=milestones,
        warmup_epochs=0.0,
    )
    plan = PlanConfig("iterative", stages=6, restart_epoch=round(60 * scale))
    yield Run("lpn50_stages", replace(base, optim=adam, plan=plan))
    length = base.optim.epochs + 6 * (base.optim.epochs - plan.restart_epoch)
    yield Run("lpn50_cosine", replace(base, optim=replace(base.optim, epochs=length)))


def best_ap(folder: Path) -> float:
    """Best validation AP of a run, from its log."""
    return max(float(epoch["ap"]) for epoch in json.loads((folder / "log.json").read_text())["epochs"])


def train_run(run: Run, options: Options) -> Path:
    """Train, or go on; returns the best weights."""
    folder = options.out / run.name
    folder.mkdir(parents=True, exist_ok=True)
    train(replace(run.config, out=str(folder)))
    return folder / "best.safetensors"


def measure(weights: Path, options: Options) -> dict[str, Figures]:
    """Accuracy on the validation sets, by their names."""
    measured = {}
    runtime = open_runtime(weights)
    for name, (file, images) in VALIDATION.items():
        source = read_coco(options.data / file, options.data / images)
        found = evaluate_given_boxes(source, runtime, PredictOptions(flip=True, batch=32))
        spread = bootstrap(source, found)
        figures = [
            f"{100 * value:.1f} [{100 * within.low:.1f}, {100 * within.high:.1f}]"
            for value, within in (
                (found.scores.ap, spread.ap), (found.scores.ap50, spread.ap50),
                (found.scores.ap75, spread.ap75), (found.pck(), spread.pck),
            )
        ]  # fmt: skip
        row = f"| {weights.parent.name} | {name} | {len(source.persons())} | {' | '.join(figures)} |"
        measured[name] = Figures(100 * found.scores.ap, row)
    return measured


def better(new: dict[str, Figures], old: dict[str, Figures]) -> bool:
    """Whether a stage's weights take the place of those it started from: see MOST_LOST."""
    gain, change = (new[name].ap - old[name].ap for name in VALIDATION)
    return gain > 0 and change >= -MOST_LOST


def collect(rows: Sequence[str], options: Options) -> None:
    """Add rows to results.md; a run measured again replaces its own."""
    path = options.out / "results.md"
    head = ["| run | validation set | persons | AP | AP50 | AP75 | PCK@0.1 |", "|---|---|---|---|---|---|---|"]
    old = path.read_text().splitlines()[2:] if path.exists() else []
    names = {row.split("|")[1] for row in rows}
    kept = [row for row in old if row.split("|")[1] not in names]
    write_aside(path, "\n".join([*head, *kept, *rows, ""]).encode())
    print("\n".join([*head, *rows]))


def install(weights: Path) -> None:
    """Float16 weights into weights/, the ONNX graph into the package."""
    network, spec = load_network(weights)
    target = ROOT / "weights/lpn50.safetensors"
    save_network(target, network, spec, half=True)
    with tempfile.TemporaryDirectory() as aside:
        graph = Path(aside) / "lpn50.onnx"
        parity = export_checked(*load_network(target), graph)
        install_weights(ROOT / "lightpose/weights/bundled", graph)
    print(f"installed {target.name}; the graph differs from PyTorch by {parity.keypoints_px:.4f} px")
    print("put the rows of results.md into README.md and the model card, then run tools/quantize_default_weights.py")


def train_stages(options: Options) -> Path:
    """Train stage after stage; returns the best weights, which may be those of the start."""
    best, figures = options.start, measure(options.start, options)
    for number in range(options.stages):
        base = recipe(options)
        config = replace(base, seed=base.seed + number, model=replace(base.model, init=str(best)))
        weights, found = train_and_measure(Run(f"stage{number + 1}", config), options)
        if better(found, figures):
            best, figures = weights, found
    return best


def train_and_measure(run: Run, options: Options) -> tuple[Path, dict[str, Figures]]:
    """Train a run, add its accuracy to results.md."""
    start = time.monotonic()
    weights = train_run(run, options)
    print(f"{run.name}: {(time.monotonic() - start) / 60:.0f} min in this process")
    found = measure(weights, options)
    collect([figures.row for figures in found.values()], options)
    return weights, found


def main(options: Options) -> None:
    """Stages or a study, results, and the weights' place in the project."""
    if options.study == "default" and not options.long:
        best = train_stages(options)
    else:
        best = [train_and_measure(run, options)[0] for run in study(options)][-1]
    if options.install and options.study == "default" and best != options.start:
        install(best)


if __name__ == "__main__":
    main(tyro.cli(Options))
