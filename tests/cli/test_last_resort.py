"""What a command ends with when nobody has foreseen what went wrong, and what reaches the terminal."""

import os
import signal
import subprocess
import sys
import time
import warnings
from functools import partial
from pathlib import Path

import pytest
from rich.table import Table

from lightpose.cli import main
from lightpose.cli.console import SafeConsole
from lightpose.cli.last_resort import DEBUG, escape_controls
from lightpose.cli.predict import Predict
from lightpose.errors import LightposeError
from tests.helpers import DrawnSet

COMMAND = [sys.executable, "-m", "lightpose"]


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs `lightpose predict` whose work does what it is told; gives the exit code and standard error."""

    def run(work: object) -> tuple[object, str]:
        monkeypatch.setattr(Predict, "run", work)
        with pytest.raises(SystemExit) as ended:
            main(["predict", "a.jpg"])
        return ended.value.code, capsys.readouterr().err

    return run


def raising(error: BaseException):
    def work(_: Predict) -> int:
        raise error

    return work


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("three\nlines\nof it"), RuntimeError(), RecursionError("too deep"), AssertionError()]
)
def test_an_error_that_nobody_has_foreseen_is_one_sentence(fail, error: Exception, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(DEBUG, raising=False)
    code, said = fail(raising(error))
    assert code == 2
    assert said.count("\n") == 1
    assert f"{type(error).__name__}" in said
    assert f"set {DEBUG}=1" in said


def test_a_value_of_a_hundred_thousand_letters_leaves_a_sentence_that_can_be_read(fail):
    code, said = fail(raising(LightposeError(f"a.json has the joint {'x' * 100_000}, which is unknown")))
    assert code == 2
    assert len(said) < 2100
    assert said.startswith("lightpose: a.json has the joint xxx")
    assert said.endswith("xxx, which is unknown\n")


def test_the_details_are_there_for_who_asks(fail, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(DEBUG, "1")
    with pytest.raises(ZeroDivisionError):
        fail(raising(ZeroDivisionError("why")))


def test_too_little_memory_and_an_interrupt_have_words_of_their_own(fail, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(DEBUG, raising=False)
    assert fail(raising(MemoryError())) == (
        2, "lightpose: there is not enough memory for this; use smaller images, batches or fewer threads\n",
    )  # fmt: skip
    assert fail(raising(KeyboardInterrupt())) == (130, "lightpose: interrupted\n")
    loading = ImportError("initialization failed")
    loading.__cause__ = KeyboardInterrupt()
    assert fail(raising(loading)) == (130, "lightpose: interrupted\n")


def test_what_libraries_warn_of_does_not_reach_the_terminal(fail, monkeypatch: pytest.MonkeyPatch):
    def work(_: Predict) -> int:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("overflow", RuntimeWarning, stacklevel=1)
        return 0

    monkeypatch.delenv(DEBUG, raising=False)
    assert fail(work) == (0, "")
    monkeypatch.setenv(DEBUG, "1")
    with pytest.warns(RuntimeWarning, match="overflow"):
        fail(work)


def test_control_characters_are_shown_not_obeyed(fail):
    """Those of a terminal, of a line and of the direction of text; letters of all scripts, tabs and lines stay."""
    name = "a\x1b[2Jb\rc\u202ed"

    def work(_: Predict) -> int:
        sys.stderr.write(name)
        return 0

    assert fail(work) == (0, r"a\x1b[2Jb\rc\u202ed")
    assert escape_controls("plain\ttext\nümläut 姿勢 🙂") == "plain\ttext\nümläut 姿勢 🙂"


def test_a_name_of_a_missing_file_cannot_act_on_the_terminal(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    with pytest.raises(SystemExit) as ended:
        main(["predict", str(tmp_path / "\x1b[31mred\n.jpg"), "--out", str(tmp_path / "out")])
    said = "".join(capsys.readouterr())
    assert ended.value.code == 2
    assert "\x1b" not in said
    assert r"\x1b[31mred" in said


def test_a_table_shows_control_characters(capsys: pytest.CaptureFixture[str]):
    table = Table("name")
    table.add_row("a\x1b[2Jb\u202e")
    SafeConsole(width=80).print(table)
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert r"a\x1b" in shown


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_closed_stream_is_quiet(closed: str):
    shell = f"{sys.executable} -m lightpose --version {closed}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("delay_s", [0.3, 0.6, 1.0, 1.6, 3.0])
def test_an_interrupt_at_any_time_is_130_and_one_line(drawn: DrawnSet, tmp_path: Path, delay_s: float):
    pictures = sorted(drawn.images.iterdir()) * 400
    many = tmp_path / "many"
    many.mkdir()
    for number, picture in enumerate(pictures):
        (many / f"{number}.png").symlink_to(picture)
    command = [*COMMAND, "predict", str(many), "--out", str(tmp_path / "out")]
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # else that of who started the tests, perhaps none
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heard
    ) as process:
        time.sleep(delay_s)
        os.kill(process.pid, signal.SIGINT)
        try:
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130, said
    assert "Traceback" not in said
