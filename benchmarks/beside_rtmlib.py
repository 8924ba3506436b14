"""lightpose and rtmlib on the same RTMPose, ViTPose, HRNet or RTMO file, images and boxes: how far apart, how fast.

    pip install rtmlib && python benchmarks/peers.py rtmpose-s rtmpose-s.onnx
    python benchmarks/beside_rtmlib.py rtmpose-s.onnx --people 1 4 16 --threads 2
    python benchmarks/one_stage.py rtmo rtmo.onnx && python benchmarks/beside_rtmlib.py rtmo.onnx

Both run ONNX Runtime with the same number of threads, in turn, so that whatever else the machine does meets both; told
are medians. The time is that from an image and its boxes to keypoints in the image. rtmlib runs one person at a time;
lightpose runs batches.

Joints count if both score them above 0.3. Crops differ by a grey value here and there, since rtmlib rounds its map to
float32; where a joint is nearly as likely in two places, as in networks with random weights, that can move it to the
other. So keypoints are compared in the same crops as well, where nothing but the reading is left. rtmlib's score of
SimCC is the mean of the likelihoods along x and y, MMPose's and lightpose's the lesser of both, so scores are compared
with MMPose's rule on rtmlib's own outputs.

rtmlib cuts ViTPose's crops as RTMPose's, and then reads them as UDP's, so that joints land up to a fiftieth of the crop
too far to the right and down. Its crops are cut anew here, as ViTPose was trained; the reading is its own. rtmlib has
no HRNet: its crops are read here as MMPose reads them, by a plain rule in numpy. Of RTMO, rtmlib suppresses boxes once
more than MMPose; that is left out here.
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

import cv2
import numpy as np
import onnxruntime
import tyro
from rtmlib import RTMO, RTMPose, ViTPose  # type: ignore[import-not-found]

from lightpose.bench.end_to_end import scene
from lightpose.inference.top_down import PredictOptions, predict_crops, predict_poses
from lightpose.io.images import read_image
from lightpose.ops.boxes import to_xyxy
from lightpose.results import Boxes
from lightpose.runtime import Runtime
from lightpose.runtime.one_stage import OneStageRuntime
from lightpose.types import FloatArray, ImageArray
from lightpose.weights.open import Network, open_network

SURE = 0.3
REST_S = 0.1
"""Before each piece of work. ONNX Runtime's threads, as rtmlib has them, spin for 40 to 50 ms after a run."""


@dataclass(frozen=True)
class Options:
    """file: the network. people: in the image. image: one to use in place of a soft noise image of 1280×720."""

    file: tyro.conf.Positional[Path]
    people: tuple[int, ...] = (1, 4, 16)
    threads: int = 2
    repeats: int = 20
    image: Path | None = None


class UdpViTPose(ViTPose):  # type: ignore[misc]
    """rtmlib's reading, in crops as MMPose's get_udp_warp_matrix has them: corners are pixels' middles."""

    def preprocess(self, img: ImageArray, bbox: list[float]) -> tuple[Any, FloatArray, FloatArray]:
        """The crop, normalised, its middle, and its width and height in the image."""
        _, center, scale = super().preprocess(img, bbox)
        size = np.array(self.model_input_size)
        ratio = (size - 1) / scale
        matrix = np.array([[ratio[0], 0, 0], [0, ratio[1], 0]])
        matrix[:, 2] = (scale / 2 - center) * ratio
        crop = cv2.warpAffine(img, matrix, size.tolist(), flags=cv2.INTER_LINEAR)
        return (crop - self.mean) / self.std, center, scale


class HRNet(ViTPose):  # type: ignore[misc]
    """rtmlib's crops, read as MMPose's MSRAHeatmap reads heatmaps: the highest place, and a quarter on."""

    def postprocess(self, outputs: list[FloatArray], center: FloatArray, scale: FloatArray) -> tuple[Any, Any]:
        """Keypoints (1, K, 2) in the image, and scores (1, K)."""
        heatmaps = outputs[0][0]
        _, height, width = heatmaps.shape
        points = np.zeros((len(heatmaps), 2))
        for joint, heatmap in enumerate(heatmaps):
            y, x = divmod(int(heatmap.argmax()), width)
            points[joint] = x, y
            if 0 < x < width - 1 and 0 < y < height - 1:
                points[joint, 0] += 0.25 * np.sign(heatmap[y, x + 1] - heatmap[y, x - 1])
                points[joint, 1] += 0.25 * np.sign(heatmap[y + 1, x] - heatmap[y - 1, x])
        return (points / [width, height] * scale + center - scale / 2)[None], heatmaps.max((1, 2))[None]


def kind_of(network: Network) -> Any:
    """What reads such a network's file beside lightpose."""
    if isinstance(network, OneStageRuntime):
        return RTMO
    if network.spec.family == "simcc":
        return RTMPose
    return UdpViTPose if network.spec.geometry == "udp" else HRNet


def open_theirs(path: Path, network: Network, threads: int) -> Any:
    """The network in rtmlib, with that number of threads."""
    height, width = network.spec.input_hw
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = kind_of(network)(str(path), (width, height))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    theirs.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return theirs


def their_poses(theirs: Any, image: ImageArray, boxes: Boxes) -> tuple[FloatArray, FloatArray]:
    """Keypoints (N, K, 2) and scores (N, K) of rtmlib, for an RGB image.

    rtmlib leaves the order of colours to its caller; its means are RGB's, so RGB is what it is given.
    """
    keypoints, scores = theirs(image, to_xyxy(boxes.xywh.astype(np.float64)).tolist())
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
        last = 1 if runtime.spec.geometry == "udp" else 0  # corners are pixels' middles
        size = np.array(runtime.spec.input_hw[::-1]) - last
        keypoints[:, :2] = keypoints[:, :2] / size * scale + center - scale / 2
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


def compare_people(network: OneStageRuntime, theirs: Any, image: ImageArray) -> str:
    """A line on how many people each finds in an image, and how far their joints and scores are apart.

    People are paired by their joints' mean distance; rtmlib, made for OpenCV, gets BGR.
    """
    found = network.find(image)
    points, scores = whole_poses(network, theirs, image)
    apart = np.linalg.norm(found.keypoints[:, None, :, :2] - points[None], axis=-1)
    pairs = apart.mean(-1).argmin(1) if len(points) and len(found) else np.zeros(0, int)
    mine = np.arange(len(pairs))
    sure = (found.keypoints[mine, :, 2] > SURE) & (scores[pairs] > SURE)
    far = np.abs(found.keypoints[mine, :, 2] - scores[pairs])[sure].max(initial=0)
    height, width = image.shape[:2]
    return (
        f"{width}x{height}: {len(found)} and {len(points)} people; of {sure.sum()} joints above {SURE} "
        f"{(apart[mine, pairs][sure] <= 0.5).mean():.1%} within 0.5 px; scores up to {far:.1e} apart"
    )


def whole_poses(network: OneStageRuntime, theirs: Any, image: ImageArray) -> tuple[FloatArray, FloatArray]:
    """Keypoints (N, K, 2) and scores (N, K) of rtmlib, of the people that the graph's own suppression leaves."""
    keypoints, scores = theirs(np.ascontiguousarray(image[..., ::-1]), nms_thr=1.0, score_thr=network.threshold)
    return keypoints, scores


def timed(works: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median milliseconds of each, in turn, after two rounds that do not count."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for number in range(repeats + 2):
        for name, work in works.items():
            time.sleep(REST_S)
            start = time.perf_counter()
            work()
            if number > 1:
                taken[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(each) for name, each in taken.items()}


def main(options: Options) -> None:
    """Print a line on agreement and a row on speed for each number of people, or for each size of image."""
    network = open_network(options.file, options.threads)
    theirs = open_theirs(options.file, network, options.threads)
    if isinstance(network, OneStageRuntime):
        whole(network, theirs, options)
        return
    rows = ["| people | lightpose ms | rtmlib ms | ratio |", "|---|---|---|---|"]
    for people in options.people:
        image, boxes = scene(people)
        image = image if options.image is None else read_image(options.image)
        if options.image is not None:
            height, width = image.shape[:2]
            boxes = Boxes(boxes.xywh * np.array([width / 1280, height / 720] * 2, np.float32))
        print(compare(network, theirs, image, boxes))
        works: dict[str, Callable[[], object]] = {
            "lightpose": lambda i=image, b=boxes: predict_poses(i, b, network, PredictOptions(batch=8)),  # type: ignore[misc]
            "rtmlib": lambda i=image, b=boxes: their_poses(theirs, i, b),  # type: ignore[misc]
        }
        rows.append(f"| {people} {ratio(works, options.repeats)}")
    print("\n".join(rows))


def ratio(works: dict[str, Callable[[], object]], repeats: int) -> str:
    """The rest of a row: times, and how often lightpose's goes into rtmlib's."""
    taken = timed(works, repeats)
    return f"| {taken['lightpose']:.1f} | {taken['rtmlib']:.1f} | {taken['rtmlib'] / taken['lightpose']:.2f} |"


def whole(network: OneStageRuntime, theirs: Any, options: Options) -> None:
    """The same of a network that takes whole images: the image itself, and as large as the network's input."""
    image = scene(1)[0] if options.image is None else read_image(options.image)
    rows = ["| image | lightpose ms | rtmlib ms | ratio |", "|---|---|---|---|"]
    for each in (cv2.resize(image, network.spec.input_hw[::-1]).astype(np.uint8), image):
        print(compare_people(network, theirs, each))
        works: dict[str, Callable[[], object]] = {
            "lightpose": lambda i=each: network.find(i),  # type: ignore[misc]
            "rtmlib": lambda i=each: whole_poses(network, theirs, i),  # type: ignore[misc]
        }
        rows.append(f"| {each.shape[1]}x{each.shape[0]} {ratio(works, options.repeats)}")
    print("\n".join(rows))


if __name__ == "__main__":
    main(tyro.cli(Options))
