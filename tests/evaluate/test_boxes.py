"""Box AP of people against pycocotools, on COCO's own examples and on random boxes with crowds."""

import io
import json
from contextlib import redirect_stdout

import numpy as np
import pytest

pytest.importorskip("faster_coco_eval")

from lightpose.data.people import read_people
from lightpose.errors import ConfigError
from lightpose.evaluate.boxes import bootstrap_boxes, coco_boxes, match_boxes, score_boxes
from lightpose.evaluate.detections import find_people
from lightpose.evaluate.matching import average_precision
from lightpose.results import Boxes


def by_pycocotools(path, category, rows):
    """AP, AP50, AP75, by area, and recall at IoU .5."""
    coco = pytest.importorskip("pycocotools.coco")
    evaluator = pytest.importorskip("pycocotools.cocoeval")
    with redirect_stdout(io.StringIO()):
        truth = coco.COCO(str(path))
        evaluation = evaluator.COCOeval(truth, truth.loadRes(rows), "bbox")
        evaluation.params.catIds = [category]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [*evaluation.stats[:6], evaluation.eval["recall"][0, 0, 0, 2]]


def of_rows(rows, category):
    """COCO results as boxes by picture."""
    found = {}
    for number in {row["image_id"] for row in rows}:
        mine = [row for row in rows if row["image_id"] == number and row["category_id"] == category]
        found[number] = Boxes(
            np.array([row["bbox"] for row in mine], np.float32), np.array([row["score"] for row in mine], np.float32)
        )
    return found


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    """A file of random people, some of them crowds, and boxes that are near most of them, and others."""
    generator = np.random.default_rng(0)
    annotations, found = [], {}
    for picture in range(70):
        people = generator.uniform((0, 0, 5, 5), (150, 150, 90, 90), (generator.integers(0, 6), 4)).round(1)
        for box in people.tolist():
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": picture,
                    "category_id": 1,
                    "bbox": box,
                    "area": box[2] * box[3],
                }
            )
            annotations[-1]["iscrowd"] = int(generator.random() < 0.15)
        near = people[generator.random(len(people)) < 0.8] + generator.normal(0, 3, (1, 4))
        other = generator.uniform((0, 0, 5, 5), (150, 150, 90, 90), (generator.integers(0, 4), 4))
        boxes = np.concatenate([near, other])[:, :4]
        boxes[:, 2:] = np.maximum(boxes[:, 2:], 1)
        found[picture] = Boxes(boxes.astype(np.float32), generator.random(len(boxes)).round(2).astype(np.float32))
    images = [{"id": n, "file_name": f"{n}.png", "height": 240, "width": 240} for n in range(70)]
    document = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    path = tmp_path_factory.mktemp("crowded") / "people.json"
    path.write_text(json.dumps(document))
    return read_people(path, path.parent), found


def test_figures_are_those_of_pycocotools(crowded):
    source, found = crowded
    expected = by_pycocotools(source.path, 1, coco_boxes(source, found))
    np.testing.assert_allclose(list(vars(score_boxes(source, found)).values()), expected, atol=1e-9)
    assert 0.1 < expected[0] < 0.9


def test_figures_of_people_among_80_classes_are_those_of_pycocotools(real_data):
    path = real_data / "eval_fixtures" / "bbox_gt.json"
    rows = json.loads((real_data / "eval_fixtures" / "bbox_dt.json").read_text())
    source = read_people(path, real_data)
    found = of_rows(rows, source.category_id)
    expected = by_pycocotools(path, source.category_id, rows)
    # the file's boxes have more digits than float32 holds
    np.testing.assert_allclose(list(vars(score_boxes(source, found)).values()), expected, atol=2e-4)


def test_matches_give_the_same_precision_and_recall(crowded):
    source, found = crowded
    matches, scores = match_boxes(source, found), score_boxes(source, found)
    precision = average_precision(matches)
    assert precision.mean() == pytest.approx(scores.ap, abs=1e-9)
    assert (precision[0], precision[5]) == pytest.approx((scores.ap50, scores.ap75), abs=1e-9)
    assert matches.hit[0].sum() / matches.labelled.sum() == pytest.approx(scores.recall, abs=1e-9)


def test_intervals_hold_the_figures_and_follow_the_seed(crowded):
    source, found = crowded
    scores, spread = score_boxes(source, found), bootstrap_boxes(source, found, 200)
    for name in ("ap", "ap50", "ap75", "recall"):
        interval = getattr(spread, name)
        assert interval.low < getattr(scores, name) < interval.high
        assert interval.high - interval.low < 0.3
    assert bootstrap_boxes(source, found, 200) == spread
    assert bootstrap_boxes(source, found, 200, seed=1) != spread
    with pytest.raises(ConfigError, match="bootstrap needs resamples and a level between 0 and 1"):
        bootstrap_boxes(source, found, 0)


def test_the_labels_themselves_are_perfect_and_nothing_found_is_none(crowded):
    source, _ = crowded
    labels = {
        scene.image_id: Boxes(
            np.concatenate([scene.boxes_xyxy[:, :2], scene.boxes_xyxy[:, 2:] - scene.boxes_xyxy[:, :2]], 1)
        )
        for scene in source.scenes()
    }
    scores = score_boxes(source, labels)
    assert (scores.ap50, scores.recall) == pytest.approx((1, 1))
    nothing = score_boxes(source, {number: Boxes(np.zeros((0, 4))) for number in labels})
    assert set(vars(nothing).values()) == {0.0}
    assert score_boxes(source, {}) == nothing
    assert bootstrap_boxes(source, {}, 5).ap.high == 0


def test_of_a_picture_the_hundred_surest_boxes_count(crowded):
    source, _ = crowded
    many = Boxes(np.tile(np.array([[0, 0, 9, 9]], np.float32), (150, 1)), np.linspace(0, 1, 150, dtype=np.float32))
    rows = coco_boxes(source, {3: many})
    assert len(rows) == 100
    assert min(row["score"] for row in rows) == pytest.approx(50 / 149)


def test_every_picture_is_looked_at(drawn):
    source, told = read_people(drawn.annotations, drawn.images), []
    found = find_people(source, lambda image: Boxes(np.array([[0, 0, *image.shape[1::-1]]])), told.append)
    assert (sorted(found), told) == ([1, 2, 3], [1, 2, 3])
    np.testing.assert_array_equal(found[2].xywh, [[0, 0, 200, 160]])
