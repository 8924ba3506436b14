"""Bootstrap intervals against the library run anew on every draw, and worked by hand."""

import copy
import math

import numpy as np
import pytest

pytest.importorskip("faster_coco_eval")
pytest.importorskip("pycocotools")

from lightpose.errors import ConfigError
from lightpose.evaluate.bootstrap import Interval, bootstrap, draw_pictures, gain_intervals
from lightpose.evaluate.evaluation import Evaluation
from lightpose.evaluate.results import PoseResults
from lightpose.evaluate.scores import score_results
from lightpose.skeletons import COCO17
from tests.evaluate.oracles import oracle, random_document, random_rows, source_of


def copies(document, rows, counts):
    """A data set and results in which every picture is there so many times, under new ids, its copies in a row."""
    images, annotations, found = [], [], []
    for image, count in zip(sorted(document["images"], key=lambda image: image["id"]), counts, strict=True):
        for _ in range(count):
            number = len(images) + 1
            images.append({**image, "id": number})
            for row in document["annotations"]:
                if row["image_id"] == image["id"]:
                    annotations.append({**copy.deepcopy(row), "id": len(annotations) + 1, "image_id": number})
            found += [{**row, "image_id": number} for row in rows if row["image_id"] == image["id"]]
    return {**document, "images": images, "annotations": annotations}, found


def evaluation_of(source, rows, errors, image_ids):
    keypoints = np.array([row["keypoints"] for row in rows]).reshape(len(rows), 17, 3)
    ids, scores = np.array([row["image_id"] for row in rows]), np.array([row["score"] for row in rows])
    results = PoseResults(ids.astype(np.int64), keypoints, scores.astype(float), COCO17)
    return Evaluation(score_results(source, results), errors, image_ids, results)


@pytest.fixture
def case(tmp_path):
    """A random set, results without equal scores, and joint errors of a few persons in each picture."""
    generator = np.random.default_rng(3)
    document = random_document(generator, pictures=15)
    rows = [{**row, "score": float(generator.random())} for row in random_rows(generator, document)]
    errors = np.where(generator.random((40, 17)) < 0.2, np.nan, generator.uniform(0, 0.2, (40, 17)))
    image_ids = np.sort(generator.integers(1, 16, 40))
    source = source_of(tmp_path, document)
    return source, document, rows, evaluation_of(source, rows, errors, image_ids)


def test_the_bounds_are_the_quantiles_of_the_library_run_on_every_draw(case):
    source, document, rows, evaluation = case
    found = bootstrap(source, evaluation, resamples=8, seed=5, level=0.5)
    slow = []
    for counts in draw_pictures(np.random.default_rng(5), 15, 8):
        drawn = np.repeat(np.arange(1, 16), counts)
        errors = np.concatenate([evaluation.errors[evaluation.image_ids == number] for number in drawn])
        pck = (errors <= 0.1).sum() / np.isfinite(errors).sum()
        slow.append([*oracle(*copies(document, rows, counts))[:3], pck])
    low, high = np.quantile(slow, [0.25, 0.75], axis=0)
    intervals = [found.ap, found.ap50, found.ap75, found.pck]
    assert [one.low for one in intervals] == pytest.approx(low, abs=1e-6)
    assert [one.high for one in intervals] == pytest.approx(high, abs=1e-6)
    assert low[0] < high[0]


@pytest.mark.slow
def test_gains_are_those_of_the_library_on_the_same_draws(case):
    source, document, rows, before = case
    better = [{**row, "keypoints": near(document, row)} for row in rows]
    after = evaluation_of(source, better, before.errors, before.image_ids)
    found, none = gain_intervals(source, before, [after, before], resamples=6, seed=5, level=0.5)
    slow = []
    for counts in draw_pictures(np.random.default_rng(5), 15, 6):
        first, second = (oracle(*copies(document, some, counts))[0] for some in (rows, better))
        slow.append(second - first)
    assert [found.ap.low, found.ap.high] == pytest.approx(np.quantile(slow, [0.25, 0.75]).tolist(), abs=1e-6)
    assert found.ap.low < found.ap.high
    assert (none.ap, none.pck) == (Interval(0, 0), Interval(0, 0)), "nothing is gained over itself"


def near(document, row):
    """A result's keypoints halfway to those of the nearest person of its picture."""
    mine = np.array(row["keypoints"], float).reshape(-1, 3)
    people = [np.array(one["keypoints"]).reshape(-1, 3) for one in document["annotations"]
              if one["image_id"] == row["image_id"]]  # fmt: skip
    if people:
        truth = min(people, key=lambda person: np.abs(person[:, :2] - mine[:, :2]).sum())
        mine[:, :2] = (mine[:, :2] + truth[:, :2]) / 2
    return mine.ravel().tolist()


def test_the_figure_itself_lies_within_and_a_higher_level_is_wider(case):
    source, _, _, evaluation = case
    narrow, wide = (bootstrap(source, evaluation, 400, level=level) for level in (0.5, 0.95))
    assert wide.ap.low < narrow.ap.low < evaluation.scores.ap < narrow.ap.high < wide.ap.high
    assert wide.pck.low < evaluation.pck() < wide.pck.high
    assert (wide.resamples, wide.seed, wide.level) == (400, 0, 0.95)


def test_the_same_seed_gives_the_same_bounds_and_another_others(case):
    source, _, _, evaluation = case
    assert bootstrap(source, evaluation, 50, seed=1) == bootstrap(source, evaluation, 50, seed=1)
    assert bootstrap(source, evaluation, 50, seed=1) != bootstrap(source, evaluation, 50, seed=2)


def test_working_in_groups_changes_nothing(case, monkeypatch):
    source, _, _, evaluation = case
    whole = bootstrap(source, evaluation, 20)
    monkeypatch.setattr("lightpose.evaluate.bootstrap.CELLS", 1)
    assert bootstrap(source, evaluation, 20) == whole


def hand_made(tmp_path):
    """Two pictures with one person each; the first is found exactly, the second not at all."""
    keypoints = [value for joint in range(17) for value in (10.0 + joint, 20.0, 2)]
    person = {"category_id": 1, "bbox": [10, 20, 16, 16], "area": 256, "iscrowd": 0, "keypoints": keypoints}
    images = [{"id": n, "file_name": f"{n}.jpg", "height": 99, "width": 99} for n in (1, 2)]
    category = {"id": 1, "name": "person", "keypoints": list(COCO17.joints)}
    people = [{**person, "id": n, "image_id": n, "num_keypoints": 17} for n in (1, 2)]
    document = {"images": images, "annotations": people, "categories": [category]}
    source = source_of(tmp_path, document)
    rows = [{"image_id": 1, "keypoints": keypoints, "score": 0.5}]
    errors = np.stack([np.zeros(17), np.ones(17)])
    return source, evaluation_of(source, rows, errors, np.array([1, 2]))


def test_two_pictures_of_which_one_is_found_by_hand(tmp_path):
    """Draws are both found (1 in 4), one (2 in 4) or none (1 in 4): AP 1, 51/101 or 0, PCK 1, 1/2 or 0."""
    source, evaluation = hand_made(tmp_path)
    found = bootstrap(source, evaluation, 1000, level=0.95)
    assert found.ap == found.ap50 == found.ap75 == Interval(0, pytest.approx(1))
    assert found.pck == Interval(0, 1)
    middle = bootstrap(source, evaluation, 1000, level=0.2)  # from the 40th to the 60th of a hundred
    assert middle.ap == Interval(pytest.approx(51 / 101), pytest.approx(51 / 101))
    assert middle.pck == Interval(0.5, 0.5)


def test_a_figure_that_no_draw_has_is_not_a_number(tmp_path):
    source, evaluation = hand_made(tmp_path)
    detected = Evaluation(evaluation.scores, np.zeros((0, 17)), np.zeros(0, np.int64), evaluation.results)
    found = bootstrap(source, detected, 10)
    assert math.isnan(found.pck.low)
    assert math.isnan(found.pck.high)
    assert math.isfinite(found.ap.high)


def test_every_draw_has_as_many_pictures_as_there_are_and_each_is_drawn_alike():
    weights = draw_pictures(np.random.default_rng(0), 30, 2000)
    assert weights.shape == (2000, 30)
    assert (weights.sum(1) == 30).all()
    np.testing.assert_allclose(weights.mean(0), 1, atol=0.1)
    np.testing.assert_allclose(weights.var(0), 1 - 1 / 30, atol=0.15)  # binomial


@pytest.mark.parametrize(("resamples", "level"), [(0, 0.95), (-1, 0.95), (10, 0), (10, 1), (10, float("nan"))])
def test_settings_out_of_their_range_are_refused(tmp_path, resamples, level):
    with pytest.raises(ConfigError, match=r"at least one resample|between 0 and 1"):
        bootstrap(*hand_made(tmp_path), resamples, level=level)
