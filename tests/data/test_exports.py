"""What annotation tools write today is checked, read, scored and cropped like the plain file it was made from."""

import json

import numpy as np
import pytest

from lightpose.data.check import check_coco
from lightpose.data.coco import read_coco
from lightpose.data.crops import open_store
from lightpose.detect.box_file import read_boxes
from lightpose.evaluate.evaluation import evaluate_given_boxes
from lightpose.evaluate.scores import score_rows
from lightpose.inference.top_down import PredictOptions
from lightpose.skeletons import COCO17, Skeleton
from lightpose.types import ModelSpec
from tests.data.exports import CROWDPOSE, EXPORTS, crowdpose, exported, joints_of
from tests.helpers import ColorRuntime, draw_set

pytest.importorskip("filelock")


@pytest.fixture(params=EXPORTS, ids=lambda tool: tool.__name__)
def tool(request):
    return request.param


@pytest.fixture
def plain(tool, tmp_path):
    return draw_set(tmp_path / "drawn", joints=joints_of(tool))


@pytest.fixture
def source(tool, plain, tmp_path):
    document, folder = exported(tool, json.loads(plain.annotations.read_text()), plain.images)
    (tmp_path / "export.json").write_text(json.dumps(document))
    return read_coco(tmp_path / "export.json", folder)


def skeleton_of(tool):
    return Skeleton("crowdpose", CROWDPOSE) if tool is crowdpose else COCO17


def test_the_check_finds_no_error(source):
    assert not [finding for finding in check_coco(source.written, source.images) if finding.severity == "error"]


def test_what_is_special_is_said_once(tool, source):
    notes, wanted = "\n".join(source.notes), EXPORTS[tool]
    assert len(source.notes) == bool(wanted)
    assert all(text in notes for text in wanted)


def test_the_people_are_those_of_the_plain_file(plain, source):
    people, wanted = source.persons(), read_coco(plain.annotations, plain.images).persons()
    assert len(people) == len(wanted) == 4
    for person, other in zip(people, wanted, strict=True):
        seen = person.visibility > 0
        assert seen.sum() >= 13
        np.testing.assert_array_equal(person.keypoints[seen], other.keypoints[seen])
        np.testing.assert_array_equal(person.box_xywh, other.box_xywh)
        assert person.image_path.resolve().read_bytes() == other.image_path.read_bytes()


def test_labels_as_results_give_ap_100_and_one_fewer_gives_less(tool, source):
    rows = [
        {"image_id": source.own_id(person.image_id), "score": 0.9,
         "keypoints": np.insert(person.keypoints, 2, 1, axis=1).ravel().tolist()}
        for person in source.persons()
    ]  # fmt: skip
    assert score_rows(source, rows, skeleton_of(tool)).ap == pytest.approx(1)
    assert score_rows(source, rows[1:], skeleton_of(tool)).ap < 0.8


def test_a_network_that_finds_the_joints_is_found_to_do_so(tool, source):
    runtime = ColorRuntime(ModelSpec("colors", skeleton_of(tool), (128, 96), decoder="dark"))
    evaluation = evaluate_given_boxes(source, runtime, PredictOptions())
    assert evaluation.scores.ap > 0.95
    assert evaluation.pck(0.05) == 1


def test_crops_to_train_on_are_those_of_the_plain_file(tool, plain, source, tmp_path):
    wanted, store = (
        open_store(each, Skeleton("all", each.skeleton.joints), (64, 48), tmp_path / name)
        for name, each in (("a", read_coco(plain.annotations, plain.images)), ("b", source))
    )
    np.testing.assert_array_equal(store.crops, wanted.crops)
    seen = store.visibility > 0
    np.testing.assert_array_equal(store.points[seen], wanted.points[seen])
    assert (wanted.visibility > 0).sum() - seen.sum() == (tool.__name__ == "fiftyone")


def test_a_file_of_boxes_has_all_of_them(source):
    boxes = read_boxes(source.path)
    count = sum(len(boxes.boxes(source.images / image["file_name"])) for image in source.document["images"])
    assert count == len(source.boxed())
