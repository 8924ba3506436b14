"""Evaluating from Python, with networks and detectors whose answers are known."""

import json

import numpy as np
import pytest

pytest.importorskip("faster_coco_eval")

from lightpose import evaluate
from lightpose.data.coco import read_coco
from lightpose.errors import ConfigError
from lightpose.evaluate.bootstrap import gain_intervals
from lightpose.evaluate.boxes import bootstrap_boxes
from lightpose.evaluate.evaluation import evaluate_given_boxes
from lightpose.inference.top_down import PredictOptions
from lightpose.io.images import read_image
from lightpose.results import Boxes
from lightpose.skeletons import COCO17, Skeleton
from lightpose.types import ModelSpec
from tests.helpers import ColorRuntime


@pytest.fixture
def runtime():
    return ColorRuntime(ModelSpec("colors", COCO17, (128, 96)))


@pytest.fixture
def people(drawn):
    """A Detector that knows the labelled boxes of each drawn picture."""
    document = json.loads(drawn.annotations.read_text())
    boxes = {row["file_name"]: [] for row in document["images"]}
    names = {row["id"]: row["file_name"] for row in document["images"]}
    for row in document["annotations"]:
        boxes[names[row["image_id"]]].append(row["bbox"])
    known = {
        read_image(drawn.images / name).tobytes(): Boxes(np.array(rows, np.float32)) for name, rows in boxes.items()
    }

    def labelled(image):
        return known[image.tobytes()]

    return labelled


def test_a_network_in_memory_is_measured_as_its_parts_measure_it(drawn, runtime):
    told = []
    found = evaluate.run(
        runtime, drawn.annotations, drawn.images, decoder="dark", progress=lambda *about: told.append(about)
    )
    source = read_coco(drawn.annotations, drawn.images)
    expected = evaluate_given_boxes(source, runtime, PredictOptions(flip=True, decoder="dark"))
    assert found.evaluation.scores == expected.scores
    assert found.report.figures["ap"] == expected.scores.ap > 0
    assert (found.report.how["network"], found.report.how["boxes"]) == ("colors", "given")
    assert told[-1] == ("persons", 4, 4)
    assert str(found) == found.report.to_text()


def test_a_function_finds_the_people_and_the_given_boxes_stand_beside_it(drawn, runtime, people):
    told = []
    found = evaluate.run(
        runtime, drawn.annotations, drawn.images, detector=people, progress=lambda *about: told.append(about)
    )
    assert found.report.how["boxes"] == "labelled"
    assert found.report.figures["ap50"] == 1
    assert dict.fromkeys(what for what, *_ in told) == dict.fromkeys(["images", "persons", "persons, given boxes"])
    alone = evaluate.run(runtime, drawn.annotations, drawn.images).report
    assert found.report.given == pytest.approx(alone.figures, nan_ok=True)
    assert alone.given == {}


def test_whoever_checks_may_refuse_before_the_network_runs(drawn, runtime):
    def refuse(job):
        raise ConfigError(f"{job.persons} persons are too many")

    with pytest.raises(ConfigError, match="4 persons are too many"):
        evaluate.run(runtime, drawn.annotations, drawn.images, check=refuse)
    assert runtime.batches == []


def test_another_network_is_measured_on_the_same_people(drawn, runtime):
    found = evaluate.run(runtime, drawn.annotations, drawn.images, against="lpn50", flip=False, bootstrap=30, seed=2)
    alone = evaluate.run("lpn50", drawn.annotations, drawn.images, flip=False)
    against = found.report.against
    assert (against.name, against.figures) == ("lpn50", pytest.approx(alone.report.figures, nan_ok=True))
    [gains] = gain_intervals(found.job.source, alone.evaluation, [found.evaluation], 30, seed=2)
    assert against.gains == gains
    assert gains.ap.high > 0


def test_networks_of_other_joints_or_without_labels_are_not_compared(drawn, runtime, tmp_path):
    fewer = ColorRuntime(ModelSpec("legs", Skeleton("legs", COCO17.joints[11:]), (128, 96)))
    with pytest.raises(ConfigError, match=r"colors and legs find different joints .*: left_ear, "):
        evaluate.run(runtime, drawn.annotations, drawn.images, against=fewer)
    document = json.loads(drawn.annotations.read_text()) | {"annotations": []}
    (tmp_path / "bare.json").write_text(json.dumps(document))
    box = {"image_id": document["images"][0]["id"], "category_id": 1, "bbox": [1, 1, 20, 20], "score": 1}
    (tmp_path / "boxes.json").write_text(json.dumps([box]))
    with pytest.raises(ConfigError, match="no annotations, so networks cannot be compared"):
        evaluate.run(runtime, tmp_path / "bare.json", drawn.images, boxes=tmp_path / "boxes.json", against=fewer)


def test_bundled_weights_are_named_in_the_report(drawn):
    found = evaluate.run("lpn50", drawn.annotations, drawn.images, flip=False, bootstrap=20, breakdown=True)
    assert next(iter(found.report.how.items())) == ("model", "lpn50")
    assert found.report.intervals.resamples == 20
    assert found.report.breakdown.persons == 4


def test_a_detector_that_knows_the_labels_finds_all_and_nothing_else(drawn, people):
    found = evaluate.run_detector(people, drawn.annotations, drawn.images, bootstrap=10)
    assert (found.detector, found.people, len(found.boxes)) == ("labelled", 4, 3)
    assert (found.scores.ap, found.scores.recall) == (pytest.approx(1), 1)
    assert str(found) == found.to_text()
    document = json.loads(found.to_json())
    assert document["intervals"]["ap"] == pytest.approx([1, 1])
    assert document["data"] == str(drawn.annotations)
    assert found.to_text().endswith(f"labelled on {drawn.annotations}: 3 images, 4 people")


def test_the_intervals_of_a_detector_are_those_of_the_draws_asked_for(drawn, people):
    def half(image):
        return people(image)[:1]

    found = evaluate.run_detector(half, drawn.annotations, drawn.images, bootstrap=30, seed=5)
    from lightpose.data.people import read_people

    source = read_people(drawn.annotations, drawn.images)
    assert found.intervals == bootstrap_boxes(source, found.boxes, 30, seed=5)
    assert evaluate.run_detector(half, drawn.annotations, drawn.images).intervals is None


def test_draws_below_zero_are_refused(drawn, runtime):
    for measure, model in ((evaluate.run, runtime), (evaluate.run_detector, "builtin")):
        with pytest.raises(ConfigError, match="bootstrap and seed must be whole numbers from 0 on"):
            measure(model, drawn.annotations, drawn.images, bootstrap=-1)
