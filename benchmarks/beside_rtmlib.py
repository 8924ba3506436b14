"""lightpose and rtmlib on the same RTMPose or ViTPose file, images and boxes: how far apart, and how fast.

    pip install rtmlib && python benchmarks/peers.py rtmpose-s rtmpose-s.onnx
    python benchmarks/beside_rtmlib.py rtmpose-s.onnx --people 1 4 16 --threads 2

Both run ONNX Runtime with the same number of threads, in turn, so that whatever else the machine does meets both; told
are medians. The time is that from an image and its boxes to keypoints in the image. rtmlib runs one person at a time;
lightpose runs batches.

Joints count if both score them above 0.3. Crops differ by a grey value here and there, since rtmlib rounds its map to
float32; where a joint is nearly as likely in two places, as in networks with random weights, that can move it to the
other. So keypoints are compared in the same crops as well, where nothing but the reading is left. rtmlib's score of
SimCC is the mean of the likelihoods along x and y, MMPose's and lightpose's the lesser of both, so scores are compared
with MMPose's rule on rtmlib's own outputs.
"""

from __future__ import annotations

import contextlib
import io
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import tyro
from rtmlib import RTMPose, ViTPose  # type: ignore[import-not-found]

from lightpose.bench.end_to_end import scene
from lightpose.inference.top_down import PredictOptions, predict_crops, predict_poses
from lightpose.io.images import read_image
from lightpose.results import Boxes
from lightpose.runtime import Runtime
from lightpose.types import FloatArray, ImageArray
from lightpose.weights.open import open_runtime

SURE = 0.3


@dataclass(frozen=True)
class Options:
    """file: the network. people: in the image. image: one to use in place of a soft noise image of 1280×720."""

    file: tyro.conf.Positional[Path]
    people: tuple[int, ...] = (1, 4, 16)
    threads: int = 2
    repeats: int = 20
    image: Path | None = None


def open_theirs(path: Path, runtime: Runtime, threads: int) -> Any:
    """The network in rtmlib, with that number of threads."""
    height, width = runtime.spec.input_hw
    kind = RTMPose if runtime.spec.family == "simcc" else ViTPose
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = kind(str(path), (width, height))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    theirs.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return theirs


def their_poses(theirs: Any, image: ImageArray, boxes: Boxes) -> tuple[FloatArray, FloatArray]:
    """Keypoints (N, K, 2) and scores (N, K) of rtmlib, for an RGB image.

    rtmlib leaves the order of colours to its caller; its means are RGB's, so RGB is what it is given.
    """
    corners = np.concatenate([boxes.xywh[:, :2], boxes.xywh[:, :2] + boxes.xywh[:, 2:]], axis=1)
    keypoints, scores = theirs(image, corners.tolist())
    return keypoints, scores


def in_their_crops(theirs: Any, runtime: Runtime, image: ImageArray, boxes: Boxes) -> tuple[FloatArray, FloatArray]:
    """Scores (N, K) of rtmlib's own outputs by MMPose's rule, and lightpose's keypoints (N, K, 3) in rtmlib's crops."""
    scores, found = [], []
    for x, y, width, height in boxes.xywh.tolist():
        crop, center, scale = theirs.preprocess(image, [x, y, x + width, y + height])
        outputs = theirs.inference(crop)
        scores.append(np.minimum(*(each.max(-1)[0] for each in outputs)) if len(outputs) == 2 else
                      outputs[0].max((2, 3))[0])  # fmt: skip
        pixels = np.rint(crop * theirs.std + theirs.mean).clip(0, 255).astype(np.uint8)
        keypoints = predict_crops(pixels[None], runtime, PredictOptions())[0]
        keypoints[:, :2] = keypoints[:, :2] / runtime.spec.input_hw[::-1] * scale + center - scale / 2
        found.append(keypoints)
    return np.stack(scores), np.stack(found)


def compare(runtime: Runtime, theirs: Any, image: ImageArray, boxes: Boxes) -> str:
    """Lines on how far keypoints and scores are apart, in crops of each one's own and in the same crops."""
    mine = predict_poses(image, boxes, runtime, PredictOptions(batch=8)).keypoints
    points, scores = their_poses(theirs, image, boxes)
    lesser, same = in_their_crops(theirs, runtime, image, boxes)
    lines = []
    for title, found in (("own crops", mine), ("the same crops", same)):
        sure = (found[..., 2] > SURE) & (lesser > SURE)
        apart = np.linalg.norm(found[..., :2] - points, axis=-1)[sure]
        by_mmpose, by_rtmlib = (np.abs(found[..., 2] - theirs)[sure].max(initial=0) for theirs in (lesser, scores))
        lines.append(
            f"{len(boxes)} people, {title}: of {sure.sum()} joints above {SURE} {(apart <= 0.5).mean():.1%} within "
            f"0.5 px; scores up to {by_mmpose:.1e} apart by MMPose's rule, {by_rtmlib:.2f} by rtmlib's"
        )
    return "\n".join(lines)


def timed(works: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median milliseconds of each, in turn, after two rounds that do not count."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for number in range(repeats + 2):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if number > 1:
                taken[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(each) for name, each in taken.items()}


def main(options: Options) -> None:
    """Print a line on agreement and a row on speed for each number of people."""
    runtime = open_runtime(options.file, options.threads)
    theirs = open_theirs(options.file, runtime, options.threads)
    rows = ["| people | lightpose ms | rtmlib ms | ratio |", "|---|---|---|---|"]
    for people in options.people:
        image, boxes = scene(people)
        image = image if options.image is None else read_image(options.image)
        if options.image is not None:
            height, width = image.shape[:2]
            boxes = Boxes(boxes.xywh * np.array([width / 1280, height / 720] * 2, np.float32))
        print(compare(runtime, theirs, image, boxes))
        works: dict[str, Callable[[], object]] = {
            "lightpose": lambda i=image, b=boxes: predict_poses(i, b, runtime, PredictOptions(batch=8)),  # type: ignore[misc]
            "rtmlib": lambda i=image, b=boxes: their_poses(theirs, i, b),  # type: ignore[misc]
        }
        taken = timed(works, options.repeats)
        ratio = taken["rtmlib"] / taken["lightpose"]
        rows.append(f"| {people} | {taken['lightpose']:.1f} | {taken['rtmlib']:.1f} | {ratio:.2f} |")
    print("\n".join(rows))


if __name__ == "__main__":
    main(tyro.cli(Options))
