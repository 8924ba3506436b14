"""What is known before the first step is said before the first step."""

import json
import logging
from pathlib import Path

import pytest

pytest.importorskip("torch")

from lightpose.data.coco import read_coco
from lightpose.data.people import read_people
from lightpose.errors import DataError, SkeletonError
from lightpose.skeletons import COCO17, Skeleton
from lightpose.train.loop import rank
from lightpose.train.start import check_boxed, check_measurable, warn_of_mirroring
from tests.helpers import DrawnSet


def changed(drawn: DrawnSet, **values: object) -> Path:
    document = json.loads(drawn.annotations.read_text())
    for row in document["annotations"]:
        row.update(values)
    path = drawn.annotations.with_name("changed.json")
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize("values", [{"iscrowd": 1}, {"keypoints": [0] * 51, "num_keypoints": 0}])
def test_a_validation_set_with_nobody_to_measure_is_refused(drawn: DrawnSet, values: dict[str, object]):
    with pytest.raises(DataError, match=r"changed\.json has nobody to measure on"):
        check_measurable(read_coco(changed(drawn, **values), drawn.images), COCO17)


def test_a_validation_set_without_a_joint_of_the_network_is_refused(drawn: DrawnSet):
    with pytest.raises(SkeletonError):
        check_measurable(read_coco(drawn.annotations, drawn.images), Skeleton("tail", ("tail",)))


def test_boxes_of_crowds_alone_are_nobody_to_measure_on(drawn: DrawnSet):
    with pytest.raises(DataError, match="nobody to measure on"):
        check_boxed(read_people(changed(drawn, iscrowd=1), drawn.images))
    check_boxed(read_people(drawn.annotations, drawn.images))


def test_missing_images_are_named_before_an_epoch_is_lost(drawn: DrawnSet):
    (drawn.images / "0002.png").unlink()
    with pytest.raises(DataError, match=r"there is no .*0002\.png; copy"):
        check_measurable(read_coco(drawn.annotations, drawn.images), COCO17)


def test_areas_of_zero_are_warned_of(drawn: DrawnSet, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.WARNING, "lightpose")
    check_measurable(read_coco(drawn.annotations, drawn.images), COCO17)
    assert not caplog.messages
    check_measurable(read_coco(changed(drawn, area=0), drawn.images), COCO17)
    assert "4 of 4 persons have an area of 0" in caplog.messages[-1]


def test_joints_without_sides_are_warned_of_while_crops_are_mirrored(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.WARNING, "lightpose")
    numbered = tuple("12345")
    for joints, share in ((COCO17.joints, 0.5), (numbered, 0.0), (("hat",), 0.5)):
        warn_of_mirroring(joints, share)
    assert not caplog.messages
    warn_of_mirroring(numbered, 0.5)
    assert "augment.flip_probability = 0" in caplog.text


def test_epochs_of_equal_ap_are_told_apart():
    """AP first; then PCK, or a detector's recall; then the loss; then the later one."""
    base = {"ap": 0.0, "pck": 0.2, "loss": 2.0, "epoch": 3}
    better = [{"ap": 0.1, "pck": 0.0}, {"pck": 0.3, "loss": 9.0}, {"loss": 1.0}, {"epoch": 4}]
    assert all(rank({**base, **change}) > rank(base) for change in better)
    assert rank({**base, "pck": float("nan")}) < rank({**base, "pck": 0.0})
    boxes = {"ap": 0.0, "ap50": 0.0, "recall": 0.1, "loss": 1.0, "epoch": 0}
    assert rank({**boxes, "recall": 0.2, "loss": 2.0}) > rank(boxes)
