"""OKS against pycocotools, suppression and person scores against plain loops."""

import math

import numpy as np
import pytest

from lightpose.ops.oks import oks, oks_nms, person_scores, similarity, soft_oks_nms
from lightpose.skeletons import COCO17

SIGMAS = np.array(COCO17.sigmas)


def loop_oks(a, b, area, sigmas, counted):
    """COCO's formula for two poses, joint by joint."""
    terms = []
    for (ax, ay), (bx, by), sigma, use in zip(a, b, sigmas, counted, strict=True):
        if use:
            terms.append(math.exp(-((ax - bx) ** 2 + (ay - by) ** 2) / (2 * area * (2 * sigma) ** 2)))
    return sum(terms) / len(terms) if terms else 0.0


def loop_nms(keypoints, scores, areas, sigmas, threshold):
    """Keep a pose unless one kept before it is too near."""
    kept = []
    for i in sorted(range(len(scores)), key=lambda i: -scores[i]):
        everything = [True] * len(sigmas)
        near = (
            loop_oks(keypoints[j][:, :2], keypoints[i][:, :2], (areas[i] + areas[j]) / 2, sigmas, everything)
            for j in kept
        )
        if all(similarity <= threshold for similarity in near):
            kept.append(i)
    return kept


def loop_soft_nms(keypoints, scores, areas, sigmas, threshold):
    """Take the best left, lower the rest by how near they are, twenty times."""
    lowered, kept = [float(score) for score in scores], []
    left = list(range(len(scores)))
    while left and len(kept) < 20:
        best = max(left, key=lambda i: lowered[i])
        left.remove(best)
        kept.append(best)
        for i in left:
            area, everything = (areas[i] + areas[best]) / 2, [True] * len(sigmas)
            near = loop_oks(keypoints[best][:, :2], keypoints[i][:, :2], area, sigmas, everything)
            lowered[i] *= math.exp(-(near**2) / threshold)
    return kept


def crowd(seed, people=12, originals=4):
    """Poses of which many are shaken copies of a few."""
    rng = np.random.default_rng(seed)
    base = rng.uniform(0, 200, (originals, 17, 2))[rng.integers(0, originals, people)]
    points = base + rng.normal(0, 3, base.shape) * rng.uniform(0, 2, (people, 1, 1))
    scores = rng.uniform(0, 1, people).astype(np.float32)
    return np.concatenate([points, rng.uniform(0, 1, (people, 17, 1))], -1), scores, rng.uniform(1e3, 4e4, people)


def test_oks_equals_a_plain_loop():
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0, 50, (3, 17, 2)), rng.uniform(0, 50, (4, 17, 2))
    areas, counted = rng.uniform(500, 5000, 4), rng.uniform(size=(4, 17)) < 0.6
    counted[2] = False
    expected = [[loop_oks(p, b[m], areas[m], SIGMAS, counted[m]) for m in range(4)] for p in a]
    np.testing.assert_allclose(oks(a, b, areas, SIGMAS, counted), expected, rtol=1e-9, atol=1e-300)


def test_oks_equals_pycocotools(capsys):
    coco = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    rng = np.random.default_rng(1)
    labelled = np.dstack([rng.uniform(0, 300, (5, 17, 2)), rng.integers(0, 3, (5, 17, 1))])
    labelled[:, 0, 2] = 2
    found = np.dstack([labelled[[4, 0, 2], :, :2] + rng.normal(0, 6, (3, 17, 2)), np.ones((3, 17, 1))])
    areas = rng.uniform(2e3, 2e4, 5)

    def rows(poses, extra):
        each = zip(poses.reshape(len(poses), -1).tolist(), extra, strict=True)
        return [{"image_id": 1, "category_id": 1, "keypoints": keypoints, **more} for keypoints, more in each]

    truth = coco.COCO()
    common = {"iscrowd": 0, "num_keypoints": 17, "bbox": [0, 0, 9, 9]}
    truth.dataset = {
        "images": [{"id": 1}],
        "categories": [{"id": 1}],
        "annotations": rows(labelled, [{"id": n + 1, "area": a, **common} for n, a in enumerate(areas)]),
    }
    truth.createIndex()
    judge = cocoeval.COCOeval(truth, truth.loadRes(rows(found, [{"score": s} for s in (0.9, 0.8, 0.7)])), "keypoints")
    judge._prepare()
    expected = judge.computeOks(1, 1)
    capsys.readouterr()
    assert expected.max() > 0.3
    np.testing.assert_allclose(oks(found[..., :2], labelled[..., :2], areas, SIGMAS, labelled[..., 2] > 0), expected)


def test_oks_of_a_hand_worked_pose():
    """One joint right, one off by 2·sigma·sqrt(2·area): exp(0) and exp(-1)."""
    off = 2 * 0.05 * math.sqrt(2 * 100)
    similarity = oks([[[0, 0], [off, 0]]], [[[0, 0], [0, 0]]], [100], [0.05, 0.05], [[True, True]])
    assert similarity.item() == pytest.approx((1 + math.exp(-1)) / 2)


def test_oks_of_a_pose_with_itself_is_one_and_of_no_counted_joint_zero():
    pose = np.random.default_rng(2).uniform(0, 9, (1, 17, 2))
    both = oks(pose, np.concatenate([pose, pose]), [50, 50], SIGMAS, [[True] * 17, [False] * 17])
    assert both.tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 3), (3, 0)])
def test_oks_of_nobody_is_empty(n, m):
    found = oks(np.zeros((n, 17, 2)), np.zeros((m, 17, 2)), np.ones(m), SIGMAS, np.ones((m, 17), bool))
    assert found.shape == (n, m)


@pytest.mark.parametrize("threshold", [0.3, 0.9])
@pytest.mark.parametrize("seed", range(6))
def test_nms_equals_a_plain_loop(seed, threshold):
    poses, scores, areas = crowd(seed)
    kept = oks_nms(poses, scores, areas, SIGMAS, threshold)
    assert kept.tolist() == loop_nms(poses, scores, areas, SIGMAS, threshold)


@pytest.mark.parametrize("threshold", [0.3, 0.9])
@pytest.mark.parametrize(("seed", "people"), [(0, 12), (1, 12), (2, 20), (3, 45), (4, 45)])
def test_soft_nms_equals_a_plain_loop(seed, people, threshold):
    poses, scores, areas = crowd(seed, people)
    kept = soft_oks_nms(poses, scores, areas, SIGMAS, threshold)
    assert kept.tolist() == loop_soft_nms(poses, scores, areas, SIGMAS, threshold)
    assert len(kept) == min(people, 20)


def test_soft_nms_puts_a_double_behind_a_worse_pose_elsewhere():
    base = np.random.default_rng(4).uniform(0, 100, (17, 3))
    poses = np.stack([base, base, base + 500])
    scores, areas = np.array([0.9, 0.8, 0.5]), np.full(3, 2000.0)
    assert soft_oks_nms(poses, scores, areas, SIGMAS).tolist() == [0, 2, 1]  # 0.8 · exp(-1 / 0.9) = 0.26
    assert scores.tolist() == [0.9, 0.8, 0.5]


@pytest.mark.parametrize("people", [0, 1])
def test_soft_nms_keeps_nobody_and_one(people):
    kept = soft_oks_nms(np.zeros((people, 17, 3)), np.zeros(people), np.ones(people), SIGMAS)
    assert kept.tolist() == list(range(people))
    assert kept.dtype == np.intp


def test_similarity_is_what_oks_is_the_mean_of():
    rng = np.random.default_rng(5)
    a, b, areas = rng.uniform(0, 50, (6, 17, 2)), rng.uniform(0, 50, (6, 17, 2)), rng.uniform(500, 5000, 6)
    found = similarity(((a - b) ** 2).sum(-1), areas, SIGMAS)
    expected = [
        [loop_oks(p[[k]], q[[k]], s, SIGMAS[[k]], [True]) for k in range(17)]
        for p, q, s in zip(a, b, areas, strict=True)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_nms_drops_some_and_keeps_some_of_these_crowds():
    kept = [len(oks_nms(*crowd(seed), SIGMAS)) for seed in range(6)]
    assert min(kept) >= 1
    assert max(kept) < 12


def test_nms_leaves_its_inputs_alone_and_returns_best_first():
    given = crowd(0)
    before = [array.copy() for array in given]
    kept = oks_nms(*given, SIGMAS)
    assert all(np.array_equal(a, b) for a, b in zip(given, before, strict=True))
    assert (np.diff(given[1][kept]) <= 0).all()


def test_nms_of_equal_scores_keeps_the_first_of_equal_poses():
    poses = np.tile(np.random.default_rng(3).uniform(0, 100, (30, 17, 3)), (2, 1, 1))
    assert oks_nms(poses, np.full(60, 0.5), np.full(60, 900.0), SIGMAS).tolist() == list(range(30))


def test_nms_keeps_a_pose_at_the_threshold_itself():
    """A pose equal to the best one has OKS 1, which is not above a threshold of 1."""
    poses = np.zeros((2, 17, 3))
    assert oks_nms(poses, np.array([0.4, 0.6]), np.ones(2), SIGMAS, 1.0).tolist() == [1, 0]
    assert oks_nms(poses, np.array([0.4, 0.6]), np.ones(2), SIGMAS, 0.999).tolist() == [1]


@pytest.mark.parametrize("people", [0, 1])
def test_nms_keeps_everybody_where_nobody_can_be_double(people):
    kept = oks_nms(np.zeros((people, 17, 3)), np.zeros(people), np.ones(people), SIGMAS)
    assert kept.tolist() == list(range(people))
    assert kept.dtype == np.intp


def test_person_scores_are_box_score_times_mean_of_scores_above_the_threshold():
    scores = np.array([[0.9, 0.5, 0.1], [0.2, 0.2, 0.19], [0.25, -0.3, 0.0]], np.float32)
    keypoints = np.concatenate([np.full((3, 3, 2), 7, np.float32), scores[..., None]], -1)
    found = person_scores(keypoints, np.array([0.5, 1.0, 1.0], np.float32))
    np.testing.assert_allclose(found, [0.5 * (0.9 + 0.5) / 2, 0.0, 0.25], rtol=1e-6)
    assert found.dtype == np.float32
    np.testing.assert_allclose(person_scores(keypoints[:1], np.ones(1), threshold=0.6), [0.9], rtol=1e-6)


def test_person_scores_equal_a_plain_loop():
    """LPN's protocol: mean of the scores above 0.2, times the box's."""
    rng = np.random.default_rng(6)
    keypoints, boxes = rng.uniform(-0.2, 0.6, (40, 17, 3)).astype(np.float32), rng.random(40).astype(np.float32)
    keypoints[:5, :, 2] *= 0.3  # nobody above
    expected = []
    for pose, box in zip(keypoints, boxes, strict=True):
        sure = [float(score) for score in pose[:, 2] if score > 0.2]
        expected.append(float(box) * (sum(sure) / len(sure) if sure else 0))
    np.testing.assert_allclose(person_scores(keypoints, boxes), expected, atol=1e-6)
    assert expected.count(0) == 5


def test_person_scores_of_nobody_are_empty():
    assert person_scores(np.zeros((0, 17, 3), np.float32), np.zeros(0, np.float32)).shape == (0,)
