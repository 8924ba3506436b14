"""Trains the bundled weights, and the studies beside them, from the data sets that docs/model_card.md names.

    pip install '.[train]'
    python tools/train_default_weights.py --install            # the default, on a GPU or a CPU; goes on after a kill
    python tools/train_default_weights.py --study gc           # Table 3's shape: LPN-50/101/152 with and without GC
    python tools/train_default_weights.py --study stages       # Table 4's shape: seven stages, and one cosine as long
    python tools/train_default_weights.py --study depths       # LPN-101 and LPN-152 with the default's recipe
    python tools/train_default_weights.py --study peers        # SimpleBaseline-50 and HRNet-W32: ten times the work
    python tools/train_default_weights.py --study distilled    # LPN-50 again, with the best of the peers as its teacher

First the labels are completed by `--teacher`; without it the sets' own serve. `--hint` names a file whose maps the
networks learn to tell (lightpose/train/feature_distillation.py). examples/default/movenet.py makes both.
Each run writes its folder under --out; results.md there collects accuracy on both validation sets, with 95 % intervals.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
import tyro

from lightpose.cli.console import counting
from lightpose.cli.train import train
from lightpose.data.coco import read_coco
from lightpose.evaluate.bootstrap import bootstrap
from lightpose.evaluate.evaluation import evaluate_given_boxes
from lightpose.export.pose import export_checked
from lightpose.inference.top_down import PredictOptions
from lightpose.io.files import write_aside
from lightpose.train import read_config
from lightpose.train.config import DistillConfig, FeatureDistillationConfig, PlanConfig, TrainConfig
from lightpose.train.pseudo_label import LabelOptions, label_persons
from lightpose.weights import install_weights
from lightpose.weights.network import load_network, save_network
from lightpose.weights.open import open_runtime

ROOT = Path(__file__).parents[1]
VALIDATION = {
    "COCO": ("coco_keypoints/val.json", "coco_keypoints/val2017"),
    "LSP-Extended": ("lspet/val.json", "lspet/images"),
}
LABELLED = {
    "person_boxes": (
        "person_boxes/train.json",
        "person_boxes/images",
        LabelOptions(min_score=0.15, agree=0.1, replace=True),
    ),
    "lspet": ("lspet/train.json", "lspet/images", LabelOptions(min_score=0.3, agree=0.1)),
}
"""What the teacher labels: all persons of the one, only the joints that are unknown of the other."""


@dataclass(frozen=True)
class Options:
    """data: the folder of the three sets. out: where runs go. teacher: labels what is unlabelled, an .onnx file.

    hint: gives maps to learn, of an LPN. epochs: of each run, instead of the recipe's. install: put the default's
    weights into the project.
    """

    data: Path = Path("data")
    out: Path = Path("runs/default")
    teacher: Path | None = None
    hint: Path | None = None
    study: Literal["default", "gc", "stages", "depths", "peers", "distilled"] = "default"
    epochs: int | None = None
    install: bool = False


@dataclass(frozen=True)
class Run:
    """One training run: its name, its configuration."""

    name: str
    config: TrainConfig


def complete_labels(options: Options) -> None:
    """Write runs/labels/*.json, once."""
    for name, (file, images, how) in LABELLED.items():
        target = ROOT / "runs/labels" / f"{name}.json"
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if options.teacher is None:
            shutil.copy(options.data / file, target)
            continue
        print(f"labelling {file} with {options.teacher}")
        source = read_coco(options.data / file, options.data / images)
        with counting("persons", len(source.boxed())) as advance:
            document = label_persons(source, open_runtime(options.teacher), how, advance)
        write_aside(target, json.dumps(document).encode())


def runs(options: Options) -> Iterator[Run]:
    """The runs of a study."""
    base = read_config(ROOT / "examples/default/lpn50.toml")
    if not isinstance(base, TrainConfig):
        raise TypeError("examples/default/lpn50.toml trains no pose network")
    if options.epochs:
        base = replace(base, optim=replace(base.optim, epochs=options.epochs))
    if options.hint is not None:
        base = replace(base, feature_distillation=FeatureDistillationConfig(str(options.hint)))
    if options.study == "default":
        yield from [Run("lpn50", base)] if torch.cuda.is_available() else small_then_full(base, options)
    elif options.study == "gc":
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
    else:
        teacher = max(("simple50", "hrnet_w32"), key=lambda name: best_ap(options.out / name))
        distill = DistillConfig(str(options.out / teacher / "best.safetensors"), weight=1.0)
        yield Run("lpn50_distilled", replace(base, distill=distill))


def small_then_full(base: TrainConfig, options: Options) -> Iterator[Run]:
    """On a CPU: most of the crops at half the size, four times as fast, then a fifth at full size, with the hint."""
    optim = replace(base.optim, batch=32, epochs=options.epochs or 50, warmup_epochs=0.3, ema=0.998, weight_decay=0.01)
    base = replace(base, evaluate_every=1, preview_every=5)
    model = replace(base.model, input_hw=(128, 96), sigma=1.5)
    augment = replace(base.augment, scale=0.25, rotation_deg=20.0, color=0.1, half_body_probability=0.0)
    loss = replace(base.loss, mse=200.0)
    small = replace(
        base, model=model, optim=optim, loss=loss, augment=augment, feature_distillation=FeatureDistillationConfig()
    )
    yield Run("lpn50_small", small)
    start = replace(base.model, init=str(options.out / "lpn50_small/best.safetensors"))
    last = replace(optim, lr=8e-4, epochs=-(-optim.epochs // 4), warmup_epochs=0.1)
    mild = replace(augment, scale=0.18, rotation_deg=12.0)
    yield Run("lpn50", replace(base, model=start, optim=last, augment=mild))


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


def measure(weights: Path, options: Options) -> list[str]:
    """Rows of results.md."""
    rows = []
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
        rows.append(f"| {weights.parent.name} | {name} | {len(source.persons())} | {' | '.join(figures)} |")
    return rows


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


def main(options: Options) -> None:
    """Labels, runs, results."""
    complete_labels(options)
    weights = None
    for run in runs(options):
        start = time.monotonic()
        weights = train_run(run, options)
        print(f"{run.name}: {(time.monotonic() - start) / 60:.0f} min in this process")
        collect(measure(weights, options), options)
    if options.install and weights is not None:
        install(weights)


if __name__ == "__main__":
    main(tyro.cli(Options))
