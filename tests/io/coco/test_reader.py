"""Documents put right: ids, categories, and what is said of them."""

import copy

import pytest

from lightpose.io.coco import read_annotations

JOINTS = ["nose", "left_wrist", "right_wrist"]
POINTS = [10, 11, 2, 0, 0, 0, 14.5, 15.25, 1]


def document(*categories, ids=(7, 3), person=1):
    """Two images with a person each."""
    named = [{"id": person, "name": "person", "keypoints": JOINTS}]
    images = [{"id": own, "file_name": f"{n}.jpg", "height": 40, "width": 60} for n, own in enumerate(ids)]
    rows = [
        {"id": n, "image_id": own, "category_id": person, "bbox": [5, 6, 21, 31], "iscrowd": 0, "keypoints": POINTS}
        for n, own in enumerate(ids, start=1)
    ]
    return {"images": images, "annotations": rows, "categories": list(categories) or named, "info": {"year": 2024}}


def test_a_plain_document_stays_itself():
    plain = document()
    reading = read_annotations(plain, "pose")
    assert reading.document == plain
    assert (reading.notes, reading.refusal("x.json")) == ([], None)
    assert all(row is own for row, own in zip(reading.document["annotations"], plain["annotations"], strict=True))


def test_a_document_that_is_put_right_stays_as_it_was():
    odd = document(ids=("7", 3.0))
    odd["annotations"][0].update(bbox=["5", 6, 21, 31], keypoints=None, area=None)
    before = copy.deepcopy(odd)
    reading = read_annotations(odd, "pose")
    assert odd == before
    assert [row["image_id"] for row in reading.document["annotations"]] == [7, 3]
    assert reading.document["annotations"][0]["bbox"] == [5, 6, 21, 31]
    assert "area" not in reading.document["annotations"][0]
    assert dict(reading.own_ids) == {7: "7", 3: 3.0}


@pytest.mark.parametrize("ids", [(2**64, 2**64 + 1), ("beach", "street"), ("beach", 7)])
def test_ids_of_any_size_and_text_are_numbered_inside(ids):
    reading = read_annotations(document(ids=ids), "pose")
    assert [row["id"] for row in reading.document["images"]] == [1, 2]
    assert [row["image_id"] for row in reading.document["annotations"]] == [1, 2]
    assert dict(reading.own_ids) == dict(zip((1, 2), ids, strict=True))
    assert f"image {ids[0]}" in reading.notes[0]


@pytest.mark.parametrize("person", [0, 5, "5", 5.0, 2**70, "people"])
def test_people_are_of_the_category_with_joints_whatever_its_id(person):
    reading = read_annotations(document(person=person), "pose")
    assert reading.refusal("x.json") is None
    assert {row["category_id"] for row in reading.document["annotations"]} == {reading.people.number}
    assert reading.own_category == person


RIDER = {"id": 2, "name": "rider", "keypoints": JOINTS}
DOG = {"id": 2, "name": "dog", "keypoints": ["tail"]}
CAR = {"id": 2, "name": "car"}
PERSON = {"id": 1, "name": "person", "keypoints": JOINTS}


@pytest.mark.parametrize(
    ("other", "people", "note"),
    [
        (RIDER, 2, "1 of 2 annotations are in category 'rider', which has the same joints; they are used"),
        (DOG, 1, "1 of 2 annotations are in category 'dog', which has other joints; they are left out"),
        (CAR, 1, "1 of 2 annotations are in category 'car', which is not people; they are left out"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_another_category_is_used_or_left_out_and_said(other, people, note, first):
    rows = document(*([PERSON, other] if first or other is RIDER else [other, PERSON]))
    rows["annotations"][1]["category_id"] = 2
    if other is DOG:
        rows["annotations"][1]["keypoints"] = [1, 2, 2]
    reading = read_annotations(rows, "pose")
    assert reading.notes == [note]
    found = [row for row in reading.document["annotations"] if row["category_id"] == reading.people.number]
    assert len(found) == people
    assert reading.people.joints == tuple(JOINTS)
    assert reading.document["categories"][0]["name"] == "person"


def test_a_category_with_joints_that_nobody_has_is_passed_over():
    rows = document({"id": 9, "name": "person", "keypoints": ["nose"]}, {**PERSON, "name": "worker"})
    reading = read_annotations(rows, "pose")
    assert reading.people.number == 1
    assert reading.notes == []


@pytest.mark.parametrize("kind", ["people", "boxes"])
@pytest.mark.parametrize(
    ("categories", "number"),
    [
        ([{"id": 0, "name": "people"}, {"id": 1, "name": "human"}], 1),  # the other has no annotations
        ([{"id": 2, "name": "car"}, {"id": 1, "name": "Person"}], 1),
        ([{"id": 1, "name": None}], 1),
    ],
)
def test_boxes_of_people_are_told_by_name_or_by_being_the_only_ones(kind, categories, number):
    assert read_annotations(document(*categories), kind).people.number == number


def test_every_row_that_is_refused_is_named_and_counted():
    rows = document()
    rows["annotations"][0]["bbox"] = [1, 2, "x", 4]
    rows["annotations"][1]["bbox"] = None
    reading = read_annotations(rows, "pose")
    assert reading.refusal("x.json") == (
        "x.json: annotation 1 of image 7 (0.jpg) must have a bbox of four finite numbers (left, top, width, height); "
        "so with 1 more"
    )
    assert reading.remarks[0].names == (1, 2)


@pytest.mark.parametrize("content", [None, 5, "text", [], [{"image_id": 1}], {}, {"images": 3}])
def test_what_is_no_document_is_refused_and_raises_nothing(content):
    for kind in ("pose", "people", "boxes"):
        assert "is not a COCO annotation file" in read_annotations(content, kind).refusal("x.json")


def test_people_are_checked_also_where_the_names_of_their_joints_are_no_number_and_no_list():
    odd = document({"id": 1, "name": "person", "keypoints": float("nan")})
    assert read_annotations(odd, "people").refusal("x.json") is None
    odd["annotations"][1]["bbox"] = [{"value": 14}, 16, 76, 68]
    assert "must have a bbox of four finite numbers" in read_annotations(odd, "people").refusal("x.json")
