"""Which rows of a list of boxes are people's."""

import pytest

from lightpose.errors import BoxesError
from lightpose.io.coco import people_of, read_detection_rows


def rows(*categories):
    return [{"image_id": n, "bbox": [1, 2, 3, 4], "category_id": each} for n, each in enumerate(categories)]


@pytest.mark.parametrize(
    ("categories", "images", "guessed"),
    [((1, 2, 1), [0, 2], False), ((0, 0), [0, 1], True), ((None, 3, 1), [0, 2], False), (("1", 1.0), [0, 1], False),
     ((), [], False)],
)  # fmt: skip
def test_people_are_1_as_in_coco_or_0_if_all_are(categories, images, guessed):
    found, note = people_of("b.json", read_detection_rows("b.json", rows(*categories)))
    assert [row.image_id for row in found] == images
    assert bool(note) == guessed


@pytest.mark.parametrize("categories", [(0, 1), (0, 2), (2, 3), (5, 5), ("car",)])
def test_a_list_that_does_not_say_who_is_people_is_refused(categories):
    with pytest.raises(BoxesError, match="does not say which is people, who are 1 in COCO"):
        people_of("b.json", read_detection_rows("b.json", rows(*categories)))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"bbox": None}, r"row 0 \(image 4\): bbox must be"),
        ({"bbox": ["1", 2, 3, "wide"]}, "bbox must be"),
        ({"score": float("nan")}, "score a number"),
        ({"category_id": [1]}, "category_id must be a number or a name"),
        ({"iscrowd": "no"}, "iscrowd must be 0 or 1"),
        ({"image_id": None}, "image_id must be a number or a name"),
        ({"file_name": 5}, "file_name must be text"),
    ],
)
def test_a_malformed_row_is_named(change, text):
    with pytest.raises(BoxesError, match=text):
        read_detection_rows("b.json", [{"image_id": 4, "bbox": [1, 2, 3, 4], **change}])


def test_text_and_points_are_read_as_numbers():
    (row,) = read_detection_rows("b.json", [{"image_id": "7", "bbox": ["1", 2.5, 3, "4"], "score": "0.5"}])
    assert (row.box_xywh, row.score, row.category, row.crowd) == ([1, 2.5, 3, 4], 0.5, None, False)
