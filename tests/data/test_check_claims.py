"""What the check says follows from a fault, held against what refuses and scores such files."""

import copy
import json

import numpy as np
import pytest

from lightpose.data.check import check_coco, summarise
from lightpose.data.check.structure import REFUSED
from lightpose.data.coco import read_coco
from lightpose.errors import DataError
from lightpose.evaluate.scores import restrict
from tests.data.faulty import FAULTS, document, every, found, row
from tests.data.test_coco import BAD


@pytest.mark.parametrize(
    ("content", "error"),
    [(copy.deepcopy(content), text) for content, text in BAD.values() if isinstance(content, dict)],
    ids=[name for name, (content, _) in BAD.items() if isinstance(content, dict)],
)
def test_what_read_coco_refuses_has_an_error(content, error):
    assert any(finding.severity == "error" for finding in check_coco(content)), error


JUNK = [None, -1, 0, 1, 2.5, 7.0, "x", "7", "12.5", "", [], {}, [1, 2], float("nan"), float("inf"), True, [[1, 2]],
        10**30, 10**400, "a\\b.png", "/far/0.png", {"0": "nose"}, [None, 2], 255, 0.5, ...]  # fmt: skip


def damaged(content, rng):
    """One or more values of a document exchanged for others, or left out."""
    for _ in range(rng.integers(1, 4)):
        rows = content[rng.choice([key for key in content if content[key]])]
        target = rows[rng.integers(len(rows))]
        key = rng.choice(sorted(target)) if target else "id"
        value = copy.deepcopy(JUNK[rng.integers(len(JUNK))])
        place = target.get(key)
        if isinstance(place, list) and place and rng.random() < 0.7:
            place[rng.integers(len(place))] = None if value is ... else value
        elif value is ...:
            target.pop(key, None)
        else:
            target[str(key)] = value
    return content


def test_the_check_refuses_what_read_coco_refuses_and_nothing_else(tmp_path):
    """Random damage to numbers, names, ids and keys. Nothing but a DataError may come of it, of the check nothing."""
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        content = damaged(document(3), rng)
        (tmp_path / "set.json").write_text(json.dumps(content))
        try:
            source = read_coco(tmp_path / "set.json", tmp_path)
            reason = None
        except DataError as error:
            reason = str(error)
        findings = check_coco(content, tmp_path)
        summarise(content)
        refusing = [finding.code for finding in findings if finding.consequence.startswith(REFUSED)]
        assert bool(refusing) == (reason is not None), (refusing, reason)
        refused += reason is not None
        if reason is None:
            restrict(source, np.arange(len(source.skeleton)))
            assert all(np.isfinite(person.keypoints).all() for person in source.persons())
    assert 100 < refused < 260


def scores(content, capsys, finds=None):
    """COCO's ten figures by pycocotools for results that are the labels of `finds`, or of the content itself."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = COCO()
    truth.dataset = copy.deepcopy(content)
    truth.createIndex()
    rows = [{"image_id": r["image_id"], "category_id": 1, "keypoints": r["keypoints"], "score": 0.9}
            for r in (finds or content)["annotations"]]  # fmt: skip
    evaluation = COCOeval(truth, truth.loadRes(rows), "keypoints")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    capsys.readouterr()
    return evaluation.stats


@pytest.mark.parametrize("code", ["no_medium", "no_large", "num_keypoints_zero"])
def test_pycocotools_gives_minus_one_where_the_check_says_so(code, capsys):
    content = document()
    assert (scores(content, capsys) == 1).all()
    change = FAULTS[code][0] if code != "num_keypoints_zero" else every(lambda r, _: r.update(num_keypoints=0))
    change(content)
    minus = {"no_medium": [3, 8], "no_large": [4, 9], "num_keypoints_zero": list(range(10))}[code]
    assert np.flatnonzero(scores(content, capsys) == -1).tolist() == minus
    assert code in found(content)


@pytest.mark.parametrize("area", [1023.9, 1024, 9216, 9216.1])
def test_the_limits_of_medium_and_large_are_those_of_pycocotools(area, capsys):
    content = document()
    every(lambda r, _: r.update(area=area))(content)
    stats, findings = scores(content, capsys), found(content)
    assert (stats[3] == -1) == ("no_medium" in findings)
    assert (stats[4] == -1) == ("no_large" in findings)
    assert ("small_people" in findings) == (area < 1024)


@pytest.mark.parametrize("key", ["area", "iscrowd", "num_keypoints"])
def test_pycocotools_stops_where_the_check_says_that_it_does(key, capsys):
    content = document()
    del content["annotations"][4][key]
    with pytest.raises(KeyError, match=key):
        scores(content, capsys)


@pytest.mark.parametrize("code", ["zero_area", "labelled_twice", "labelled_at_origin", "one_point"])
def test_ap_falls_in_pycocotools_where_the_check_says_so(code, capsys):
    """Finds a hundredth of a pixel off the good file's labels are perfect; for the faulty file the same are not."""
    finds = document()
    for target in finds["annotations"]:
        target["keypoints"] = (np.array(target["keypoints"]) + 0.01).tolist()
    content = document()
    assert scores(content, capsys, finds)[0] == 1
    FAULTS[code][0](content)
    assert found(content)[code].severity == "error"
    assert scores(content, capsys, finds)[0] < 1


def test_any_pose_in_the_box_of_a_person_without_labels_is_right_for_pycocotools(capsys):
    content, finds = document(), document()
    row(4, keypoints=[0] * 51)(content)  # num_keypoints stays 17
    row(4, keypoints=[120, 120, 2] * 17)(finds)
    assert scores(content, capsys, finds)[0] == 1
    row(4, image_id=12)(finds)  # nothing is found there
    assert scores(content, capsys, finds)[0] < 1
