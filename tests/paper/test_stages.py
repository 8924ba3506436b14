"""What the stages of training were worth, from logs written by hand."""

import json

import pytest

from lightpose.errors import DataError
from lightpose.paper.stages import read_log, stage_marks


def write(folder, epochs, stages=(), **more):
    """A run's folder. epochs: stage and AP of each validated one, by its number."""
    folder.mkdir()
    rows = [{"epoch": n, "stage": stage, "loss": 1.0, "ap": ap} for n, (stage, ap) in epochs.items()]
    table = {"model": "lpn50", "epochs": rows, "stages": [{"stage": s, "ap": 0.5, "epoch": 1} for s in stages], **more}
    (folder / "log.json").write_text(json.dumps(table))
    return folder


@pytest.fixture
def paper_run(tmp_path):
    epochs = {1: (0, 0.5), 3: (0, 0.4), 4: (1, 0.55), 5: (1, 0.6), 6: (2, 0.58)}
    return write(tmp_path / "paper", epochs, stages=(0, 1), data="val.json")


def test_a_stage_is_told_by_its_best_ap_and_what_that_gains(paper_run):
    log = read_log(paper_run)
    assert log == read_log(paper_run / "log.json")
    assert log.how.startswith("on val.json, given boxes, flip test")
    [marks] = stage_marks([log])
    assert [(mark.stage, mark.epochs, mark.ap, mark.finished) for mark in marks] == [
        (0, 4, 0.5, True), (1, 6, 0.6, True), (2, 7, 0.58, False),
    ]  # fmt: skip
    assert [mark.gain for mark in marks] == [None, pytest.approx(0.1), pytest.approx(-0.02)]


def test_a_run_in_one_piece_is_told_by_its_best_ap_after_as_many_epochs(tmp_path, paper_run):
    cosine = write(tmp_path / "cosine", {0: (0, 0.3), 3: (0, 0.45), 4: (0, 0.44), 5: (0, 0.65)}, stages=(0,))
    own, other = stage_marks([read_log(paper_run), read_log(cosine)])
    assert [mark.ap for mark in own] == [0.5, 0.6, 0.58]
    assert [(mark.epochs, mark.ap) for mark in other] == [(4, 0.45), (6, 0.65), (7, None)]
    assert [mark.gain for mark in other] == [None, pytest.approx(0.2), None]
    assert "a set that the log does not name" in read_log(cosine).how


def test_alone_a_run_in_one_piece_is_one_stage(tmp_path):
    [marks] = stage_marks([read_log(write(tmp_path / "run", {0: (0, 0.3), 1: (0, 0.2)}))])
    assert [(mark.epochs, mark.ap, mark.finished) for mark in marks] == [(2, 0.3, False)]


def test_an_ap_that_could_not_be_measured_is_none(tmp_path):
    [marks] = stage_marks([read_log(write(tmp_path / "run", {0: (0, -1.0), 1: (1, 0.2)}))])
    assert [(mark.ap, mark.gain) for mark in marks] == [(None, None), (0.2, None)]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[]", r"is no log of lightpose train; name the log\.json, or the folder, of a run"),
        ("{", "is not a json file"),
        ('{"model": "lpn50"}', "has no list of epochs"),
        ('{"model": "lpn50", "epochs": [3], "stages": []}', "has no list of epochs"),
        ('{"model": "lpn50", "epochs": [], "stages": []}', "has no validated epoch yet; let the run go on first"),
        ('{"model": "lpn50", "epochs": [{"epoch": 0, "stage": 0}], "stages": []}', "must have an epoch, a stage and"),
    ],
)
def test_what_is_no_log_is_refused_in_a_sentence(tmp_path, text, complaint):
    (tmp_path / "log.json").write_text(text)
    with pytest.raises(DataError, match=complaint):
        read_log(tmp_path)


def test_a_folder_without_a_log_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*log\.json: No such file"):
        read_log(tmp_path)
