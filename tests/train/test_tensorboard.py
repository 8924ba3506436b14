"""What a run leaves for people to look at: TensorBoard's events and pictures of predictions."""

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("tensorboard")
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightpose.train.callbacks import Reports
from lightpose.train.tensorboard import TensorBoard
from tests.train.runs import Diary, config_for, train

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]


def read_events(out):
    events = EventAccumulator(str(out / "tensorboard"), size_guidance={"scalars": 0, "images": 0})
    events.Reload()
    return events


@pytest.fixture(scope="module")
def shown(few_people, tmp_path_factory):
    """A run of three epochs of two steps, a picture every other epoch and at the end: folder, diary, events."""
    out, diary = tmp_path_factory.mktemp("shown"), Diary()
    config = config_for(few_people, out, batch=2, epochs=3, preview_every=2, checkpoint_every_s=1e9)
    train(config, Reports([diary, TensorBoard(out)]))
    return out, diary, read_events(out)


def scalars(events, name):
    return [(event.step, event.value) for event in events.Scalars(name)]


def test_every_step_has_its_loss_and_rate_in_tensorboard(shown):
    _, diary, events = shown
    for name, place in (("train/loss", 3), ("train/learning_rate", 4)):
        steps, values = zip(*scalars(events, name), strict=True)
        assert steps == (1, 2, 3, 4, 5, 6)
        assert values == pytest.approx([entry[place] for entry in diary.steps], rel=1e-6)


def test_every_validation_is_in_tensorboard_at_the_last_step_of_its_epoch(shown):
    _, diary, events = shown
    for name, place in (("train/epoch_loss", 1), ("val/AP", 2)):
        assert scalars(events, name) == [
            (2 * epoch + 2, pytest.approx(entry[place], rel=1e-6)) for epoch, entry in enumerate(diary.evaluations)
        ]
    for name in ("val/AP50", "val/PCK@0.1"):
        assert [step for step, _ in scalars(events, name)] == [2, 4, 6]
    assert scalars(events, "stage/AP") == [(6, pytest.approx(diary.stages[-1][-1].ap, rel=1e-6))]


def test_previews_are_files_that_open_and_in_tensorboard(shown):
    out, diary, events = shown
    files = sorted((out / "previews").iterdir())
    assert [path.name for path in files] == ["epoch_0002.jpg", "epoch_0003.jpg"]
    shown_images = events.Images("val/labels_and_predictions")
    assert [event.step for event in shown_images] == [4, 6]
    for path, event, (_, picture) in zip(files, shown_images, diary.previews, strict=True):
        assert path.read_bytes().startswith(b"\xff\xd8\xff")
        opened = cv2.imread(str(path))[..., ::-1]
        assert opened.shape == picture.shape == (64, 384, 3)
        assert np.abs(opened.astype(int) - picture).mean() < 6
        sent = cv2.imdecode(np.frombuffer(event.encoded_image_string, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        np.testing.assert_array_equal(sent, picture)


def test_what_a_killed_run_showed_beyond_its_checkpoint_is_hidden_once_it_goes_on(tmp_path):
    """Steps 1 to 5 are told, the last checkpoint is of step 3; the next run tells 4 to 6 anew."""
    first = TensorBoard(tmp_path)
    for step in range(1, 6):
        first.stepped(0, step, 6, 100.0 + step, 1e-3)
    first.close()
    second = TensorBoard(tmp_path)
    second.resumed(0, 3)
    for step in range(4, 7):
        second.stepped(0, step, 6, 200.0 + step, 1e-3)
    second.close()
    assert scalars(read_events(tmp_path), "train/loss") == [(1, 101), (2, 102), (3, 103), (4, 204), (5, 205), (6, 206)]


def test_all_reports_are_told_everything(shown):
    """Each of several hears what one alone does."""
    _, diary, _ = shown
    several = [Diary(), Diary()]
    reports = Reports(several)
    reports.preparing("people.json", 1, 4)
    reports.resumed(2, 3)
    for entry in diary.steps:
        reports.stepped(*entry)
    reports.previewed(1, diary.previews[0][1])
    reports.finished(diary.stages[-1])
    for each in several:
        assert each.prepared == [("people.json", 1, 4)]
        assert each.resumptions == [(2, 3)]
        assert each.steps == diary.steps
        assert [epoch for epoch, _ in each.previews] == [1]
        assert each.stages == diary.stages


def test_a_tensorboard_that_is_told_nothing_writes_nothing(tmp_path):
    tensorboard = TensorBoard(tmp_path)
    tensorboard.preparing("people.json", 0, 4)
    tensorboard.resumed(0, 0)
    assert not list(tmp_path.iterdir())
