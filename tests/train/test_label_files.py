"""A network learns from each annotation tool's export as from the COCO form of the same data."""

import pytest

pytest.importorskip("torch")

from tests.data.label_files import TOOLS, exported
from tests.helpers import DrawnSet, draw_set
from tests.train.runs import PLAIN, Diary, config_for, data_of, train

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return draw_set(tmp_path_factory.mktemp("drawn") / "set")


def losses(drawn, folder):
    """Of an epoch on that data."""
    config = config_for(data_of(drawn, folder / "store"), folder / "run", epochs=1, augment=PLAIN)
    diary = Diary()
    train(config, diary)
    assert len(diary.evaluations) == 1
    return [step[3] for step in diary.steps]


@pytest.mark.parametrize("tool", TOOLS)
def test_an_epoch_on_an_export_is_one_on_the_coco_file(tool, drawn, tmp_path):
    path, images = exported(tool, drawn, tmp_path / "export")
    found, wanted = losses(DrawnSet(path, images), tmp_path), losses(drawn, tmp_path / "coco")
    boxes = 0.2 if "cvat" in tool else 1e-3  # CVAT has no boxes: crops differ a little
    assert found == pytest.approx(wanted, rel=boxes)
