"""The check of a COCO file: a good one passes, and every fault is found where it is."""

import copy
import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from lightpose.data import check
from lightpose.data.check import check_coco, summarise
from lightpose.data.check.faults import Fault
from lightpose.errors import DataError
from lightpose.io.images import encode_image
from tests.data.faulty import FAULTS, HEIGHT, WIDTH, document, found


def test_a_good_file_has_nothing_to_report():
    assert check_coco(document()) == []


def test_the_document_stays_as_it_was():
    content = document()
    content["annotations"][3]["bbox"] = [1, 2]
    before = copy.deepcopy(content)
    check_coco(content)
    summarise(content)
    assert content == before


@pytest.mark.parametrize("code", FAULTS)
def test_a_fault_is_found_where_it_is(code):
    change, examples = FAULTS[code]
    content = document()
    change(content)
    finding = found(content)[code]
    if examples:
        assert finding.examples == examples
    assert finding.count >= len(finding.examples) > 0
    assert finding.remedy.endswith(".")
    assert not finding.consequence.endswith(".")


def test_every_fault_that_a_check_can_report_is_tested():
    """The codes in the source against those that the tests provoke."""
    parts = [import_module(f"lightpose.data.check.{path.stem}") for path in Path(check.__file__).parent.glob("*.py")]
    values = [value for part in parts for value in vars(part).values()]
    values += [inner for value in values if isinstance(value, dict) for inner in value.values()]
    codes = {value.code for value in values if isinstance(value, Fault)}
    elsewhere = {"no_list", "swapped_names", "mostly_backs", "missing_picture", "broken_picture", "turned_picture",
                 "other_size", "orientation", "upright"}  # fmt: skip
    assert codes == set(FAULTS) | elsewhere


@pytest.mark.parametrize("code", ["no_crowd", "num_keypoints_off", "placed_unlabelled", "crowd_keypoints", "no_limbs"])
def test_a_harmless_fault_is_no_error(code):
    content = document()
    FAULTS[code][0](content)
    assert all(finding.severity != "error" for finding in check_coco(content))


@pytest.mark.parametrize("content", [[], [{"image_id": 1, "keypoints": []}], {}, {"a": 1}, 5, None, "text"])
def test_what_is_no_annotation_file_is_refused(content):
    with pytest.raises(DataError, match="CO annotation file"):
        check_coco(content)


def test_missing_lists_are_named_and_the_rest_is_checked():
    content = document()
    del content["categories"]
    content["annotations"][4]["num_keypoints"] = 0
    findings = found(content)
    assert findings["no_list"].examples == ("categories",)
    assert findings["num_keypoints_zero"].examples == (105,)


def test_an_empty_set_has_nobody_who_counts():
    content = {**document(0)}
    assert set(found(content)) == {"nobody_counts"}


def test_labels_of_somebody_else_are_an_error_where_they_are_many():
    content = document()
    content["annotations"][4].update(bbox=[450, 30, 80, 90], area=3600)
    assert found(content)["other_person"].severity == "error"  # one in twenty
    content = document(100)
    content["annotations"][4].update(bbox=[450, 30, 80, 90], area=3600)
    assert found(content)["other_person"].severity == "warning"


def test_the_number_of_examples_is_what_was_asked_for():
    content = document()
    for target in content["annotations"]:
        del target["iscrowd"]
    for wanted, shown in ((0, 0), (3, 3), (100, 20)):
        finding = check_coco(content, examples=wanted)[0]
        assert (finding.count, len(finding.examples)) == (20, shown)


def test_the_gravest_comes_first():
    content = document()
    for code in ("no_crowd", "num_keypoints_zero", "small_people", "labelled_at_origin"):
        FAULTS[code][0](content)
    order = ["error", "warning", "note"]
    ranks = [order.index(finding.severity) for finding in check_coco(content)]
    assert ranks == sorted(ranks)
    assert set(ranks) == {0, 1, 2}


def test_the_summary_counts_what_is_there():
    content = document()
    content["annotations"][0]["iscrowd"] = 1
    content["annotations"][1].update(keypoints=[0] * 51, num_keypoints=0)
    content["annotations"][2]["keypoints"][2] = 1
    summary = summarise(content)
    assert (summary.pictures, summary.pictures_with_labels) == (20, 18)
    assert (summary.persons, summary.crowds, summary.labelled) == (19, 1, 18)
    assert (summary.medium, summary.large) == (9, 9)
    assert summary.joints["nose"] == (17, 1)
    assert summary.joints["left_ankle"] == (18, 0)


@pytest.fixture
def folder(tmp_path):
    for number in range(20):
        (tmp_path / f"{number}.png").write_bytes(encode_image(np.zeros((HEIGHT, WIDTH, 3), np.uint8), ".png"))
    return tmp_path


def test_pictures_that_are_there_and_fit_are_not_mentioned(folder):
    assert check_coco(document(), folder) == []


def test_missing_broken_turned_and_scaled_pictures_are_told_apart(folder):
    (folder / "1.png").unlink()
    (folder / "2.png").write_bytes((folder / "2.png").read_bytes()[:-40])
    (folder / "3.png").write_bytes(b"")
    (folder / "4.png").write_bytes(encode_image(np.zeros((WIDTH, HEIGHT, 3), np.uint8), ".png"))
    (folder / "5.png").write_bytes(encode_image(np.zeros((240, 320, 3), np.uint8), ".png"))
    findings = found(document(), folder)
    assert {code: finding.examples for code, finding in findings.items()} == {
        "missing_picture": (12,), "broken_picture": (13, 14), "turned_picture": (15,), "other_size": (16,),
    }  # fmt: skip


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no folder of images called .*nowhere"):
        check_coco(document(), tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("file", "images"),
    [("coco_keypoints/train.json", "coco_keypoints/train2017"), ("coco_keypoints/val.json", "coco_keypoints/val2017"),
     ("lspet/val.json", "lspet/images"), ("eval_fixtures/val2017_part_gt.json", None)],
)  # fmt: skip
def test_real_sets_labelled_by_hand_have_no_errors(real_data, file, images):
    content = json.loads((real_data / file).read_text())
    findings = check_coco(content, images and real_data / images)
    assert not [finding for finding in findings if finding.severity == "error"]
    assert sum(finding.count for finding in findings if finding.code.startswith("reversed")) < 0.04 * len(
        content["annotations"]
    )
