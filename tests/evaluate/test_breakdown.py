"""Kinds of error against a plain loop and by hand, and the AP of each joint against the library's."""

import math

import numpy as np
import pytest

pytest.importorskip("faster_coco_eval")
pytest.importorskip("pycocotools")

from lightpose.evaluate.breakdown import KINDS, break_down
from lightpose.evaluate.results import PoseResults
from lightpose.evaluate.scores import score_rows
from lightpose.skeletons import COCO17, LSP14, Skeleton
from tests.evaluate.oracles import random_document, random_rows, source_of


def results_of(rows, skeleton=COCO17):
    keypoints = np.array([row["keypoints"] for row in rows], float).reshape(len(rows), len(skeleton), 3)
    ids = np.array([row["image_id"] for row in rows], np.int64)
    return PoseResults(ids, keypoints, np.array([row["score"] for row in rows], float), skeleton)


def near(point, label, area, sigma):
    """Keypoint similarity; -1 where there is no label."""
    if not label[2]:
        return -1.0
    square = (point[0] - label[0]) ** 2 + (point[1] - label[1]) ** 2
    return math.exp(-square / (2 * area * (2 * sigma) ** 2))


def mean_similarity(points, person):
    seen = [k for k in range(17) if person["keypoints"][3 * k + 2]]
    labels = np.array(person["keypoints"]).reshape(17, 3)
    return sum(near(points[k], labels[k], person["area"], COCO17.sigmas[k]) for k in seen) / len(seen)


def loop_kinds(document, rows):
    """Counts (17, 5): match greedily at an OKS of 0.1, then give each joint to its nearest label, one by one."""
    counts, found = np.zeros((17, 5), int), 0
    for image in document["images"]:
        people = [row for row in document["annotations"] if row["image_id"] == image["id"]]
        real = [row for row in people if any(row["keypoints"][2::3]) and not row["iscrowd"]]
        poses = sorted((row for row in rows if row["image_id"] == image["id"]), key=lambda row: -row["score"])[:20]
        free = list(real)
        for pose in poses:
            points = np.array(pose["keypoints"]).reshape(17, 3)
            able = [person for person in free if mean_similarity(points, person) >= 0.1]
            if not able:
                continue
            own = max(able, key=lambda person: mean_similarity(points, person))
            free.remove(own)
            found += 1
            for k, mirror in enumerate(COCO17.flip_order):
                if not own["keypoints"][3 * k + 2]:
                    continue
                best, kind = -1.0, None
                for person in [own, *(other for other in people if other is not own)]:
                    for joint in (k, mirror):
                        label = person["keypoints"][3 * joint : 3 * joint + 3]
                        alike = near(points[k], label, person["area"], COCO17.sigmas[k])
                        if alike > best:
                            best = alike
                            kind = "swap" if person is not own else "inversion" if joint != k else "own"
                if best < 0.5:
                    kind = "miss"
                elif kind == "own":
                    kind = "good" if best >= 0.85 else "jitter"
                counts[k, KINDS.index(kind)] += 1
    return counts, found


@pytest.mark.parametrize("seed", range(3))
def test_kinds_of_random_results_equal_a_plain_loops(tmp_path, seed):
    generator = np.random.default_rng(200 + seed)
    document = random_document(generator)
    for row in document["annotations"]:  # crowded: much is near somebody else
        points = np.array(row["keypoints"]).reshape(17, 3)
        points[:, :2] *= np.where(points[:, 2:] > 0, 0.3, 1)
        row["keypoints"], row["bbox"] = points.ravel().tolist(), [0.3 * value for value in row["bbox"]]
    rows = [{**row, "score": float(generator.random())} for row in random_rows(generator, document)]
    found = break_down(source_of(tmp_path, document), results_of(rows))
    expected, people = loop_kinds(document, rows)
    np.testing.assert_array_equal(found.counts, expected)
    assert found.found == people
    assert (found.counts.sum(0) > 0).all(), "every kind of error is in this case"
    np.testing.assert_allclose(found.shares.sum(1), 1)
    np.testing.assert_allclose(found.overall.sum(), 1)


def test_the_ap_of_each_joint_is_the_librarys_on_a_set_of_that_joint(tmp_path):
    generator = np.random.default_rng(210)
    document = random_document(generator, pictures=6)
    rows = random_rows(generator, document)
    source = source_of(tmp_path, document)
    found = break_down(source, results_of(rows))
    for joint in (0, 5, 10, 16):
        alone = Skeleton("alone", (COCO17.joints[joint],), sigmas=(COCO17.sigmas[joint],))
        cut = [{**row, "keypoints": row["keypoints"][3 * joint : 3 * joint + 3]} for row in rows]
        assert found.ap[joint] == pytest.approx(score_rows(source, cut, alone).ap, abs=1e-9)


def test_joints_are_matched_by_name(tmp_path):
    generator = np.random.default_rng(211)
    document = random_document(generator, pictures=4)
    rows = random_rows(generator, document)
    source, results = source_of(tmp_path, document), results_of(rows)
    whole = break_down(source, results)
    places = [COCO17.joints.index(joint) for joint in LSP14.joints[:12]]
    keypoints = results.keypoints[:, [*places, 0, 0]]  # the last two are neck and head top, which the set does not know
    cut = break_down(source, PoseResults(results.image_ids, keypoints, results.scores, LSP14))
    assert cut.joints == LSP14.joints[:12]
    np.testing.assert_allclose(cut.ap, whole.ap[places])


PAIR = Skeleton("pair", ("nose", "left_hand", "right_hand"), sigmas=(0.1, 0.1, 0.1))
AREA = 100.0  # similarity exp(-d² / 8): 0.8825 one pixel off, 0.6065 two, 0.0439 five


def hand_made(tmp_path, points, hidden=()):
    """One person, nose (20, 20), left hand (40, 40), right hand (60, 40), beside another 100 to the right."""
    labels = np.array([[20, 20, 2], [40, 40, 2], [60, 40, 2]])
    people = []
    for number, shift in enumerate([0, 100]):
        triples = labels + np.array([shift, 0, 0])
        triples[[*hidden] if shift == 0 else [], 2] = 0
        about = {"id": number + 1, "image_id": 1, "category_id": 1, "bbox": [20 + shift, 20, 40, 20], "area": AREA}
        people.append({**about, "iscrowd": 0, "keypoints": triples.ravel().tolist()})
    category = {"id": 1, "name": "person", "keypoints": list(PAIR.joints)}
    images = [{"id": 1, "file_name": "1.jpg", "height": 200, "width": 200}]
    source = source_of(tmp_path, {"images": images, "annotations": people, "categories": [category]})
    row = {"image_id": 1, "keypoints": [value for point in points for value in (*point, 1)], "score": 1.0}
    return break_down(source, results_of([row], PAIR))


@pytest.mark.parametrize(
    ("hand", "kind"),
    [
        ((41, 40), "good"),
        ((42, 40), "jitter"),
        ((45, 40), "miss"),
        ((61, 40), "inversion"),
        ((140, 41), "swap"),
        ((161, 40), "swap"),
        ((120, 20), "miss"),  # at the other's nose
    ],
)
def test_where_a_hand_is_found_tells_the_kind(tmp_path, hand, kind):
    found = hand_made(tmp_path, [(20, 20), hand, (60, 40)])
    expected = np.zeros((3, 5), int)
    expected[[0, 2], 0] = 1
    expected[1, KINDS.index(kind)] = 1
    np.testing.assert_array_equal(found.counts, expected)
    assert (found.persons, found.found, found.poses, found.astray) == (2, 1, 1, 0)


def test_a_joint_without_a_label_is_not_counted(tmp_path):
    found = hand_made(tmp_path, [(20, 20), (60, 40), (60, 40)], hidden=[1])
    assert found.counts.sum(1).tolist() == [1, 0, 1]
    assert np.isnan(found.shares[1]).all()


def test_a_pose_far_from_everybody_is_astray_and_results_without_poses_are_empty(tmp_path):
    found = hand_made(tmp_path, [(20, 150), (40, 180), (60, 180)])
    assert (found.persons, found.found, found.poses, found.astray) == (2, 0, 1, 1)
    assert np.isnan(found.overall).all()
    document = random_document(np.random.default_rng(0), pictures=3)
    empty = break_down(source_of(tmp_path, document), results_of([]))
    assert (empty.found, empty.poses) == (0, 0)
    assert empty.counts.sum() == 0
    assert (empty.ap == 0).all()
