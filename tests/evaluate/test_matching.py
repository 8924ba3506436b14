"""Our own matching against the library's and against COCO's evaluateImg written out."""

import copy

import numpy as np
import pytest

pytest.importorskip("faster_coco_eval")
pytest.importorskip("pycocotools")
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from lightpose.evaluate.matching import average_precision, candidates, match, read_truth
from lightpose.evaluate.results import PoseResults
from lightpose.evaluate.scores import score_rows
from lightpose.skeletons import COCO17, Skeleton
from tests.evaluate.oracles import oracle, random_document, random_rows, source_of

ALL = np.arange(17)


def results_of(rows, skeleton=COCO17):
    keypoints = np.array([row["keypoints"] for row in rows]).reshape(len(rows), len(skeleton), 3)
    ids = np.array([row["image_id"] for row in rows], np.int64)
    return PoseResults(ids, keypoints, np.array([row["score"] for row in rows], float), skeleton)


def matched(source, rows):
    truth = read_truth(source, ALL)
    return truth, match(truth, candidates(results_of(rows), truth, ALL), COCO17.sigmas)


def precision(source, rows):
    return average_precision(matched(source, rows)[1])


@pytest.mark.parametrize("seed", range(6))
def test_average_precision_of_random_results_is_the_oracles(tmp_path, seed):
    """Crowds, unlabelled people, ties, pictures with nobody, more than 20 poses in one, and over 64 pictures."""
    generator = np.random.default_rng(100 + seed)
    document = random_document(generator, pictures=12 if seed else 150)
    rows = random_rows(generator, document)
    found = precision(source_of(tmp_path, document), rows)
    expected = oracle(document, rows)
    assert [found.mean(), found[0], found[5]] == pytest.approx(expected[:3], abs=1e-9)


def test_who_is_matched_to_whom_is_what_evaluate_img_says(tmp_path, capsys):
    generator = np.random.default_rng(7)
    document = random_document(generator, pictures=10)
    rows = random_rows(generator, document)
    truth, matches = matched(source_of(tmp_path, document), rows)
    coco = COCO()
    coco.dataset = copy.deepcopy(document)
    coco.createIndex()
    judge = COCOeval(coco, coco.loadRes(copy.deepcopy(rows)), "keypoints")
    judge.params.areaRng = [[0, 1e10]]
    judge.evaluate()
    capsys.readouterr()
    by_place = {}  # COCO's ids of the people, in Truth's order
    for picture, image_id in enumerate(truth.image_ids):
        people = [row for row in document["annotations"] if row["image_id"] == image_id]
        by_place |= {(picture, row["bbox"][0]): row["id"] for row in people}
    ids = np.array([by_place[p, box] for p, box in zip(truth.picture, truth.boxes[:, 0], strict=True)])
    checked = 0
    for image in filter(None, judge.evalImgs):
        mine = matches.picture == np.searchsorted(truth.image_ids, image["image_id"])
        person = matches.person[:, mine]
        np.testing.assert_array_equal(np.where(person >= 0, ids[person], 0), image["dtMatches"])
        np.testing.assert_array_equal(matches.ignored[:, mine], image["dtIgnore"])
        np.testing.assert_array_equal(matches.hit[:, mine], (image["dtMatches"] > 0) & ~image["dtIgnore"])
        checked += person.size
    assert checked == matches.person.size
    assert matches.ignored.any()
    assert matches.hit.any()


def test_the_reference_results_have_their_known_precision(real_data):
    import json

    from lightpose.data.coco import read_coco

    folder = real_data / "eval_fixtures"
    rows = json.loads((folder / "keypoints_dt.json").read_text())
    found = precision(read_coco(folder / "keypoints_gt.json", folder), rows)
    assert [found.mean(), found[0], found[5]] == pytest.approx([0.504884, 0.722772, 0.633663], abs=6e-7)


def test_perturbed_truth_of_many_real_people_has_the_librarys_precision(real_data):
    import json

    from lightpose.data.coco import read_coco

    path = real_data / "eval_fixtures" / "val2017_part_gt.json"
    source = read_coco(path, path.parent)
    rows = random_rows(np.random.default_rng(0), json.loads(path.read_text()))
    found, expected = precision(source, rows), score_rows(source, rows, COCO17)
    assert [found.mean(), found[0], found[5]] == pytest.approx([expected.ap, expected.ap50, expected.ap75], abs=1e-9)


@pytest.mark.parametrize("joint", [0, 9, 16])
def test_one_joint_alone_scores_as_in_a_set_of_that_joint(tmp_path, joint):
    generator = np.random.default_rng(8)
    document = random_document(generator)
    rows = random_rows(generator, document)
    source = source_of(tmp_path, document)
    alone = Skeleton("alone", (COCO17.joints[joint],), sigmas=(COCO17.sigmas[joint],))
    cut = [{**row, "keypoints": row["keypoints"][3 * joint : 3 * joint + 3]} for row in rows]
    expected = score_rows(source, cut, alone)
    truth = read_truth(source, ALL).only(joint)
    found = average_precision(match(truth, candidates(results_of(rows), truth, np.array([joint])), alone.sigmas))
    assert [found.mean(), found[0], found[5]] == pytest.approx([expected.ap, expected.ap50, expected.ap75], abs=1e-9)


def person(number, image_id, x, **more):
    keypoints = [value for joint in range(17) for value in (x + joint, 50.0 + joint, 2)]
    about = {"id": number, "image_id": image_id, "category_id": 1, "bbox": [x, 50.0, 17.0, 17.0], "area": 400.0}
    return {**about, "iscrowd": 0, "num_keypoints": 17, "keypoints": keypoints, **more}


def row_of(image_id, x, score):
    return {"image_id": image_id, "category_id": 1, "keypoints": person(0, 1, x)["keypoints"], "score": score}


def set_of(*people, pictures=2):
    images = [{"id": n, "file_name": f"{n}.jpg", "height": 200, "width": 200} for n in range(1, pictures + 1)]
    category = {"id": 1, "name": "person", "keypoints": list(COCO17.joints)}
    return {"images": images, "annotations": list(people), "categories": [category]}


def test_a_hand_made_case(tmp_path):
    """Two people; found, missed by far, found: precision 1 up to recall 1/2, and 2/3 from there on."""
    source = source_of(tmp_path, set_of(person(1, 1, 10.0), person(2, 2, 20.0)))
    rows = [row_of(1, 10.0, 0.9), row_of(1, 150.0, 0.8), row_of(2, 20.0, 0.7)]
    expected = (51 * 1 + 50 * 2 / 3) / 101
    np.testing.assert_allclose(precision(source, rows), np.full(10, expected), rtol=1e-12)


def test_weights_count_a_picture_so_many_times(tmp_path):
    """The same with the first picture thrice: found three times, missed three times, found once, of four people."""
    source = source_of(tmp_path, set_of(person(1, 1, 10.0), person(2, 2, 20.0)))
    rows = [row_of(1, 10.0, 0.9), row_of(1, 150.0, 0.8), row_of(2, 20.0, 0.7)]
    matches = matched(source, rows)[1]
    weighted = average_precision(matches, np.array([[3, 1], [0, 2], [2, 0], [1, 1]]))
    expected = [(76 * 1 + 25 * 4 / 7) / 101, 1, 1, (51 * 1 + 50 * 2 / 3) / 101]
    np.testing.assert_allclose(weighted, np.tile(expected, (10, 1)).T, rtol=1e-12)


def test_a_pose_in_a_crowd_is_neither_right_nor_wrong_however_many_there_are(tmp_path):
    crowd = person(2, 1, 100.0, iscrowd=1)
    source = source_of(tmp_path, set_of(person(1, 1, 10.0), crowd, pictures=1))
    rows = [row_of(1, 100.0, 0.9), row_of(1, 100.0, 0.8), row_of(1, 10.0, 0.7)]
    truth, matches = matched(source, rows)
    assert matches.ignored[0].tolist() == [True, True, False]
    assert truth.ignored.tolist() == [False, True]
    np.testing.assert_allclose(average_precision(matches), 1)


def test_nobody_labelled_has_no_precision_and_nobody_found_none_at_all(tmp_path):
    nobody = source_of(tmp_path, set_of())
    assert np.isnan(precision(nobody, [row_of(1, 10.0, 0.9)])).all()
    somebody = source_of(tmp_path, set_of(person(1, 1, 10.0)))
    assert precision(somebody, []).tolist() == [0.0] * 10
    assert precision(somebody, [row_of(2, 10.0, 0.9)]).tolist() == [0.0] * 10
