"""Boxes from files, and the whole picture as a box."""

import json
from pathlib import Path

import numpy as np
import pytest

from lightpose.detect.box_file import read_boxes
from lightpose.detect.whole_image import whole_image
from lightpose.errors import BoxesError


def written(path: Path, document: object) -> Path:
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_the_whole_picture_is_one_box():
    boxes = whole_image(np.zeros((30, 40, 3), np.uint8))
    assert boxes.xywh.tolist() == [[0, 0, 40, 30]]
    assert boxes.scores.tolist() == [1]


@pytest.mark.parametrize(
    ("key", "picture"),
    [
        ({"image_id": 397133}, "000000397133.jpg"),
        ({"image_id": 397133}, "deep/397133.png"),
        ({"image_id": "photo"}, "photo.jpg"),
        ({"image_id": "photo.jpg"}, "photo.jpg"),
        ({"file_name": "val2017/photo.jpg"}, "photo.jpg"),
    ],
)
def test_a_row_belongs_to_the_picture_it_names(tmp_path: Path, key: dict[str, object], picture: str):
    rows = [{**key, "bbox": [1, 2, 3, 4], "score": 0.5}, {"image_id": 7, "bbox": [9, 9, 9, 9]}]
    boxes = read_boxes(written(tmp_path / "b.json", rows)).boxes(picture)
    assert boxes.xywh.tolist() == [[1, 2, 3, 4]]
    assert boxes.scores.tolist() == [0.5]


def test_boxes_keep_the_order_of_the_file_and_leave_out_other_categories_and_crowds(tmp_path: Path):
    rows = [{"image_id": 1, "category_id": c, "iscrowd": k, "bbox": [x, 0, 1, 1]} for x, c, k in
            [(5, 1, 0), (6, 2, 0), (3, 1, 0), (7, 1, 1), (4, 1, 0)]]  # fmt: skip
    assert read_boxes(written(tmp_path / "b.json", rows)).boxes("1.jpg").xywh[:, 0].tolist() == [5, 3, 4]


def test_an_annotation_file_names_its_pictures(tmp_path: Path):
    document = {
        "images": [{"id": 12, "file_name": "folder/beach.jpg"}],
        "annotations": [{"id": 1, "image_id": 12, "category_id": 1, "bbox": [1, 2, 3, 4]}],
    }
    file = read_boxes(written(tmp_path / "b.json", document))
    assert file.boxes("beach.jpg").xywh.tolist() == [[1, 2, 3, 4]]
    assert file.image_id("beach.jpg") == 12


def test_a_picture_the_file_does_not_name_has_no_boxes(tmp_path: Path):
    file = read_boxes(written(tmp_path / "b.json", []))
    assert len(file.boxes("a.jpg")) == 0
    assert file.image_id("a.jpg") is None
    assert file.image_id("007.jpg") == 7


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ("no json", "not a json file"),
        ({"x": 1}, "must hold a list"),
        ([3], "row 0 must be an object"),
        ([{"bbox": [1, 2, 3, 4]}], "image_id or file_name"),
        ([{"image_id": 1}], "must be an object with a bbox"),
        ([{"image_id": 1, "bbox": [1, 2, 3]}], "must be \\[left, top, width, height\\]"),
        ([{"image_id": 1, "bbox": "1234"}], "must be \\[left, top, width, height\\]"),
        ([{"image_id": 1, "bbox": [1, 2, 3, "4x"]}], "must be \\[left, top, width, height\\]"),
        ([{"image_id": 1, "bbox": [1, 2, 3, 4], "score": None}], "score a number"),
        ([{"image_id": 1.5, "bbox": [1, 2, 3, 4]}], "image_id must be a number or a name"),
        ([{"file_name": None, "bbox": [1, 2, 3, 4]}], "file_name must be text"),
        ('[{"image_id": 1, "bbox": [NaN, 2, 3, 4]}]', "all of them finite"),
        ('[{"image_id": 1, "bbox": [1, 2, 3, Infinity]}]', "all of them finite"),
        ([{"image_id": 1, "bbox": [10**400, 2, 3, 4]}], "all of them finite"),
        ([{"image_id": 1, "bbox": [1e39, 2, 3, 4]}], "all of them finite"),
        ("[" * 200_000, "not a json file"),
        ({"annotations": []}, "no list called 'images'"),
        (
            {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"image_id": 2, "bbox": [1, 2, 3, 4]}]},
            "belongs to image 2, which is not in the file",
        ),
        ({"images": [], "annotations": [{"image_id": 2, "bbox": [1, 2, 3, 4]}]}, "belongs to image 2, which is not in"),
        ({"images": [{"id": [1], "file_name": "a.jpg"}], "annotations": []}, r"image number 0 has the id \[1\]"),
        ({"images": [{"id": 1}], "annotations": []}, "image number 0 has no 'file_name'"),
    ],
)
def test_a_malformed_file_is_refused_with_a_reason(tmp_path: Path, document: object, complaint: str):
    with pytest.raises(BoxesError, match=complaint):
        read_boxes(written(tmp_path / "b.json", document))


def test_a_missing_file_is_refused(tmp_path: Path):
    with pytest.raises(BoxesError, match="cannot read"):
        read_boxes(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("names", "picture", "left"),
    [
        (["a/1.jpg", "b/1.jpg"], "/x/b/1.jpg", [1]),
        (["a/1.jpg", "b/1.jpg"], "/x/c/1.jpg", []),
        (["train/a/1.jpg", "train/b/1.jpg"], "b/1.jpg", [1]),
        (["a/1.jpg", "1.jpg"], "/x/c/1.jpg", [1]),
        (["a/1.jpg", "1.jpg"], "/x/a/1.jpg", [0]),
        (["./a/1.jpg", "other.jpg"], "/x/c/1.jpg", [0]),
        (["c:\\photos\\1.jpg"], "1.jpg", [0]),
    ],
)
def test_folders_tell_pictures_of_one_name_apart(tmp_path: Path, names: list[str], picture: str, left: list[int]):
    rows = [{"file_name": name, "bbox": [number, 2, 3, 4]} for number, name in enumerate(names)]
    assert read_boxes(written(tmp_path / "rows.json", rows)).boxes(picture).xywh[:, 0].tolist() == left
    document = {
        "images": [{"id": 10 + number, "file_name": name} for number, name in enumerate(names)],
        "annotations": [{"image_id": 10 + number, "bbox": row["bbox"]} for number, row in enumerate(rows)],
    }
    file = read_boxes(written(tmp_path / "coco.json", document))
    assert file.boxes(picture).xywh[:, 0].tolist() == left
    assert file.image_id(picture) == (10 + left[0] if left else 1)


def test_a_byte_order_mark_is_passed_over(tmp_path: Path):
    (tmp_path / "b.json").write_bytes(b"\xef\xbb\xbf" + json.dumps([{"image_id": 1, "bbox": [1, 2, 3, 4]}]).encode())
    assert len(read_boxes(tmp_path / "b.json").boxes("1.jpg")) == 1


@pytest.mark.parametrize(
    ("said", "notes"), [({"height": 30, "width": "40"}, 0), ({"height": 40, "width": 30}, 1), ({}, 0)]
)
def test_an_image_of_another_size_than_the_file_says_is_told_of_once(tmp_path: Path, said, notes, caplog):
    document = {
        "images": [{"id": n, "file_name": f"{n}.jpg", **said} for n in (1, 2)],
        "annotations": [{"image_id": 1, "category_id": 0, "bbox": [1, 2, 3, 4], "score": None}],
        "categories": [{"id": 0, "name": "person"}, {"id": 1, "name": "car"}],
    }
    file = read_boxes(written(tmp_path / "b.json", document))
    assert len(file(np.zeros((30, 40, 3), np.uint8), tmp_path / "1.jpg")) == 1
    assert len(file(np.zeros((30, 40, 3), np.uint8), tmp_path / "2.jpg")) == 0
    assert len(caplog.messages) == notes
    assert all("1.jpg is 40x30, but the file says 30x40; if the boxes lie beside" in text for text in caplog.messages)


def test_people_are_those_of_the_files_own_category_and_cars_are_not(tmp_path: Path, caplog):
    document = {
        "images": [{"id": 0, "file_name": "a.jpg"}],
        "annotations": [{"image_id": 0, "category_id": c, "bbox": [c, 2, 3, 4]} for c in (1, 2)],
        "categories": [{"id": 1, "name": "car"}, {"id": 2, "name": "person"}],
    }
    assert read_boxes(written(tmp_path / "b.json", document)).boxes("a.jpg").xywh[:, 0].tolist() == [2]
    assert "1 of 2 annotations are in category 'car', which is not people; they are left out" in caplog.text
    rows = [{"image_id": "a", "category_id": 0, "bbox": [7, 2, 3, 4]}]
    assert read_boxes(written(tmp_path / "rows.json", rows)).boxes("a.jpg").xywh[:, 0].tolist() == [7]
    assert "all 1 boxes are of category 0, and are taken for people" in caplog.text


def test_text_image_ids_are_names_or_numbers(tmp_path: Path):
    rows = [{"image_id": "12", "bbox": [1, 2, 3, 4]}]
    assert len(read_boxes(written(tmp_path / "b.json", rows)).boxes("0012.jpg")) == 1
    assert len(read_boxes(written(tmp_path / "b.json", rows)).boxes("12.jpg")) == 1
