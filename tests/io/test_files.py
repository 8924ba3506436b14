"""Files written aside: they take their places together, or not at all, and leave nothing behind."""

from pathlib import Path

import pytest

from lightpose.io.files import clear_asides, replace_together, write_aside, written_aside


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
