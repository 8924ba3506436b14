"""Results as pycocotools scores them: the same AP as ours, once one does what `how_to_score` says."""

import copy
import json
import re

import numpy as np
import pytest

pytest.importorskip("faster_coco_eval")
pytest.importorskip("pycocotools")

from lightpose.evaluate.results import PoseResults, how_to_score, write_results
from lightpose.evaluate.scores import score_results
from lightpose.skeletons import COCO17
from tests.evaluate.oracles import figures, oracle, random_document, source_of

FEET = [f"{side}_{part}" for side in ("left", "right") for part in ("big_toe", "small_toe", "heel")]


def noisy_results(source, network, seed=3):
    """Poses near the labelled ones, in the joints of a network; those that only it knows lie anywhere."""
    rng = np.random.default_rng(seed)
    mine, theirs = network.match(source.skeleton.joints)
    people = source.persons()
    keypoints = rng.uniform(0, 600, (len(people), len(network), 3))
    for found, person in zip(keypoints, people, strict=True):
        off = rng.choice([0.01, 0.05, 0.2]) * person.box_xywh[3]
        found[mine, :2] = person.keypoints[theirs] + rng.normal(0, off, (len(mine), 2))
    ids = np.array([person.image_id for person in people])
    return PoseResults(ids, keypoints.round(4), rng.random(len(people)).round(6), network)


def cut(document, rows, network):
    """Labels and results without the joints that the network does not know, as the printed line wants them."""
    document, rows = copy.deepcopy((document, rows))
    joints = document["categories"][0]["keypoints"]
    known = [number for number, joint in enumerate(joints) if joint in network.joints]
    for row in [*document["annotations"], *rows]:
        row["keypoints"] = np.array(row["keypoints"]).reshape(-1, 3)[known].ravel().tolist()
    for row in document["annotations"]:
        row["num_keypoints"] = sum(visible > 0 for visible in row["keypoints"][2::3])
    return document, rows


@pytest.mark.parametrize(
    ("joints", "told"),
    [
        (list(COCO17.joints), []),
        ([*COCO17.joints, *FEET], ["(left_big_toe, left_small_toe, left_heel and 3 more)"]),
        (list(COCO17.joints[5:]), ["kpt_oks_sigmas"]),
        (list(COCO17.joints[::-1]), ["kpt_oks_sigmas"]),
        (["neck", *COCO17.joints[1:]], ["(neck)", "kpt_oks_sigmas"]),
    ],
)
@pytest.mark.parametrize(("category", "image"), [(1, 0), (7, 2**40)])
def test_stock_pycocotools_gives_our_ap_if_one_does_what_is_printed(tmp_path, joints, told, category, image):
    document = random_document(np.random.default_rng(0), joints=joints)
    document["categories"][0]["id"] = category
    for row in document["annotations"]:
        row["category_id"], row["image_id"] = category, row["image_id"] + image
    for row in document["images"]:
        row["id"] += image
    source = source_of(tmp_path, document)
    results = noisy_results(source, COCO17)
    write_results(tmp_path / "r.json", results, source)
    lines = how_to_score(COCO17, source.skeleton)
    assert len(lines) == len(told)
    assert all(words in line for words, line in zip(told, lines, strict=True))
    sigmas = [json.loads(re.search(r"\[.*\]", line)[0]) for line in lines if "sigmas" in line]
    rows = json.loads((tmp_path / "r.json").read_text())
    expected = oracle(*cut(document, rows, COCO17), *sigmas)
    ours = figures(score_results(source, results))
    np.testing.assert_allclose(ours, expected, atol=1e-9)
    assert 0.1 < ours[0] < 0.95


def test_joints_that_the_network_does_not_know_are_missed_by_pycocotools_until_they_are_cut_out(tmp_path):
    document = random_document(np.random.default_rng(0), joints=[*COCO17.joints, *FEET])
    source = source_of(tmp_path, document)
    results = noisy_results(source, COCO17)
    write_results(tmp_path / "r.json", results, source)
    whole = oracle(document, json.loads((tmp_path / "r.json").read_text()), source.skeleton.sigmas)
    assert whole[0] < score_results(source, results).ap - 0.05
