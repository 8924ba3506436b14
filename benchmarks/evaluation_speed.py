"""How long scoring takes, against pycocotools, and decoding, against a loop over people and joints.

nice python benchmarks/evaluation_speed.py

Each time is the median of several repeats, the two sides of a ratio interleaved, so that other load falls on both.
"""

import contextlib
import copy
import io
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import tyro
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from lightpose.data.coco import CocoFile
from lightpose.evaluate.bootstrap import bootstrap
from lightpose.evaluate.evaluation import Evaluation
from lightpose.evaluate.results import PoseResults
from lightpose.evaluate.scores import score_results
from lightpose.ops.codec import decode
from lightpose.skeletons import COCO17
from lightpose.types import FloatArray

HEATMAP_HW, BETA = (64, 48), 160.0


@dataclass(frozen=True)
class Options:
    """pictures: of the data set, as many people and detections a picture as in COCO's val2017. persons: to decode, in
    batches of batch. repeats: of everything.
    """

    pictures: int = 5000
    persons: int = 10_000
    batch: int = 32
    repeats: int = 5


def make_set(generator: np.random.Generator, pictures: int) -> tuple[CocoFile, PoseResults]:
    """A labelled set of about 2.2 people a picture, and results: each person found more or less well, and 6 astray."""
    images = [{"id": n, "file_name": f"{n}.jpg", "height": 480, "width": 640} for n in range(1, pictures + 1)]
    image_ids = np.repeat(np.arange(1, pictures + 1), generator.poisson(2.2, pictures))
    size = generator.uniform(40, 300, len(image_ids))
    corner = generator.uniform(0, 300, (len(image_ids), 2))
    points = corner[:, None] + generator.random((len(image_ids), 17, 2)) * size[:, None, None] * [0.6, 1]
    seen = generator.choice([0, 1, 2], points.shape[:2], p=[0.4, 0.1, 0.5])
    triples = np.dstack([points * (seen > 0)[..., None], seen]).reshape(len(image_ids), 51)
    annotations = [
        {
            "id": number + 1,
            "image_id": int(image_ids[number]),
            "category_id": 1,
            "bbox": [*corner[number].tolist(), 0.6 * size[number], size[number]],
            "area": 0.32 * size[number] ** 2,
            "iscrowd": int(generator.random() < 0.01),
            "keypoints": triples[number].tolist(),
            "num_keypoints": int((seen[number] > 0).sum()),
        }
        for number in range(len(image_ids))
    ]
    category = {"id": 1, "name": "person", "keypoints": list(COCO17.joints)}
    document = {"images": images, "annotations": annotations, "categories": [category]}
    source = CocoFile(Path("made.json"), Path(), document, COCO17)
    shaken = (
        points
        + generator.normal(0, 1, points.shape) * (size * generator.choice([0.01, 0.04, 0.2], len(size)))[:, None, None]
    )
    astray = generator.uniform(0, 480, (6 * pictures, 17, 2))
    ids = np.concatenate([image_ids, generator.integers(1, pictures + 1, len(astray))])
    found = np.round(np.concatenate([shaken, astray]), 4)
    scores = np.round(np.concatenate([generator.beta(5, 2, len(shaken)), generator.beta(2, 5, len(astray))]), 6)
    return source, PoseResults(ids, np.dstack([found, np.ones(found.shape[:2])]), scores, COCO17)


def by_pycocotools(document: dict[str, Any], rows: list[dict[str, Any]]) -> float:
    """AP, from objects that are already in memory."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = document
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(rows), "keypoints")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return float(judge.stats[0])


def loop_decode(heatmaps: FloatArray) -> FloatArray:
    """`softargmax_quarter` one joint at a time."""
    people, joints, height, width = heatmaps.shape
    found = np.zeros((people, joints, 3), np.float32)
    rows, columns = np.arange(height), np.arange(width)
    for person in range(people):
        for joint in range(joints):
            one = heatmaps[person, joint]
            share = np.exp(BETA * (one - one.max()))
            share /= share.sum()
            x, y = float((share.sum(0) * columns).sum()), float((share.sum(1) * rows).sum())
            px, py = math.floor(x + 0.5), math.floor(y + 0.5)
            score = one[py, px]
            if 1 < px < width - 1 and 1 < py < height - 1:
                x += 0.25 * np.sign(one[py, px + 1] - one[py, px - 1])
                y += 0.25 * np.sign(one[py + 1, px] - one[py - 1, px])
            found[person, joint] = x, y, score
    return found


def seconds(*works: Callable[[], Any], repeats: int) -> list[float]:
    """Median time of each work, all of them interleaved."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(repeats):
        for mine, work in zip(times, works, strict=True):
            start = time.perf_counter()
            work()
            mine.append(time.perf_counter() - start)
    return [median(mine) for mine in times]


def time_scoring(options: Options) -> None:
    """Print the time to score a set, the same with pycocotools, and that of 1000 bootstrap draws."""
    source, results = make_set(np.random.default_rng(0), options.pictures)
    rows = results.rows(COCO17.joints)
    aps = set()
    inputs = [(copy.deepcopy(source.document), copy.deepcopy(rows)) for _ in range(options.repeats)]
    ours, theirs = seconds(
        lambda: aps.add(round(score_results(source, results).ap, 6)),
        lambda: aps.add(round(by_pycocotools(*inputs.pop()), 6)),
        repeats=options.repeats,
    )
    people = f"{options.pictures} pictures, {len(source.document['annotations'])} people, {len(results)} poses"
    print(f"scoring {people}: {ours:.2f} s, pycocotools {theirs:.2f} s, ratio {theirs / ours:.1f}; AP {sorted(aps)}")
    image_ids = np.array([row["image_id"] for row in source.document["annotations"]])
    errors: NDArray[np.float64] = np.random.default_rng(1).random((len(image_ids), 17))
    evaluation = Evaluation(score_results(source, results), errors, image_ids, results)
    (draws,) = seconds(lambda: bootstrap(source, evaluation, 1000), repeats=max(1, options.repeats // 2))
    print(f"1000 bootstrap draws of it: {draws:.2f} s, {1000 * ours / draws:.0f} times as fast as scoring every draw")


def time_decoding(options: Options) -> None:
    """Print the time to decode heatmaps, vectorised and in a loop."""
    generator = np.random.default_rng(2)
    heatmaps = generator.random((options.batch, 17, *HEATMAP_HW), np.float32)
    batches = math.ceil(options.persons / options.batch)
    difference = np.abs(loop_decode(heatmaps[:20]) - decode(heatmaps[:20], "softargmax_quarter", BETA)).max()
    ours, theirs = seconds(
        lambda: [decode(heatmaps, "softargmax_quarter", BETA) for _ in range(batches)],
        lambda: [loop_decode(heatmaps) for _ in range(batches)],
        repeats=options.repeats,
    )
    print(
        f"decoding {batches * options.batch} people (softargmax_quarter): {ours:.2f} s, in a loop {theirs:.2f} s, "
        f"ratio {theirs / ours:.1f}; largest difference {difference:.1e}"
    )


if __name__ == "__main__":
    chosen = tyro.cli(Options)
    time_scoring(chosen)
    time_decoding(chosen)
