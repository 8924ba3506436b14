"""Results as arrays, and the files that COCO's tools and its server read."""

import json
import zipfile

import numpy as np
import pytest

from lightpose.data.coco import read_coco
from lightpose.errors import SkeletonError
from lightpose.evaluate.results import PoseResults, join, of_picture, write_results, write_submission
from lightpose.results import Boxes, Poses
from lightpose.skeletons import COCO17, LSP14, Skeleton
from tests.helpers import draw_set


def poses(count, skeleton=COCO17, seed=0):
    rng = np.random.default_rng(seed)
    keypoints = rng.uniform(0, 100, (count, len(skeleton), 3)).astype(np.float32)
    boxes = Boxes(np.tile(np.array([[0, 0, 9, 9]], np.float32), (count, 1)))
    return Poses(keypoints, rng.random(count).astype(np.float32), boxes, skeleton)


def test_a_picture_keeps_what_is_kept_in_that_order_rounded():
    found = poses(3)
    results = of_picture(7, found, np.array([2, 0]))
    assert results.image_ids.tolist() == [7, 7]
    np.testing.assert_allclose(results.keypoints, found.keypoints[[2, 0]], atol=5.1e-5)
    np.testing.assert_array_equal(results.keypoints, np.round(results.keypoints, 4))
    np.testing.assert_allclose(results.scores, found.scores[[2, 0]], atol=5.1e-7)


def test_results_join_in_their_order_and_nothing_joins_to_nothing():
    parts = [of_picture(number, poses(number, seed=number), np.arange(number)) for number in (2, 0, 1)]
    whole = join(parts, COCO17)
    assert whole.image_ids.tolist() == [2, 2, 1]
    np.testing.assert_array_equal(whole.keypoints[2], parts[2].keypoints[0])
    empty = join([], COCO17)
    assert (len(empty), empty.keypoints.shape, empty.rows(COCO17.joints)) == (0, (0, 17, 3), [])


def test_the_best_of_each_picture_by_falling_score():
    scores = np.array([0.1, 0.9, 0.5, 0.5, 0.2, 0.5])
    ids = np.array([3, 1, 3, 3, 1, 3])
    whole = PoseResults(ids, np.arange(6.0)[:, None, None] * np.ones((6, 17, 3)), scores, COCO17)
    best = whole.best(2)
    assert best.image_ids.tolist() == [1, 1, 3, 3]
    assert best.keypoints[:, 0, 0].tolist() == [1, 4, 2, 3], "of equal scores the first"
    assert len(whole.best(20)) == 6


def test_written_results_are_in_the_data_sets_joints_and_number_for_people(tmp_path):
    joints = ["neck", "left_ankle", "tail", "head_top"]
    drawn = draw_set(tmp_path / "drawn", (1,), joints=["neck", "left_ankle", "nose", "head_top"])
    document = json.loads(drawn.annotations.read_text())
    document["categories"] = [{"id": 5, "name": "person", "keypoints": joints}]
    for row in document["annotations"]:
        row["category_id"] = 5
    drawn.annotations.write_text(json.dumps(document))
    source = read_coco(drawn.annotations, drawn.images)
    results = of_picture(1, poses(2, LSP14), np.arange(2))
    write_results(tmp_path / "r.json", results, source)
    rows = json.loads((tmp_path / "r.json").read_text())
    assert [(row["image_id"], row["category_id"]) for row in rows] == [(1, 5), (1, 5)]
    assert [row["score"] for row in rows] == results.scores.tolist()
    triples = np.array(rows[1]["keypoints"]).reshape(4, 3)
    for place, joint in enumerate(joints):
        expected = results.keypoints[1, LSP14.joints.index(joint)] if joint != "tail" else np.zeros(3)
        np.testing.assert_array_equal(triples[place], expected)


@pytest.mark.parametrize(
    ("annotations", "zipped", "member"),
    [
        ("image_info_test-dev2017.json", "mine.zip", "person_keypoints_test-dev2017_mine_results.json"),
        ("person_keypoints_val2017.json", "lpn 50_v2.zip", "person_keypoints_val2017_lpn-50-v2_results.json"),
        ("people.json", "--.zip", "person_keypoints_test-dev2017_lightpose_results.json"),
    ],
)
def test_a_submission_is_a_zip_with_one_file_under_the_servers_name(tmp_path, drawn, annotations, zipped, member):
    source = read_coco(drawn.annotations.rename(tmp_path / annotations), drawn.images)
    results = of_picture(139, poses(3), np.arange(3))
    assert write_submission(tmp_path / zipped, results, source) == member
    with zipfile.ZipFile(tmp_path / zipped) as archive:
        assert archive.namelist() == [member]
        rows = json.loads(archive.read(member))
    assert [sorted(row) for row in rows] == [["category_id", "image_id", "keypoints", "score"]] * 3
    assert {(row["image_id"], row["category_id"], len(row["keypoints"])) for row in rows} == {(139, 1, 51)}
    np.testing.assert_array_equal(np.array(rows[2]["keypoints"]).reshape(17, 3), results.keypoints[2])


def test_a_submission_is_in_cocos_order_whatever_the_networks(tmp_path, drawn):
    backwards = Skeleton("backwards", ("tail", *COCO17.joints[::-1]))
    results = of_picture(1, poses(1, backwards), np.arange(1))
    member = write_submission(tmp_path / "a.zip", results, read_coco(drawn.annotations, drawn.images))
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        triples = np.array(json.loads(archive.read(member))[0]["keypoints"]).reshape(17, 3)
    np.testing.assert_array_equal(triples, results.keypoints[0, :0:-1])


def test_a_network_without_cocos_joints_has_no_submission(tmp_path, drawn):
    results = of_picture(1, poses(1, LSP14), np.arange(1))
    with pytest.raises(SkeletonError, match="17 joints, but the network does not know nose, left_eye"):
        write_submission(tmp_path / "a.zip", results, read_coco(drawn.annotations, drawn.images))
    assert not (tmp_path / "a.zip").exists()
