"""COCO's keypoint figures against pycocotools."""

import copy
import json

import numpy as np
import pytest

pytest.importorskip("faster_coco_eval")
pytest.importorskip("pycocotools")

from lightpose.data.coco import read_coco
from lightpose.errors import DataError, SkeletonError
from lightpose.evaluate.scores import score_rows
from lightpose.skeletons import COCO17, LSP14, Skeleton
from tests.evaluate.oracles import JOINTS, figures, oracle, random_document, random_rows, source_of


def test_the_reference_results_have_their_known_figures(real_data):
    folder = real_data / "eval_fixtures"
    rows = json.loads((folder / "keypoints_dt.json").read_text())
    scores = score_rows(read_coco(folder / "keypoints_gt.json", folder), rows, COCO17)
    expected = [0.504884, 0.722772, 0.633663, 0.466337, 0.750495, 0.518182, 0.727273, 0.636364, 0.466667, 0.75]
    assert figures(scores) == pytest.approx(expected, abs=6e-7)


@pytest.mark.slow
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


def test_custom_sigmas_score_as_in_pycocotools(tmp_path):
    """A skeleton of one's own with other names, sigmas and number of joints."""
    generator = np.random.default_rng(24)
    tail = Skeleton("dog", ("nose", "left_paw", "right_paw", "tail"), sigmas=(0.02, 0.1, 0.1, 0.3))
    document = random_document(generator, joints=list(tail.joints))
    rows = random_rows(generator, document)
    found = figures(score_rows(source_of(tmp_path, document), rows, tail))
    assert found == pytest.approx(oracle(document, rows, tail.sigmas), abs=1e-6)
    default = figures(score_rows(source_of(tmp_path, document), rows, Skeleton("dog", tail.joints)))
    assert abs(found[0] - default[0]) > 0.005


def test_the_order_of_the_rows_is_nothing_where_no_scores_are_equal(tmp_path):
    generator = np.random.default_rng(25)
    document = random_document(generator)
    rows = [{**row, "score": float(generator.random())} for row in random_rows(generator, document)]
    shuffled = [rows[number] for number in generator.permutation(len(rows))]
    source = source_of(tmp_path, document)
    assert score_rows(source, rows, COCO17) == score_rows(source, shuffled, COCO17)
    assert figures(score_rows(source, shuffled, COCO17)) == pytest.approx(oracle(document, rows), abs=1e-6)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"image_id": 4711}, "result 1 belongs to image 4711, which is not in"),
        ({"image_id": [1]}, r"result 1 belongs to image \[1\], which is not in"),
        ({"image_id": "one"}, "result 1 belongs to image one, which is not in"),
        ({"keypoints": [1.0] * 50}, r"result 1 must have 17 keypoints of three numbers \(x, y, score\)"),
        ({"keypoints": 3}, "result 1 must have 17 keypoints"),
        ({"keypoints": ["far"] * 51}, "a result holds something that is not a number"),
        ({"keypoints": [10**400] * 51}, "a result holds something that is not a number"),
        ({"keypoints": [float("nan")] * 51}, "result 1 holds a number that is NaN or infinite"),
        ({"score": float("inf")}, "result 1 holds a number that is NaN or infinite"),
        ({"score": None}, "result 1 holds a number that is NaN or infinite"),
        ({"score": [0.5, 0.5]}, "a result holds something that is not a number"),
    ],
)
def test_a_row_that_cannot_be_scored_is_refused_in_a_sentence(drawn, change, complaint):
    row = {"image_id": 1, "category_id": 1, "keypoints": [1.0] * 51, "score": 1.0}
    with pytest.raises(DataError, match=complaint):
        score_rows(read_coco(drawn.annotations, drawn.images), [row, {**row, **change}], COCO17)


@pytest.mark.parametrize("row", [7, {"image_id": 1, "score": 1.0}, {"keypoints": [0.0] * 51, "score": 1.0}])
def test_a_row_without_its_parts_is_refused_in_a_sentence(drawn, row):
    with pytest.raises(DataError, match="result 0 must be an object with image_id, keypoints and score"):
        score_rows(read_coco(drawn.annotations, drawn.images), [row], COCO17)
