"""Reading boxes of people: which rows are people, what is clipped or left out, and how faults are named."""

import json

import numpy as np
import pytest

from lightpose.data.people import read_people
from lightpose.errors import DataError


def write(folder, document):
    path = folder / "people.json"
    path.write_text(json.dumps(document))
    return path


def document(categories=None):
    """Two pictures, one without people: somebody, somebody who reaches out, a crowd, a car, and a box without area."""
    return {
        "images": [
            {"id": 7, "file_name": "a.jpg", "height": 100, "width": 200},
            {"id": 3, "file_name": "b.jpg", "height": 50, "width": 50},
        ],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 1, "bbox": [10, 20, 30, 40]},
            {"id": 2, "image_id": 7, "category_id": 1, "bbox": [180, -10, 50, 60], "iscrowd": 0},
            {"id": 3, "image_id": 7, "category_id": 1, "bbox": [0, 0, 100, 100], "iscrowd": 1},
            {"id": 4, "image_id": 7, "category_id": 2, "bbox": [50, 50, 20, 20]},
            {"id": 5, "image_id": 7, "category_id": 1, "bbox": [5, 5, 0, 9]},
        ],
        "categories": categories or [{"id": 2, "name": "car"}, {"id": 1, "name": "person"}],
    }


def test_a_scene_is_a_picture_with_its_people_and_crowds(tmp_path):
    first, second = read_people(write(tmp_path, document()), tmp_path / "images").scenes()
    assert (first.image_id, first.image_hw, first.image_path) == (7, (100, 200), tmp_path / "images" / "a.jpg")
    np.testing.assert_array_equal(first.boxes_xyxy, [[10, 20, 40, 60], [180, 0, 200, 50]])
    np.testing.assert_array_equal(first.ignored_xyxy, [[0, 0, 100, 100]])
    assert first.boxes_xyxy.dtype == np.float32
    assert (second.image_id, second.boxes_xyxy.shape, second.ignored_xyxy.shape) == (3, (0, 4), (0, 4))


@pytest.mark.parametrize(
    "categories",
    [
        [{"id": 2, "name": "person"}, {"id": 1, "name": "dancer", "keypoints": ["nose"]}],
        [{"id": 2, "name": "car"}, {"id": 1, "name": "person"}],
    ],
)
def test_people_are_whoever_has_keypoints_or_is_called_so(tmp_path, categories):
    assert read_people(write(tmp_path, document(categories)), tmp_path).category_id == 1


def test_the_only_category_is_people_whatever_its_name(tmp_path):
    only = document([{"id": 1, "name": "pedestrian"}])
    del only["annotations"][3]
    assert read_people(write(tmp_path, only), tmp_path).category_id == 1


def test_several_categories_without_people_are_refused(tmp_path):
    path = write(tmp_path, document([{"id": 1, "name": "cat"}, {"id": 2, "name": "car"}]))
    with pytest.raises(DataError, match="several categories and none is called 'person'; name that of the people so"):
        read_people(path, tmp_path)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"image_id": 9}, "annotation 1 belongs to image 9, which is not in the file"),
        ({"bbox": [1, 2, 3]}, r"annotation 1 of image 7 \(a.jpg\) must have a bbox of four finite numbers"),
        ({"bbox": [1, 2, 3, "4x"]}, "annotation 1 .*must have a bbox of four finite numbers"),
        ({"category_id": 5}, "annotation 1 has category 5, which is not in the file"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path, change, text):
    broken = document()
    broken["annotations"][0].update(change)
    with pytest.raises(DataError, match=text):
        read_people(write(tmp_path, broken), tmp_path)


def test_no_annotation_file_is_refused(tmp_path):
    for text in ("[]", "{", '{"images": []}'):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(DataError, match=r"x\.json is not a"):
            read_people(tmp_path / "x.json", tmp_path)
    with pytest.raises(DataError, match=r"cannot read .*nowhere\.json"):
        read_people(tmp_path / "nowhere.json", tmp_path)
