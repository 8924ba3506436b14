"""Trains the bundled person detector from the data sets that docs/model_card.md names, starting from the bundled pose
network.

    pip install '.[train]'
    python tools/train_default_detector.py --teacher runs/nanodet.onnx --hint runs/nanodet_maps.onnx --install

On a GPU or a CPU; it goes on after a kill. Either file, made by examples/default/nanodet.py, may be left out: the one
finds who has no label in LSP-Extended, the other gives hints (lightpose/train/feature_distillation.py).
The run writes its folder under --out; detector_results.md there collects box AP on both validation sets, with 95 %
intervals, at several input sizes. --install exports it at --input-hw. Its boxes count down to somewhat below the score
of nearly the best F1 on the validation pictures; once the bundled pose network has seen them, people stay down to
nearly the best F1 of their whole score.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from faster_coco_eval import mask
from numpy.typing import NDArray

from lightpose.cli.console import counting
from lightpose.cli.train import train
from lightpose.data.people import PeopleFile, read_people
from lightpose.detect.onnx import OnnxDetector
from lightpose.evaluate.boxes import bootstrap_boxes, match_boxes, score_boxes
from lightpose.evaluate.detections import find_people
from lightpose.export.detector import export_detector
from lightpose.inference.estimator import PoseEstimator
from lightpose.io.files import write_aside
from lightpose.io.images import read_image
from lightpose.results import Boxes
from lightpose.train import read_config
from lightpose.train.config import FeatureDistillationConfig
from lightpose.train.detector_config import DetectorConfig, SceneSourceConfig
from lightpose.weights import install_weights
from lightpose.weights.network import load_detector, save_network

ROOT = Path(__file__).parents[1]
VALIDATION = {
    "everyday": ("person_boxes/val.json", "person_boxes/images"),
    "COCO": ("coco_keypoints/val.json", "coco_keypoints/val2017"),
}
LEAST_SCORE = 0.01
NEARLY = 0.99
"""Share of the best F1 that is as good: it is flat there, and higher thresholds let fewer answers be wrong."""
BELOW = 0.8
"""Share of the boxes' best threshold down to which they are worth a look at their joints."""
INCOMPLETE = ("pennfudan",)
"""Origins in person_boxes that box upright pedestrians alone."""
SURE, SURE_OF_KNOWN, UNSURE = 0.4, 0.3, 0.28
"""Scores from which a teacher's box is a person, is that of a labelled person, is worth ignoring."""


@dataclass(frozen=True)
class Options:
    """data: the folder of the sets. out: where the run goes. teacher: an .onnx file that finds people. hint: a file
    that gives a detector's maps. epochs: instead of the recipe's. install: put the result into the package, with an
    input of that size; sizes: sides of the square inputs that are measured.
    """

    data: Path = Path("data")
    out: Path = Path("runs/default")
    teacher: Path | None = None
    hint: Path | None = None
    epochs: int | None = None
    install: bool = False
    input_hw: tuple[int, int] = (320, 320)
    sizes: tuple[int, ...] = (256, 320, 416)


def split_labels(options: Options) -> None:
    """Write runs/labels/people.json and pedestrians.json, once: pictures where everybody is boxed, and the others."""
    document = json.loads((options.data / "person_boxes/train.json").read_text())
    for name, incomplete in (("people", False), ("pedestrians", True)):
        images = [image for image in document["images"] if (image["source"] in INCOMPLETE) == incomplete]
        ids = {image["id"] for image in images}
        rows = [row for row in document["annotations"] if row["image_id"] in ids]
        target = ROOT / "runs/labels" / f"{name}.json"
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            write_aside(target, json.dumps({**document, "images": images, "annotations": rows}).encode())


def label_others(options: Options, teacher: Path) -> Path:
    """Write runs/labels/lspet_people.json, once: LSP-Extended, where one person has a box, with the teacher's of all.

    Its box of that person replaces the label's, which is only the joints' extent. What it half believes is ignored.
    """
    target = ROOT / "runs/labels/lspet_people.json"
    if target.exists():
        return target
    source = read_people(options.data / "lspet/train.json", options.data / "lspet/images")
    print(f"labelling {source.path} with {teacher}")
    with counting("pictures", len(source.document["images"])) as advance:
        found = find_people(source, OnnxDetector(teacher, UNSURE), advance)
    rows: list[dict[str, Any]] = []
    for row in source.rows():
        boxes = found[row["image_id"]]
        labelled, xywh = np.array(row["bbox"], float), boxes.xywh.astype(float)
        for box, crowd in zip(*everybody(labelled, xywh, boxes.scores), strict=True):
            about = {"image_id": row["image_id"], "category_id": source.category_id, "iscrowd": int(crowd)}
            rows.append({"id": len(rows) + 1, **about, "bbox": box.tolist(), "area": float(box[2] * box[3])})
    write_aside(target, json.dumps({**source.document, "annotations": rows}).encode())
    return target


def everybody(labelled: NDArray[Any], boxes: NDArray[Any], scores: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The labelled person (4,) and the others found (B, 4), xywh: boxes (P, 4), and whether each is to be ignored."""
    if not len(boxes):
        return labelled[None], np.zeros(1, bool)
    known = mask.iou(boxes, labelled[None], [0])[:, 0] * (scores >= SURE_OF_KNOWN)
    person = boxes[known.argmax()] if known.max() > 0.5 else labelled
    others = mask.iou(boxes, np.stack([labelled, person]), [0, 0]).max(1) <= 0.5
    sure = others & (scores >= SURE)
    people = np.concatenate([person[None], boxes[sure]])
    part = mask.iou(boxes, people, [1] * len(people)).max(1) > 0.5  # mostly inside a person, not somebody else
    unsure = others & ~sure & ~part
    return np.concatenate([people, boxes[unsure]]), np.arange(len(people) + unsure.sum()) >= len(people)


def recipe(options: Options) -> DetectorConfig:
    """The example's, and on a CPU a smaller one: a smaller window, smaller batches and less augmentation, since a run
    so short knows its pictures hardly better than others. With a teacher's boxes LSP-Extended counts for more.
    """
    config = read_config(ROOT / "examples/default/detector.toml")
    if not isinstance(config, DetectorConfig):
        raise TypeError("examples/default/detector.toml trains no detector")
    config = replace(config, out=str(options.out / "detector"))
    if options.teacher is not None:
        *others, athletes = config.data.train
        all_labelled = SceneSourceConfig(str(label_others(options, options.teacher)), athletes.images, repeat=0.25)
        config = replace(config, data=replace(config.data, train=(*others, all_labelled)))
    if options.hint is not None:
        config = replace(config, feature_distillation=FeatureDistillationConfig(str(options.hint)))
    if not torch.cuda.is_available():
        optim = replace(config.optim, lr=9e-4, batch=8, epochs=40, warmup_epochs=0.3, ema=0.998)
        config = replace(
            config,
            model=replace(config.model, input_hw=(256, 256)),
            optim=optim,
            augment=replace(config.augment, scale=(0.7, 1.6), aspect=0.1, mosaic_probability=0.4),
            evaluate_every=1,
            preview_every=2,
        )
    if options.epochs:
        config = replace(config, optim=replace(config.optim, epochs=options.epochs))
    return config


def measure(weights: Path, options: Options) -> None:
    """Write results.md."""
    network, spec = load_detector(weights)
    head = ["| input | validation set | people | AP | AP50 | AP75 | recall@0.5 |", "|---|---|---|---|---|---|---|"]
    rows = []
    for side in options.sizes:
        path = weights.with_name(f"detector_{side}.onnx")
        export_detector(network, replace(spec, input_hw=(side, side)), path)
        for name, (file, images) in VALIDATION.items():
            source = read_people(options.data / file, options.data / images)
            found = find_people(source, OnnxDetector(path, LEAST_SCORE))
            scores, spread = score_boxes(source, found), bootstrap_boxes(source, found)
            figures = [
                f"{100 * getattr(scores, figure):.1f} "
                f"[{100 * getattr(spread, figure).low:.1f}, {100 * getattr(spread, figure).high:.1f}]"
                for figure in ("ap", "ap50", "ap75", "recall")
            ]
            people = sum(not row.get("iscrowd") for row in source.rows())
            rows.append(f"| {side}×{side} | {name} | {people} | {' | '.join(figures)} |")
    write_aside(options.out / "detector_results.md", "\n".join([*head, *rows, ""]).encode())
    print("\n".join([*head, *rows]))


def best_threshold(source: PeopleFile, found: dict[int, Boxes]) -> float:
    """The highest score at which the harmonic mean of precision and recall at IoU 0.5 is nearly its best."""
    matches = match_boxes(source, found)
    order = np.argsort(-matches.scores, kind="stable")
    right = np.cumsum(matches.hit[0, order])
    answered = np.cumsum(~matches.ignored[0, order])
    f1 = 2 * right / np.maximum(answered + matches.labelled.sum(), 1)
    return round(float(matches.scores[order][(f1 >= NEARLY * f1.max()).argmax()]), 2)


def with_joints(source: PeopleFile, found: dict[int, Boxes], threshold: float) -> dict[int, Boxes]:
    """Of the boxes found those from the threshold on, each with the score of the whole person."""
    estimator = PoseEstimator(detector="whole", precision="float32")
    seen = {}
    for scene in source.scenes():
        boxes = found[scene.image_id]
        sure = boxes.scores >= threshold
        boxes = Boxes(boxes.xywh[sure], boxes.scores[sure])
        poses = estimator.choose(estimator.predict(read_image(scene.image_path, exif=False), boxes))
        seen[scene.image_id] = Boxes(poses.boxes.xywh, poses.scores)
    return seen


def install(weights: Path, options: Options) -> None:
    """Float16 weights into weights/, the ONNX graph into the package."""
    network, spec = load_detector(weights)
    spec = replace(spec, input_hw=options.input_hw)
    target = ROOT / "lightpose/weights/bundled/person_detector.onnx"
    trial = weights.with_name("trial.onnx")
    export_detector(network, spec, trial)
    file, images = VALIDATION["everyday"]
    source = read_people(options.data / file, options.data / images)
    found = find_people(source, OnnxDetector(trial, LEAST_SCORE))
    threshold = round(BELOW * best_threshold(source, found), 2)
    least_score = best_threshold(source, with_joints(source, found, threshold))
    spec = replace(spec, threshold=threshold, min_person_score=least_score)
    save_network(ROOT / "weights/person_detector.safetensors", network, spec, half=True)
    with tempfile.TemporaryDirectory() as aside:
        graph = Path(aside) / target.name
        parity = export_detector(network, spec, graph)
        install_weights(target.parent, graph)
    size = target.stat().st_size / 1e6
    print(
        f"installed {target.name}: {size:.1f} MB, threshold {threshold}, least score {least_score}, "
        f"boxes {parity.boxes_px:.4f} px from PyTorch's"
    )
    print("put the rows of detector_results.md into README.md and docs/model_card.md, then run scripts/test")


def main(options: Options) -> None:
    """Labels, run, results."""
    split_labels(options)
    config = recipe(options)
    start = time.monotonic()
    train(config)
    print(f"{(time.monotonic() - start) / 60:.0f} min in this process")
    weights = Path(config.out) / "best.safetensors"
    measure(weights, options)
    if options.install:
        install(weights, options)


if __name__ == "__main__":
    main(tyro.cli(Options))
