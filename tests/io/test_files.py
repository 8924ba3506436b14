"""Files written aside: they take their places together, or not at all, and leave nothing behind."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lightpose.errors import ConfigError
from lightpose.io.files import (
    check_place,
    clear_asides,
    finish_replacing,
    new_aside,
    replace_together,
    write_aside,
    written_aside,
)


def test_paths_aside_keep_their_suffixes_and_share_a_stem(tmp_path: Path):
    with written_aside(tmp_path / "a.bin", tmp_path / "a.xml") as (numbers, graph):
        assert (numbers.suffix, graph.suffix, numbers.stem) == (".bin", ".xml", graph.stem)
        numbers.write_text("1")
        graph.write_text("2")
        assert not (tmp_path / "a.xml").exists()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.bin": "1", "a.xml": "2"}


def test_after_an_error_the_old_files_are_left_as_they_were(tmp_path: Path):
    old = tmp_path / "a.xml"
    write_aside(old, b"old")

    def fail_with_a_path() -> None:
        with written_aside(old) as (aside,):
            aside.write_text("new")
            raise ValueError("unfit")

    def fail_with_a_file() -> None:
        with replace_together(old) as (file,):
            file.write(b"new")
            raise ValueError("unfit")

    for fail in (fail_with_a_path, fail_with_a_file):
        with pytest.raises(ValueError, match="unfit"):
            fail()
        assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path: Path):
    kept = [".hidden", "a.partial", ".a.partial", f"a.{8 * '0f'}.partial.xml", ".a.12.partial"]
    for name in (f".a.json.{8 * '0f'}.partial", f".a.{8 * '0f'}.partial.xml", *kept):
        (tmp_path / name).touch()
    clear_asides(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_permissions_are_kept_and_a_new_file_gets_the_usual_ones(tmp_path: Path):
    private, new = tmp_path / "private", tmp_path / "new"
    private.write_text("old")
    private.chmod(0o600)
    before = os.umask(0o027)
    try:
        for write in (write_aside, lambda path, content: _write_by_path(path, content)):
            write(private, b"1")
            write(new, b"2")
            assert (stat.S_IMODE(private.stat().st_mode), stat.S_IMODE(new.stat().st_mode)) == (0o600, 0o640)
            new.unlink()
    finally:
        os.umask(before)


def _write_by_path(path: Path, content: bytes) -> None:
    """As a library does that wants a path, and makes the file anew."""
    with written_aside(path) as (aside,):
        assert stat.S_IMODE(aside.stat().st_mode) in (0o600, 0o640)
        aside.unlink()
        aside.write_bytes(content)
        aside.chmod(0o666)


def test_what_is_no_file_is_not_replaced_nor_is_a_link_followed(tmp_path: Path):
    (tmp_path / "precious").write_text("1")
    (tmp_path / "link").symlink_to("precious")
    (tmp_path / "dangling").symlink_to("none")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    names = sorted(path.name for path in tmp_path.iterdir())
    reasons = {"link": "is a link", "dangling": "is a link", "folder": "is a folder", "pipe": "a device or a pipe"}
    places = {**{tmp_path / name: reason for name, reason in reasons.items()}, Path("/dev/null"): "a device"}
    for path, reason in {**places, Path("/dev/stdout"): ""}.items():
        for check in (check_place, lambda path: write_aside(path, b"2"), lambda path: _write_by_path(path, b"2")):
            with pytest.raises(ConfigError, match=f"{path} .*{reason}"):
                check(path)
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert (tmp_path / "precious").read_text() == "1"
    assert Path("/dev/null").is_char_device()


def test_names_aside_cannot_be_foreseen_and_are_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first, second = new_aside(tmp_path / "a"), new_aside(tmp_path / "a")
    assert first != second
    monkeypatch.setattr("secrets.token_hex", lambda _: 8 * "0f")
    (tmp_path / "precious").write_text("1")
    new_aside(tmp_path / "a").symlink_to("precious")
    for write in (write_aside, _write_by_path):
        with pytest.raises(FileExistsError):
            write(tmp_path / "a", b"2")
    assert (tmp_path / "precious").read_text() == "1"
    assert new_aside(tmp_path / "a").is_symlink(), "what is another's stays"


def test_a_file_is_on_the_disk_before_it_is_renamed_and_its_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    done: list[str] = []
    replace = os.replace
    monkeypatch.setattr(os, "fsync", lambda number: done.append(Path(f"/proc/self/fd/{number}").readlink().name))
    monkeypatch.setattr(os, "replace", lambda *names: (done.append("rename"), replace(*names)))
    write_aside(tmp_path / "a", b"1")
    assert [done[0][:3], *done[1:]] == [".a.", "rename", tmp_path.name]
    done.clear()
    write_aside(tmp_path / "a", b"2", sync=False)
    assert done == ["rename"]


PAIR = """
import os, signal, sys
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from lightpose.io.files import replace_together
left, replace, unlink = int(sys.argv[1]), os.replace, os.unlink

def count(act):
    def counted(*names, **options):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return act(*names, **options)
    return counted

os.replace, os.unlink = count(replace), count(unlink)
with replace_together(Path("a.json"), Path("b.json")) as files:
    for file in files:
        file.write(b"new")
print(left)
"""


def test_a_kill_between_the_renames_never_leaves_a_new_file_with_an_old_one(tmp_path: Path):
    """At each of the steps that change names: what is there at once, and what the next run makes of it."""
    paths = tmp_path / "a.json", tmp_path / "b.json"
    seen = []
    for steps in range(20):
        for path in paths:
            path.write_text("old")
        done = subprocess.run(
            [sys.executable, "-c", PAIR, str(steps)], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        there = [path.read_text() if path.exists() else "" for path in paths]
        finish_replacing(*paths)
        after = [path.read_text() for path in paths]
        assert after in (["old", "old"], ["new", "new"])
        seen.append((there, after))
        clear_asides(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json"]
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
    assert {tuple(there) for there, _ in seen} == {("old", "old"), ("old", ""), ("new", ""), ("new", "new")}
    assert [after for there, after in seen if there == ["new", ""]] == [["new", "new"]]
    assert done.returncode == 0


@pytest.mark.parametrize(
    "note",
    [b"", b"{", b"[]", b"7", b'{"a": "precious", "b": ".b.0123456789abcdef.partial"}',
     b'{"a": "../.a.0123456789abcdef.partial", "b": ".b.0123456789abcdef.partial"}',
     b'{"b": ".b.0123456789abcdef.partial"}'],
)  # fmt: skip
def test_a_note_that_no_writer_wrote_moves_nothing(tmp_path: Path, note: bytes):
    for name in ("a", "b", "precious", ".b.0123456789abcdef.partial"):
        (tmp_path / name).write_text(name)
    (tmp_path / ".b.renaming").write_bytes(note)
    finish_replacing(tmp_path / "a", tmp_path / "b")
    assert [(tmp_path / name).read_text() for name in ("a", "b", "precious")] == ["a", "b", "precious"]
