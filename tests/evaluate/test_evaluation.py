"""From a network and a data set to its figures, in given boxes and in a detector's."""

import json
import weakref

import numpy as np
import pytest

pytest.importorskip("faster_coco_eval")
pytest.importorskip("pycocotools")

from lightpose.data.coco import read_coco
from lightpose.data.stored import read_labelled
from lightpose.errors import BoxesError
from lightpose.evaluate.detections import open_source
from lightpose.evaluate.evaluation import (
    CocoScores,
    Evaluation,
    evaluate_detections,
    evaluate_given_boxes,
    predict_detections,
    predict_persons,
)
from lightpose.evaluate.protocol import Protocol
from lightpose.evaluate.results import join
from lightpose.inference.top_down import PredictOptions
from lightpose.results import Boxes, Poses
from lightpose.skeletons import COCO17, MPII16, Skeleton
from lightpose.types import ModelSpec
from tests.evaluate.oracles import figures
from tests.helpers import ColorRuntime, draw_set, joint_colors


def poses_at(points, scores):
    keypoints = np.concatenate([points, np.full((*points.shape[:2], 1), 0.5)], -1).astype(np.float32)
    boxes = Boxes(np.tile(np.array([[0, 0, 100, 100]], np.float32), (len(points), 1)))
    return Poses(keypoints, np.array(scores, np.float32), boxes, COCO17)


def test_a_row_holds_a_persons_triples_and_score():
    points = np.arange(2 * 17 * 2).reshape(2, 17, 2) + 0.123456
    rows = poses_at(points, [0.25, 0.75]).to_coco(5)
    assert [(row["image_id"], row["category_id"], row["score"]) for row in rows] == [(5, 1, 0.25), (5, 1, 0.75)]
    assert rows[1]["keypoints"][:6] == pytest.approx([34.1235, 35.1235, 0.5, 36.1235, 37.1235, 0.5], abs=1e-6)
    json.dumps(rows)
    assert [row["score"] for row in poses_at(points, [0.25, 0.75])[1:].to_coco(5)] == [0.75]
    assert poses_at(points[:0], []).to_coco(5) == []


@pytest.mark.parametrize("geometry", ["msra", "udp"])
def test_a_network_that_finds_every_joint_has_an_ap_of_one(drawn, geometry):
    source = read_coco(drawn.annotations, drawn.images)
    runtime = ColorRuntime(ModelSpec("colors", COCO17, (128, 96), geometry=geometry, decoder="dark"))
    done = []
    evaluation = evaluate_given_boxes(source, runtime, PredictOptions(), done.append)
    assert evaluation.scores.ap == pytest.approx(1)
    assert evaluation.errors.shape == (4, 17)
    assert evaluation.pck(0.05) == 1
    assert np.nanmedian(evaluation.errors) < 0.01
    assert done == [1, 3, 4]


def test_a_set_with_more_joints_than_the_network_is_measured_on_those_they_share(tmp_path):
    names = [*COCO17.joints[::-1], "neck", "head_top"]
    drawn = draw_set(tmp_path / "drawn", (2, 1), joints=names)
    colors = joint_colors(19)[[names.index(joint) for joint in COCO17.joints]]
    runtime = ColorRuntime(ModelSpec("colors", COCO17, (128, 96), decoder="dark"), colors)
    evaluation = evaluate_given_boxes(read_coco(drawn.annotations, drawn.images), runtime, PredictOptions())
    assert evaluation.scores.ap > 0.95
    assert evaluation.pck(0.05) == 1


def test_every_person_is_predicted_once_beside_its_label(drawn):
    source = read_coco(drawn.annotations, drawn.images)
    runtime = ColorRuntime(ModelSpec("colors", COCO17, (128, 96), decoder="dark"))
    pairs = list(predict_persons(source, runtime, PredictOptions(batch=3)))
    assert [[person.annotation_id for person in people] for people, _ in pairs] == [[1], [2, 3], [4]]
    for people, poses in pairs:
        np.testing.assert_array_equal(poses.boxes.xywh, [person.box_xywh for person in people])
        truth = np.stack([person.keypoints for person in people])
        assert np.median(np.linalg.norm(poses.keypoints[..., :2] - truth, axis=-1)) < 1


def test_a_set_without_people_is_evaluated_to_zero(tmp_path):
    drawn = draw_set(tmp_path / "drawn", people=(0, 0))
    runtime = ColorRuntime(ModelSpec("colors", COCO17, (64, 48)))
    evaluation = evaluate_given_boxes(read_coco(drawn.annotations, drawn.images), runtime, PredictOptions())
    assert figures(evaluation.scores) == [0.0] * 10
    assert evaluation.errors.shape == (0, 17)


def given(source):
    """The given boxes as a detector's."""
    found = {}
    for person in source.persons():
        found.setdefault(person.image_id, []).append(person.box_xywh)
    return {number: Boxes(np.stack(boxes)) for number, boxes in found.items()}


def test_given_boxes_and_the_same_from_a_detector_give_the_same(drawn):
    source = read_coco(drawn.annotations, drawn.images)
    runtime = ColorRuntime(ModelSpec("colors", COCO17, (128, 96), decoder="dark"))
    by_hand = evaluate_given_boxes(source, runtime, PredictOptions(batch=3))
    done = []
    found = evaluate_detections(source, given(source), runtime, PredictOptions(batch=2), done.append)
    assert found.scores == by_hand.scores
    np.testing.assert_array_equal(found.results.image_ids, by_hand.results.image_ids)
    np.testing.assert_allclose(found.results.keypoints, by_hand.results.keypoints, atol=2e-4)
    assert done == [1, 3, 4]
    assert found.errors.shape == (0, 17)
    assert np.isnan(found.pck())


def test_a_picture_without_boxes_counts_as_one_with_nobody_found_and_is_not_read(drawn):
    source = read_coco(drawn.annotations, drawn.images)
    runtime = ColorRuntime(ModelSpec("colors", COCO17, (128, 96), decoder="dark"))
    boxes = given(source)
    del boxes[2]  # of the four people two are in it
    (drawn.images / "0002.png").unlink()
    found = evaluate_detections(source, boxes, runtime, PredictOptions())
    assert found.scores.ar == pytest.approx(0.5)
    assert found.results.image_ids.tolist() == [1, 3]


def test_a_box_score_lowers_the_persons(drawn):
    source = read_coco(drawn.annotations, drawn.images)
    runtime = ColorRuntime(ModelSpec("colors", COCO17, (128, 96)))
    sure = {1: given(source)[1]}
    unsure = {1: Boxes(sure[1].xywh, np.array([0.25], np.float32))}
    scores = [evaluate_detections(source, boxes, runtime, PredictOptions()).results.scores for boxes in (sure, unsure)]
    np.testing.assert_allclose(scores[1], scores[0] / 4, atol=1e-6)


def test_pictures_without_labels_get_results_and_no_figures(drawn):
    document = json.loads(drawn.annotations.read_text())
    boxes = given(read_coco(drawn.annotations, drawn.images))
    drawn.annotations.write_text(json.dumps({"images": document["images"]}))
    source = open_source(drawn.annotations, drawn.images)
    runtime = ColorRuntime(ModelSpec("colors", COCO17, (64, 48)))
    found = evaluate_detections(source, boxes, runtime, PredictOptions())
    assert figures(found.scores) == [-1.0] * 10
    assert found.results.image_ids.tolist() == [1, 2, 2, 3]


def test_a_box_outside_its_picture_is_refused_and_the_picture_named(drawn):
    source = read_coco(drawn.annotations, drawn.images)
    runtime = ColorRuntime(ModelSpec("colors", COCO17, (64, 48)))
    boxes = {2: Boxes(np.array([[900, 5, 10, 10]], np.float32))}
    with pytest.raises(BoxesError, match=r"0002.png: box 0 .* lies outside the 200x160 image"):
        list(predict_detections(source, boxes, runtime, PredictOptions()))


def evaluation_of(errors):
    zeros = CocoScores(*[0.0] * 10)
    return Evaluation(zeros, np.asarray(errors), np.arange(len(errors)), join([], COCO17))


def test_pck_is_the_share_of_labelled_joints_within_reach():
    nan = float("nan")
    evaluation = evaluation_of([[0.02, 0.1, nan], [0.3, nan, 0.1001]])
    assert evaluation.pck() == 2 / 4
    assert evaluation.pck(0.01) == 0
    assert evaluation.pck(0.3) == 1


@pytest.mark.parametrize("errors", [np.full((2, 3), np.nan), np.zeros((0, 3))])
def test_pck_is_not_a_number_if_nothing_is_labelled(errors):
    assert np.isnan(evaluation_of(errors).pck())


def test_pckh_is_measured_by_the_head_and_under_the_papers_protocol_a_pixel_off(tmp_path):
    joints = [joint for joint in MPII16.joints if joint not in ("pelvis", "thorax")]
    drawn = draw_set(tmp_path / "drawn", (2, 1), joints=joints)
    document = json.loads(drawn.annotations.read_text())
    for row in document["annotations"]:
        row["head_box"] = [10, 10, 10 + 30, 10 + 40]  # its size is 0.6 times 50
    drawn.annotations.write_text(json.dumps(document))
    source, skeleton = read_coco(drawn.annotations, drawn.images), Skeleton("mine", tuple(joints))
    runtime = ColorRuntime(ModelSpec("colors", skeleton, (128, 96), decoder="dark"), joint_colors(len(joints)))
    straight, off = (
        evaluate_given_boxes(source, runtime, PredictOptions(), protocol=Protocol("x", size="head", head_bias_px=bias))
        for bias in (0.0, 40.0)
    )
    assert straight.pck(0.1) > 0.9
    assert off.pck(0.5) == 0
    np.testing.assert_allclose(np.median(off.errors), np.hypot(40, 40) / 30, rtol=0.02)
    assert off.scores == straight.scores


def test_pictures_are_let_go_as_soon_as_their_batch_is_done(tmp_path, monkeypatch):
    """However many there are, only those of a batch are held, so that memory does not grow with the set."""
    drawn = draw_set(tmp_path / "drawn", (1,) * 12)
    seen, alive = [], []

    def read(path, image_hw, upright):
        alive.append(sum(picture() is not None for picture in seen))
        image = read_labelled(path, image_hw, upright)
        seen.append(weakref.ref(image))
        return image

    monkeypatch.setattr("lightpose.evaluate.evaluation.read_labelled", read)
    runtime = ColorRuntime(ModelSpec("colors", COCO17, (64, 48)))
    source = read_coco(drawn.annotations, drawn.images)
    evaluate_given_boxes(source, runtime, PredictOptions(batch=2))
    evaluate_detections(source, given(source), runtime, PredictOptions(batch=2))
    assert len(alive) == 24
    assert max(alive) <= 2
