"""Images held against their labels: other sizes, exchanged sides, EXIF marks, paths of other machines."""

import json
import struct

import numpy as np
import pytest

from lightpose.data.check import check_coco
from lightpose.data.coco import read_coco
from lightpose.data.crops import open_store
from lightpose.data.people import read_people
from lightpose.data.stored import fit_images, orientation, read_labelled
from lightpose.errors import DataError
from lightpose.evaluate.evaluation import evaluate_given_boxes
from lightpose.evaluate.scores import score_rows
from lightpose.inference.top_down import PredictOptions
from lightpose.io.images import encode_image, read_image
from lightpose.skeletons import COCO17
from lightpose.types import ModelSpec
from tests.helpers import ColorRuntime

TURNS = {1: lambda a: a, 3: lambda a: a[::-1, ::-1], 6: lambda a: np.rot90(a), 8: lambda a: np.rot90(a, -1)}
"""How pixels are stored so that the mark turns them upright."""


def exif(mark, order="<"):
    """An EXIF block with another tag before the orientation."""
    tags = struct.pack(f"{order}HHHII", 2, 0x010F, 3, 1, 7) + struct.pack(f"{order}HHIHH", 0x0112, 3, 1, mark, 0)
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8) + tags + b"\0" * 4


def jpeg(pixels, mark=None, order="<"):
    """The bytes of a JPEG file, with a comment and an EXIF mark."""
    content = encode_image(np.ascontiguousarray(pixels), ".jpg")
    if mark is None:
        return content
    block = b"Exif\0\0" + exif(mark, order)
    more = b"\xff\xfe\0\x05abc" + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block
    return content[:2] + more + content[2:]


def mark_set(drawn, marks):
    """The drawn set as JPEG files that carry those marks, stored so that the marks turn them upright."""
    document = json.loads(drawn.annotations.read_text())
    for image, mark in zip(document["images"], marks, strict=True):
        pixels = read_image(drawn.images / image["file_name"])
        image["file_name"] = image["file_name"].replace("png", "jpg")
        (drawn.images / image["file_name"]).write_bytes(jpeg(TURNS[mark](pixels), mark))
    drawn.annotations.write_text(json.dumps(document))
    return document


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("mark", [1, 3, 6, 8])
def test_the_mark_is_found_and_opencv_turns_the_image_by_it(tmp_path, mark, order):
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:20, :30] = 250
    (tmp_path / "a.jpg").write_bytes(jpeg(TURNS[mark](pixels), mark, order))
    assert orientation(tmp_path / "a.jpg") == mark
    upright = read_image(tmp_path / "a.jpg")
    assert upright.shape == (40, 60, 3)
    assert upright[5, 5].min() > 200 > 50 > upright[35, 55].max()


def test_files_without_a_mark_have_none(tmp_path):
    contents = [
        jpeg(np.zeros((9, 9, 3), np.uint8)),
        b"",
        b"\xff\xd8\xff\xe1",
        b"text",
        jpeg(np.zeros((9, 9, 3), np.uint8), 77),
    ]
    contents.append(encode_image(np.zeros((9, 9, 3), np.uint8), ".png"))
    contents += [contents[-2][:n] for n in range(2, 60, 3)]
    for content in contents:
        (tmp_path / "a.jpg").write_bytes(content)
        assert orientation(tmp_path / "a.jpg") == 1
    assert orientation(tmp_path / "none.jpg") == 1


def test_a_png_can_have_a_mark(tmp_path):
    content = encode_image(np.zeros((9, 9, 3), np.uint8), ".png")
    (tmp_path / "a.png").write_bytes(
        content[:33] + struct.pack(">I", 38) + b"eXIf" + exif(6) + b"\0" * 4 + content[33:]
    )
    assert orientation(tmp_path / "a.png") == 6


@pytest.mark.parametrize("marks", [(6, 6, 8), (6, 3, 1)])
def test_labels_made_upright_are_measured_upright_where_a_size_tells(drawn, tmp_path, marks, caplog):
    """All of them then, those that lie on a side and those upside down, which alone could not tell."""
    plain = open_store(read_coco(drawn.annotations, drawn.images), COCO17, (64, 48), tmp_path / "plain").crops
    document = mark_set(drawn, marks)
    source = read_coco(drawn.annotations, drawn.images)
    marked = sum(mark != 1 for mark in marks)
    assert f"{marked} images carry an EXIF orientation (0001.jpg: 6) and were labelled turned upright" in caplog.text
    runtime = ColorRuntime(ModelSpec("colors", COCO17, (128, 96), decoder="dark"))
    assert evaluate_given_boxes(source, runtime, PredictOptions()).scores.ap > 0.95
    crops = open_store(source, COCO17, (64, 48), tmp_path / "store").crops
    assert np.abs(crops.astype(float) - plain).mean((1, 2, 3)).max() < 10, "JPEG aside they are the same"
    finding = {each.code: each for each in check_coco(document, drawn.images)}["upright"]
    assert (finding.severity, finding.count) == ("note", marked)


def test_labels_that_a_size_does_not_tell_of_are_of_the_stored_pixels_and_the_marks_are_named(drawn, caplog):
    document = mark_set(drawn, (3, 3, 3))
    source = read_coco(drawn.annotations, drawn.images)
    assert (
        "3 images carry an EXIF orientation (0001.jpg: 3); labels are taken to be of the pixels as stored"
        in caplog.text
    )
    assert source.notes == tuple(caplog.messages)
    person = source.persons()[0]
    stored = read_labelled(person.image_path, person.image_hw, person.upright)
    np.testing.assert_array_equal(stored, read_image(person.image_path, exif=False))
    finding = {each.code: each for each in check_coco(document, drawn.images)}["orientation"]
    assert (finding.severity, finding.count) == ("warning", 3)
    assert "mogrify -auto-orient" in finding.remedy


def test_labels_of_the_stored_pixels_stay_so_where_the_sizes_tell(drawn, caplog):
    document = mark_set(drawn, (6, 6, 3))
    for image in document["images"][:2]:
        image.update(height=image["width"], width=image["height"])
    drawn.annotations.write_text(json.dumps(document))
    source = read_coco(drawn.annotations, drawn.images)
    assert "3 images carry an EXIF orientation" in caplog.text
    assert not any(person.upright for person in source.persons())


def changed_sizes(drawn, change):
    document = json.loads(drawn.annotations.read_text())
    for image in document["images"][1:]:
        change(image)
    drawn.annotations.write_text(json.dumps(document))
    return document


def exchange(image):
    image.update(height=image["width"], width=image["height"])


def double(image):
    image.update(height=2 * image["height"], width=2 * image["width"])


@pytest.mark.parametrize("read", [read_coco, read_people])
@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        (exchange, "turned_picture", r"200x160, but the labels say 160x200: height and width are exchanged"),
        (double, "other_size", r"200x160, but the labels say 400x320; use the images that were labelled"),
    ],
)
def test_images_of_another_size_are_refused_with_both_sizes(drawn, read, change, code, text):
    document = changed_sizes(drawn, change)
    with pytest.raises(DataError, match=rf"people.json: image 2 \(0002.png\) is {text}.*; so with 1 more"):
        read(drawn.annotations, drawn.images)
    finding = {each.code: each for each in check_coco(document, drawn.images)}[code]
    assert (finding.severity, finding.examples) == ("error", (2, 3))


def test_an_image_that_is_exchanged_for_another_later_is_refused_when_it_is_read(drawn):
    person = read_coco(drawn.annotations, drawn.images).persons()[0]
    person.image_path.write_bytes(encode_image(np.zeros((80, 100, 3), np.uint8), ".png"))
    with pytest.raises(DataError, match=r"0001.png has 100x80 pixels, but its labels are of an image of 200x160"):
        read_labelled(person.image_path, person.image_hw)


def test_sizes_that_are_not_given_are_those_of_the_files(drawn):
    changed_sizes(drawn, lambda image: image.pop("height"))
    source = read_coco(drawn.annotations, drawn.images)
    assert [image["height"] for image in source.document["images"]] == [160, 160, 160]
    assert "images without height and width have those of their files (2: image 2 (0002.png), …)" in source.notes[0]
    (drawn.images / "0003.png").unlink()
    with pytest.raises(DataError, match=r"image 3 \(0003.png\) has no height and width, and its file is not at hand"):
        read_coco(drawn.annotations, drawn.images)


@pytest.mark.parametrize("name", ["/far/away/{}", "C:\\data\\{}", "https://host/data/{}?size=9", "..\\images\\{}"])
def test_a_path_of_another_machine_is_looked_for_in_the_folder(drawn, name):
    changed_sizes(drawn, lambda image: image.update(file_name=name.format(image["file_name"])))
    persons = read_coco(drawn.annotations, drawn.images).persons()
    assert all(read_labelled(person.image_path, person.image_hw).shape for person in persons)


def test_a_path_of_this_machine_stays(drawn, tmp_path):
    (tmp_path / "0001.png").write_bytes((drawn.images / "0001.png").read_bytes())
    rows = [{"id": 1, "file_name": str(tmp_path / "0001.png"), "height": 160, "width": 200}]
    assert fit_images(rows, drawn.images).images == rows


def test_ids_beyond_64_bits_are_scored_and_results_have_the_files_own(drawn, tmp_path):
    from lightpose.evaluate.results import write_results

    document = json.loads(drawn.annotations.read_text())
    for row in (*document["images"], *document["annotations"]):
        row["id"] += 2**64
        row["image_id"] = row.get("image_id", 0) + 2**64
    drawn.annotations.write_text(json.dumps(document))
    source = read_coco(drawn.annotations, drawn.images)
    runtime = ColorRuntime(ModelSpec("colors", COCO17, (128, 96), decoder="dark"))
    evaluation = evaluate_given_boxes(source, runtime, PredictOptions())
    assert evaluation.scores.ap > 0.95
    write_results(tmp_path / "r.json", evaluation.results, source)
    rows = json.loads((tmp_path / "r.json").read_text())
    assert {row["image_id"] for row in rows} == {image["id"] for image in document["images"]}
    assert score_rows(source, rows, COCO17).ap == pytest.approx(evaluation.scores.ap)


def test_an_annotation_of_id_0_is_a_person_like_others(drawn):
    """COCO's evaluation stores whom a pose has found by id, and takes 0 for nobody."""
    document = json.loads(drawn.annotations.read_text())
    for row in document["annotations"]:
        row["id"] -= 1
    drawn.annotations.write_text(json.dumps(document))
    rows = [{**row, "score": 0.9} for row in document["annotations"]]
    assert score_rows(read_coco(drawn.annotations, drawn.images), rows, COCO17).ap == pytest.approx(1)
