"""Labelled sets and results made at random, and what pycocotools says of them."""

import contextlib
import copy
import io
import json

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from lightpose.data.coco import read_coco
from lightpose.evaluate.scores import CocoScores
from lightpose.skeletons import COCO17

JOINTS = list(COCO17.joints)


def oracle(document, rows, sigmas=None):
    """The ten figures as pycocotools gives them."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = copy.deepcopy(document)
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(copy.deepcopy(rows)), "keypoints")
        if sigmas is not None:
            evaluation.params.kpt_oks_sigmas = np.array(sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats.tolist()


def figures(scores):
    return [getattr(scores, name) for name in CocoScores.__dataclass_fields__]


def source_of(folder, document):
    (folder / "truth.json").write_text(json.dumps(document))
    return read_coco(folder / "truth.json", folder)


def random_document(generator, pictures=12, joints=JOINTS):
    """People of all sizes, crowds, unlabelled ones, partly labelled ones, and pictures with nobody."""
    annotations = []
    for image_id in range(1, pictures + 1):
        for _ in range(int(generator.choice([0, 1, 3, 30]))):
            size = float(generator.uniform(15, 250))
            box = [*generator.uniform(0, 400, 2).tolist(), size * 0.6, size]
            points = np.array(box[:2]) + generator.random((len(joints), 2)) * box[2:]
            seen = generator.choice([0, 1, 2], len(joints), p=[0.3, 0.2, 0.5]) * (generator.random() > 0.15)
            crowd = int(generator.random() < 0.1)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": 1,
                    "bbox": box,
                    "area": 0.53 * box[2] * box[3],
                    "iscrowd": crowd,
                    "num_keypoints": int((seen > 0).sum()),
                    "keypoints": np.column_stack([points * (seen > 0)[:, None], seen]).ravel().tolist(),
                }
            )
    images = [{"id": n, "file_name": f"{n}.jpg", "height": 700, "width": 700} for n in range(1, pictures + 1)]
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person", "keypoints": joints}],
    }


def random_rows(generator, document):
    """Results near the truth and far from it, twice, with ties in the scores and some in empty pictures."""
    rows = []
    joints = len(document["categories"][0]["keypoints"])
    for row in document["annotations"] * 2:
        if generator.random() < 0.2:
            continue
        triples = np.array(row["keypoints"], float).reshape(-1, 3)
        triples[:, :2] += generator.normal(0, row["bbox"][3] * generator.choice([0.005, 0.05, 0.3]), (joints, 2))
        triples[:, 2] = 1
        rows.append((row["image_id"], triples))
    for image in document["images"]:
        rows += [(image["id"], generator.uniform(0, 600, (joints, 3))) for _ in range(int(generator.integers(0, 3)))]
    return [
        {"image_id": number, "category_id": 1, "keypoints": triples.ravel().tolist(), "score": float(score)}
        for (number, triples), score in zip(rows, generator.choice(np.linspace(0, 1, 11), len(rows)), strict=True)
    ]
