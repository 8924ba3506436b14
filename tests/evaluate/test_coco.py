"""COCO's keypoint figures against pycocotools."""

import contextlib
import copy
import io
import json

import numpy as np
import pytest

pytest.importorskip("faster_coco_eval")
pycocotools_coco = pytest.importorskip("pycocotools.coco")
from pycocotools.cocoeval import COCOeval  # noqa: E402

from lightpose.data.coco import read_coco  # noqa: E402
from lightpose.errors import SkeletonError  # noqa: E402
from lightpose.evaluate.coco import (  # noqa: E402
    CocoScores,
    Evaluation,
    coco_rows,
    evaluate_given_boxes,
    predict_persons,
    score_rows,
    suppress,
)
from lightpose.predict import PredictOptions  # noqa: E402
from lightpose.skeletons import COCO17, LSP14, Skeleton  # noqa: E402
from lightpose.types import Boxes, ModelSpec, Poses  # noqa: E402
from tests.helpers import ColorRuntime, draw_set, joint_colors  # noqa: E402

JOINTS = list(COCO17.joints)


def oracle(document, rows, sigmas=None):
    """The ten figures as pycocotools gives them."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = pycocotools_coco.COCO()
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


def test_the_reference_results_have_their_known_figures(real_data):
    folder = real_data / "eval_fixtures"
    rows = json.loads((folder / "keypoints_dt.json").read_text())
    scores = score_rows(read_coco(folder / "keypoints_gt.json", folder), rows, COCO17)
    expected = [0.504884, 0.722772, 0.633663, 0.466337, 0.750495, 0.518182, 0.727273, 0.636364, 0.466667, 0.75]
    assert figures(scores) == pytest.approx(expected, abs=6e-7)


def test_perturbed_truth_of_many_real_people_scores_as_in_pycocotools(real_data):
    path = real_data / "eval_fixtures" / "val2017_part_gt.json"
    document = json.loads(path.read_text())
    rows = random_rows(np.random.default_rng(0), document)
    assert figures(score_rows(read_coco(path, path.parent), rows, COCO17)) == pytest.approx(
        oracle(document, rows), abs=1e-6
    )


@pytest.mark.parametrize("seed", range(8))
def test_random_results_score_as_in_pycocotools(tmp_path, seed):
    generator = np.random.default_rng(seed)
    document = random_document(generator)
    rows = random_rows(generator, document)
    found = figures(score_rows(source_of(tmp_path, document), rows, COCO17))
    assert found == pytest.approx(oracle(document, rows), abs=1e-6)
    assert 0 < found[0] < 1


def test_joints_beyond_the_skeleton_are_left_out_on_both_sides(tmp_path):
    """A set of 19 shuffled joints, scored in COCO's 17; the oracle gets files cut and sorted by hand."""
    generator = np.random.default_rng(20)
    shuffled = [str(name) for name in generator.permutation([*JOINTS, "neck", "head_top"])]
    document = random_document(generator, joints=shuffled)
    by_hand = copy.deepcopy(document)
    by_hand["categories"][0]["keypoints"] = JOINTS
    places = [shuffled.index(joint) for joint in JOINTS]
    for row in by_hand["annotations"]:
        triples = [row["keypoints"][3 * place : 3 * place + 3] for place in places]
        row["keypoints"] = [value for triple in triples for value in triple]
        row["num_keypoints"] = sum(triple[2] > 0 for triple in triples)
    rows = random_rows(generator, by_hand)
    found = figures(score_rows(source_of(tmp_path, document), rows, COCO17))
    assert found == pytest.approx(oracle(by_hand, rows), abs=1e-6)


def test_joints_beyond_the_set_are_left_out_on_both_sides(tmp_path):
    """COCO's 17 joints, scored on results of LSP's 14, of which neck and head top have no truth."""
    generator = np.random.default_rng(21)
    document = random_document(generator)
    shared = [joint for joint in LSP14.joints if joint in JOINTS]
    assert len(shared) == 12
    by_hand = copy.deepcopy(document)
    by_hand["categories"][0]["keypoints"] = shared
    for row in by_hand["annotations"]:
        triples = np.array(row["keypoints"]).reshape(17, 3)[[JOINTS.index(joint) for joint in shared]]
        row["keypoints"], row["num_keypoints"] = triples.ravel().tolist(), int((triples[:, 2] > 0).sum())
    rows_by_hand = random_rows(generator, by_hand)
    rows = copy.deepcopy(rows_by_hand)
    for row in rows:
        full = generator.uniform(0, 600, (14, 3))
        full[[LSP14.joints.index(joint) for joint in shared]] = np.array(row["keypoints"]).reshape(12, 3)
        row["keypoints"] = full.ravel().tolist()
    sigmas = [LSP14.sigmas[LSP14.joints.index(joint)] for joint in shared]
    found = figures(score_rows(source_of(tmp_path, document), rows, LSP14))
    assert found == pytest.approx(oracle(by_hand, rows_by_hand, sigmas), abs=1e-6)


def test_other_categories_and_another_number_for_people_change_nothing(tmp_path):
    """The figures are of people alone: a dog in the file, which nobody looked for, is no category with an AP of 0."""
    generator = np.random.default_rng(22)
    document = random_document(generator)
    rows = random_rows(generator, document)
    expected = oracle(document, rows)
    dog = {**document["annotations"][0], "id": 10_000, "category_id": 3}
    document["annotations"] = [{**row, "category_id": 8} for row in document["annotations"]] + [dog]
    document["categories"] = [{"id": 3, "name": "dog"}, {**document["categories"][0], "id": 8}]
    assert figures(score_rows(source_of(tmp_path, document), rows, COCO17)) == pytest.approx(expected, abs=1e-6)


def test_the_truth_itself_scores_one(drawn):
    source = read_coco(drawn.annotations, drawn.images)
    rows = [
        {"image_id": row["image_id"], "category_id": 1, "keypoints": row["keypoints"], "score": 1.0}
        for row in source.document["annotations"]
    ]
    scores = score_rows(source, rows, COCO17)
    assert (scores.ap, scores.ap50, scores.ap75, scores.ar, scores.ap_medium) == pytest.approx((1,) * 5)
    assert scores.ap_large == -1, "there are no large people to measure"


def test_without_results_every_figure_is_zero(drawn):
    assert figures(score_rows(read_coco(drawn.annotations, drawn.images), [], COCO17)) == [0.0] * 10


def test_inputs_are_left_alone(tmp_path):
    generator = np.random.default_rng(23)
    document = random_document(generator, pictures=3)
    rows = random_rows(generator, document)
    source, before = source_of(tmp_path, document), copy.deepcopy(rows)
    score_rows(source, rows, COCO17)
    assert rows == before
    assert source.document == json.loads((tmp_path / "truth.json").read_text())


@pytest.mark.parametrize("empty", [True, False])
def test_a_skeleton_that_shares_no_joint_is_refused(drawn, empty):
    source = read_coco(drawn.annotations, drawn.images)
    rows = [] if empty else [{"image_id": 1, "category_id": 1, "keypoints": [0, 0, 0], "score": 1.0}]
    with pytest.raises(SkeletonError, match="no joint of skeleton 'tail'"):
        score_rows(source, rows, Skeleton("tail", ("tail",)))


def poses_at(points, scores):
    keypoints = np.concatenate([points, np.full((*points.shape[:2], 1), 0.5)], -1).astype(np.float32)
    boxes = Boxes(np.tile(np.array([[0, 0, 100, 100]], np.float32), (len(points), 1)))
    return Poses(keypoints, np.array(scores, np.float32), boxes, COCO17)


def test_a_row_holds_a_persons_triples_and_score():
    points = np.arange(2 * 17 * 2).reshape(2, 17, 2) + 0.123456
    rows = coco_rows(5, poses_at(points, [0.25, 0.75]))
    assert [(row["image_id"], row["category_id"], row["score"]) for row in rows] == [(5, 1, 0.25), (5, 1, 0.75)]
    assert rows[1]["keypoints"][:6] == pytest.approx([34.1235, 35.1235, 0.5, 36.1235, 37.1235, 0.5], abs=1e-6)
    json.dumps(rows)
    assert [row["score"] for row in coco_rows(5, poses_at(points, [0.25, 0.75]), kept=[1])] == [0.75]
    assert coco_rows(5, poses_at(points[:0], [])) == []


def test_near_equal_poses_are_suppressed_best_first():
    """OKS-NMS at 0.9: a tenth of a pixel is the same person, thirty pixels are another."""
    first = np.random.default_rng(0).uniform(0, 100, (17, 2))
    points = np.stack([first, first + 30, first + 0.1])
    assert suppress(poses_at(points, [0.3, 0.9, 0.5])).tolist() == [1, 2]
    assert suppress(poses_at(points[:0], [])).tolist() == []


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


ZEROS = CocoScores(*[0.0] * 10)


def test_pck_is_the_share_of_labelled_joints_within_reach():
    nan = float("nan")
    evaluation = Evaluation(ZEROS, np.array([[0.02, 0.1, nan], [0.3, nan, 0.1001]]))
    assert evaluation.pck() == 2 / 4
    assert evaluation.pck(0.01) == 0
    assert evaluation.pck(0.3) == 1


@pytest.mark.parametrize("errors", [np.full((2, 3), np.nan), np.zeros((0, 3))])
def test_pck_is_not_a_number_if_nothing_is_labelled(errors):
    assert np.isnan(Evaluation(ZEROS, errors).pck())
