"""Trains the bundled person detector from the data sets that docs/model_card.md names, starting from the bundled pose
network.

    pip install '.[train]'
    python tools/train_default_detector.py --teacher runs/nanodet.onnx --hint runs/nanodet_maps.onnx --install

On a GPU or a CPU; it goes on after a kill. Either file, made by examples/default/nanodet.py, may be left out: the one
finds who has no label in LSP-Extended and in COCO's images that have joints alone, the other gives hints
(lightpose/train/feature_distillation.py). --init weights/person_detector.safetensors goes on from the bundled detector.
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
class Labelled:
    """A set where some people have boxes. exact: its boxes are people's, not the extent of joints."""

    name: str
    file: str
    images: str
    repeat: float
    exact: bool = False


COCO_MORE = Labelled("coco_more", "coco_keypoints/train_more.json", "coco_keypoints/train_more", 2.0, exact=True)
ATHLETES = Labelled("lspet", "lspet/train.json", "lspet/images", 0.12)


@dataclass(frozen=True)
class Options:
    """data: the folder of the sets. out: where the run goes. teacher: an .onnx file that finds people. hint: a file
    that gives a detector's maps. init: weights to start from. epochs: instead of the recipe's. install: put the result
    into the package, with an input of that size; sizes: sides of the square inputs that are measured.
    """

    data: Path = Path("data")
    out: Path = Path("runs/default")
    teacher: Path | None = None
    hint: Path | None = None
    init: Path = Path("weights/lpn50.safetensors")
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


def label_others(options: Options, teacher: Path, labelled: Labelled) -> Path:
    """Write runs/labels/NAME_people.json, once: a set where few people have a box, with the teacher's boxes of all.

    Its box of a labelled person may replace the label's. What it half believes is ignored.
    """
    target = ROOT / "runs/labels" / f"{labelled.name}_people.json"
    if target.exists():
        return target
    source = read_people(options.data / labelled.file, options.data / labelled.images)
    print(f"labelling {source.path} with {teacher}")
    with counting("pictures", len(source.document["images"])) as advance:
        found = find_people(source, OnnxDetector(teacher, UNSURE), advance)
    by_image: dict[int, list[Any]] = {image["id"]: [] for image in source.document["images"]}
    for row in source.rows():
        by_image[row["image_id"]].append(row["bbox"])
    rows: list[dict[str, Any]] = []
    for image_id, known in by_image.items():
        boxes = found[image_id]
        people = np.array(known, float).reshape(-1, 4)
        for box, crowd in zip(*everybody(people, boxes.xywh.astype(float), boxes.scores, labelled.exact), strict=True):
            about = {"image_id": image_id, "category_id": source.category_id, "iscrowd": int(crowd)}
            rows.append({"id": len(rows) + 1, **about, "bbox": box.tolist(), "area": float(box[2] * box[3])})
    write_aside(target, json.dumps({**source.document, "annotations": rows}).encode())
    return target


def everybody(
    labelled: NDArray[Any], boxes: NDArray[Any], scores: NDArray[Any], exact: bool
) -> tuple[NDArray[Any], NDArray[Any]]:
    """The labelled people (L, 4), at least one, and the others found (B, 4): boxes (P, 4), and which to ignore; xywh.

    exact: the labelled boxes are as good as any; else the teacher's of the same person replaces one.
    """
    if not len(boxes):
        return labelled, np.zeros(len(labelled), bool)
    overlap = mask.iou(boxes, labelled, [0] * len(labelled)).reshape(len(boxes), len(labelled))
    known = overlap * (scores >= SURE_OF_KNOWN)[:, None]
    better = known.max(0) > (1 if exact else 0.5)
    people = np.where(better[:, None], boxes[known.argmax(0)], labelled)
    others = overlap.max(1) <= 0.5
    others &= mask.iou(boxes, people, [0] * len(people)).reshape(len(boxes), len(people)).max(1) <= 0.5
    sure = others & (scores >= SURE)
    people = np.concatenate([people, boxes[sure]])
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
    config = replace(config, out=str(options.out / "detector"), model=replace(config.model, init=str(options.init)))
    if options.teacher is not None:
        completed = [
            SceneSourceConfig(
                str(label_others(options, options.teacher, part)), str(options.data / part.images), part.repeat
            )
            for part in (COCO_MORE, ATHLETES)
        ]
        config = replace(config, data=replace(config.data, train=(*config.data.train[:-1], *completed)))
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
