"""A detector's boxes by picture, and files of pictures alone."""

import json

import numpy as np
import pytest

from lightpose.data.coco import read_coco
from lightpose.errors import BoxesError, DataError
from lightpose.evaluate.detections import open_source, read_detections
from lightpose.skeletons import COCO17


def row(image_id=1, bbox=(5, 6, 30, 40), score=0.5, **more):
    return {"image_id": image_id, "category_id": 1, "bbox": list(bbox), "score": score, **more}


@pytest.fixture
def source(drawn):
    return read_coco(drawn.annotations, drawn.images)


def read(folder, rows, source, threshold=None):
    (folder / "boxes.json").write_text(json.dumps(rows))
    return read_detections(folder / "boxes.json", source, threshold)


def test_boxes_are_those_of_the_picture_by_its_id_in_the_files_order(tmp_path, source):
    rows = [row(2, (1, 2, 30, 40), 0.25), row(1), row(2, (7, 8, 9, 10), 0.75)]
    found = read(tmp_path, rows, source)
    assert sorted(found.boxes) == [1, 2]
    np.testing.assert_array_equal(found.boxes[2].xywh, [[1, 2, 30, 40], [7, 8, 9, 10]])
    np.testing.assert_array_equal(found.boxes[2].scores, [0.25, 0.75])
    assert len(found) == 3
    assert found.boxes[2].xywh.dtype == np.float32


def test_an_id_is_an_id_even_where_a_file_is_named_by_another_number(tmp_path, drawn):
    document = json.loads(drawn.annotations.read_text())
    numbers = {1: 3, 2: 1, 3: 2}
    for image in document["images"]:
        image["id"] = numbers[image["id"]]
    for one in document["annotations"]:
        one["image_id"] = numbers[one["image_id"]]
    drawn.annotations.write_text(json.dumps(document))  # 0001.png now has the id 3
    found = read(tmp_path, [row(1)], read_coco(drawn.annotations, drawn.images))
    assert list(found.boxes) == [1]


def test_other_categories_and_low_scores_are_passed_over(tmp_path, source):
    rows = [row(1, category_id=18), row(1, score=0.2), row(1, score=0.3), row(1, score=0.9)]
    assert read(tmp_path, rows, source).boxes[1].scores.tolist() == pytest.approx([0.2, 0.3, 0.9])
    assert read(tmp_path, rows, source, threshold=0.3).boxes[1].scores.tolist() == pytest.approx([0.3, 0.9])
    assert read(tmp_path, [row(score=-3.0)], source).boxes[1].scores.tolist() == [-3.0], "no threshold is none"


def test_boxes_that_show_nothing_and_boxes_elsewhere_are_left_out_and_counted(tmp_path, source):
    nothing = [(5, 6, 0, 40), (5, 6, 30, -1), (200, 6, 5, 5), (5, 160, 5, 5), (-9, 6, 9, 5), (5, -9, 5, 9)]
    rows = [row(1, box) for box in nothing] + [row(1, (199, 159, 5, 5)), row(2, nothing[0]), row(77), row(78)]
    found = read(tmp_path, rows, source)
    assert (len(found), found.unusable, found.elsewhere) == (1, 7, 2)
    assert list(found.boxes) == [1]
    found.boxes[1].check_inside(160, 200)
    summary = found.summary()
    assert summary.pop("boxes").endswith("boxes.json")
    assert summary == {
        "box_threshold": None, "detections": 1, "pictures_with_boxes": 1, "boxes_unusable": 7, "boxes_elsewhere": 2
    }  # fmt: skip


def test_the_papers_own_detections_are_read(real_data):
    folder = real_data / "coco_keypoints"
    source = read_coco(folder / "val.json", folder / "val2017")
    found = read_detections(real_data / "eval_fixtures" / "person_detections.json", source)
    assert sorted(found.boxes) == [40083, 196141, 197388]
    assert (len(found), found.unusable, found.elsewhere) == (96, 0, 0)


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([], "has no usable box of category 1 for an image of"),
        ([row(77)], "has no usable box"),
        ([row(category_id=2)], "has no usable box"),
        ({"annotations": []}, "must hold a list of detections"),
        ([7], "row 0 must be an object with a bbox and an image_id or file_name"),
        ([{**row(), "image_id": [1]}], "row 0: image_id must be a number or a name"),
        ([row(), {"image_id": 1}], r"row 1 must be an object with a bbox"),
        ([row(), {"image_id": 1, "bbox": [1, 2, 3, 4]}], r"row 1 must have an image_id and a score"),
        ([{**row(), "bbox": [1, 2, 3]}], "row 0 .*: bbox must be"),
        ([{**row(), "bbox": [1, 2, 3, "4x"]}], "row 0 .*: bbox must be"),
        ([{**row(), "score": None}], "row 0 .*: bbox must be"),
        ([row(score=float("nan"))], "row 0 .*: bbox must be .* all of them finite"),
        ([row(bbox=(1, 2, 3, float("inf")))], "row 0 .*: bbox must be"),
    ],
)
def test_a_file_that_is_no_list_of_boxes_is_refused_in_a_sentence(tmp_path, source, rows, complaint):
    with pytest.raises(BoxesError, match=complaint):
        read(tmp_path, rows, source)


def test_a_file_that_is_missing_or_no_json_is_refused_in_a_sentence(tmp_path, source):
    with pytest.raises(BoxesError, match=r"cannot read .*none\.json"):
        read_detections(tmp_path / "none.json", source)
    (tmp_path / "rubbish.json").write_text("[1,")
    with pytest.raises(BoxesError, match="is not a json file"):
        read_detections(tmp_path / "rubbish.json", source)


def images_only(folder, images):
    (folder / "image_info.json").write_text(json.dumps({"images": images, "categories": [{"id": 1, "name": "person"}]}))
    return open_source(folder / "image_info.json", folder)


def image(number=1, **more):
    return {"id": number, "file_name": f"{number}.jpg", "height": 10, "width": 20, **more}


def test_a_file_of_pictures_alone_has_cocos_joints_and_no_people(tmp_path):
    source = images_only(tmp_path, [image(1), image(2)])
    assert source.persons() == []
    assert source.skeleton == COCO17
    assert source.category_id == 1
    assert [one["id"] for one in source.document["images"]] == [1, 2]


def test_a_labelled_file_is_read_as_ever(drawn):
    assert len(open_source(drawn.annotations, drawn.images).persons()) == 4


@pytest.mark.parametrize(
    ("images", "complaint"),
    [
        ([image(1), image(1)], "two images have the id 1"),
        ([{"id": 1}], "image number 0 has no 'file_name'"),
        ([image(None)], "image number 0 has the id None"),
        ([7], "image number 0 is not an object"),
        ([image(1), image(2, height=0)], "image 2 .*must have a height and width above 0"),
        ([image(1, width="wide")], "image 1 .*must have a height and width above 0, not 10 and wide"),
    ],
)
def test_a_file_of_malformed_pictures_is_refused_in_a_sentence(tmp_path, images, complaint):
    with pytest.raises(DataError, match=complaint):
        images_only(tmp_path, images)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("[]", "not a COCO annotation file"),
        ("{}", "no list called 'images'"),
        ('{"images": 3}', "no list called 'images'"),
    ],
)
def test_a_file_that_is_neither_is_refused_as_ever(tmp_path, content, complaint):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DataError, match=complaint):
        open_source(tmp_path / "a.json", tmp_path)
