"""A folder as a store: whole or not at all, and one winner of many."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lightpose.errors import StoreError
from lightpose.scale.store import FolderStore, open_store


def test_what_was_put_is_read(tmp_path: Path):
    store = open_store(str(tmp_path / "new" / "store"))
    assert store.names() == []
    store.put("a/b.json", b"12345")
    store.put("a/b.json", b"123456")
    assert store.read("a/b.json") == b"123456"
    assert store.read_end("a/b.json", 2) == b"56"
    assert store.read_end("a/b.json", 99) == b"123456"


def test_names_begin_with_the_prefix_and_hidden_files_are_none(tmp_path: Path):
    store = FolderStore(tmp_path)
    for name in ("part-2", "part-1", "_more/part-3", "other"):
        store.put(name, b"")
    (tmp_path / ".part-4").write_bytes(b"")
    assert store.names("part-") == ["part-1", "part-2"]
    assert store.names("_more/") == ["_more/part-3"]
    assert store.names() == ["_more/part-3", "other", "part-1", "part-2"]


def test_the_first_of_two_stays(tmp_path: Path):
    store = FolderStore(tmp_path)
    assert store.put_once("a", b"first")
    assert not store.put_once("a", b"second")
    assert store.read("a") == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_one_of_many_wins_and_its_bytes_are_there(tmp_path: Path):
    contents = [bytes([number]) * 200_000 for number in range(16)]
    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(lambda content: FolderStore(tmp_path).put_once("a", content), contents))
    assert won.count(True) == 1
    assert FolderStore(tmp_path).read("a") == contents[won.index(True)]


def test_one_wins_on_a_disk_without_links(tmp_path: Path, monkeypatch):
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)  # as of exFAT, and of some network disks
    contents = [bytes([number]) * 1000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda content: FolderStore(tmp_path).put_once("a", content), contents))
    assert won.count(True) == 1
    assert FolderStore(tmp_path).read("a") == contents[won.index(True)]
    assert FolderStore(tmp_path).names() == ["a"]


def test_a_missing_name_is_told_in_one_sentence(tmp_path: Path):
    with pytest.raises(StoreError, match=r"cannot read .*nothing: No such file"):
        FolderStore(tmp_path).read("nothing")
    FolderStore(tmp_path).delete("nothing")


def test_a_place_that_takes_nothing_is_told_in_one_sentence(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="cannot write"):
        FolderStore(tmp_path / "file").put_once("a", b"")


def test_what_killed_writers_left_goes_and_what_is_whole_stays(tmp_path: Path):
    store = FolderStore(tmp_path)
    store.put_once("part-1", b"whole")
    for name in (".part-2.0123456789abcdef.partial", "..part-2.0123456789abcdef.partia.0123456789abcdef.partial",
                 ".other.0123456789abcdef.partial"):  # fmt: skip
        (tmp_path / name).write_bytes(b"half")
    store.clear("part-")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.0123456789abcdef.partial", "part-1"]
