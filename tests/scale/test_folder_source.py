"""Folders, patterns and lists as sources, with names that nobody should give to files."""

import os
import sys
from pathlib import Path

import pytest

from lightpose.errors import ConfigError, ImageError, ImageMissingError
from lightpose.io.sources import find_images
from lightpose.scale.source import DistinctNames, Item, SourceOptions, open_source
from tests.scale.small import draw_images

HOSTILE = (b"new\nline.png", b"hash#1.png", b"what?.png", b"100%.png", b"caf\xe9.png", b"caf\\xe9.png", b" .png",
           b"\xe2\x80\xae.png", b"-out.png", b"a'b\".png")  # fmt: skip


def listed(inputs: list[str], out: str = "") -> list[Item]:
    return list(open_source(inputs, SourceOptions(out=out)).items())


@pytest.mark.skipif(sys.platform != "linux", reason="names of bytes are Linux's")
def test_hostile_names_are_told_apart_and_read(tmp_path: Path):
    [image] = draw_images(tmp_path / "one", 1).iterdir()
    folder = tmp_path / "in"
    folder.mkdir()
    for number, name in enumerate(HOSTILE):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(image.read_bytes() + bytes([number]))
    source = open_source([str(folder)], SourceOptions())
    items = list(source.items())
    assert len({item.source for item in items}) == len(HOSTILE)
    assert all(item.source.encode() for item in items)
    assert {os.fsencode(item.place): source.read(item.place)[-1] for item in items} == {
        name: number for number, name in enumerate(HOSTILE)
    }


def test_the_images_are_those_of_predict_in_their_order(tmp_path: Path):
    for place in ("b/x", "a", "a.c", "b", "out"):
        draw_images(tmp_path / place, 3)
    (tmp_path / "b/.hidden.png").write_bytes(b"")
    (tmp_path / "b/text.txt").write_text("no image")
    (tmp_path / "a/link").symlink_to(tmp_path / "b")
    (tmp_path / "b/x/circle").symlink_to(tmp_path)
    out = tmp_path / "out"
    expected = [file.name.as_posix() for file in find_images([str(tmp_path)], out)]
    assert len(expected) == 12
    assert [item.source for item in listed([str(tmp_path)], str(out))] == expected


def test_one_file_that_several_inputs_name_is_there_once(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw_images(tmp_path / "a", 3)
    draw_images(tmp_path / "b", 2)
    sources = [item.source for item in listed(["a", "a/00001.png", "b/*.png", "b"])]
    assert sources == ["a/00000.png", "a/00001.png", "a/00002.png", "b/00000.png", "b/00001.png"]


def test_images_of_one_name_in_two_folders_are_two(tmp_path: Path):
    one, two = draw_images(tmp_path / "a", 1), draw_images(tmp_path / "b", 1)
    assert [item.source for item in listed([str(one), str(two)])] == [f"{one}/00000.png", f"{two}/00000.png"]


def test_a_list_names_images_and_may_name_one_twice(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw_images(tmp_path / "in", 2)
    (tmp_path / "list.txt").write_text("in/00001.png\r\n\nin/00000.png\nin/00001.png\nnone.png")
    source = open_source(["list.txt"], SourceOptions())
    items = list(source.items())
    assert [item.source for item in items] == ["in/00001.png", "in/00000.png", "in/00001.png#2", "none.png"]
    assert source.read(items[2].place) == (tmp_path / "in/00001.png").read_bytes()
    with pytest.raises(ImageMissingError):
        source.read(items[3].place)


def test_a_list_between_zero_bytes_has_names_with_line_breaks(tmp_path: Path):
    name = tmp_path / "new\nline.png"
    [image] = draw_images(tmp_path / "in", 1).iterdir()
    image.rename(name)
    (tmp_path / "list.txt").write_bytes(os.fsencode(name) + b"\0")
    source = open_source([str(tmp_path / "list.txt")], SourceOptions())
    [item] = source.items()
    assert source.read(item.place) == name.read_bytes()


def test_a_list_may_begin_with_a_byte_order_mark(tmp_path: Path):
    (tmp_path / "a.jpg").write_bytes(b"a")
    (tmp_path / "list.txt").write_text(f"{tmp_path / 'a.jpg'}\n", encoding="utf-8-sig")
    source = open_source([str(tmp_path / "list.txt")], SourceOptions())
    assert [source.read(item.place) for item in source.items()] == [b"a"]


def test_a_long_list_is_read_whole(tmp_path: Path):
    names = [f"{'x' * 200}/{number:06}.jpg" for number in range(12_000)]
    (tmp_path / "list.txt").write_text("\n".join(names))
    assert [item.source for item in listed([str(tmp_path / "list.txt")])] == names


def test_an_empty_input_is_refused(tmp_path: Path):
    draw_images(tmp_path / "a", 1)
    (tmp_path / "b").mkdir()
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(ImageError, match=r"there is no image in .*b; name another"):
        listed([str(tmp_path / "a"), str(tmp_path / "b")])
    with pytest.raises(ImageError, match="there is no path in"):
        listed([str(tmp_path / "empty.txt")])


def test_an_input_that_is_not_there_is_refused_before_anything_is_written(tmp_path: Path):
    (tmp_path / "one.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ImageError, match=r"there is no file or folder .*nothere; check its name"):
        listed([str(tmp_path / "one.jpg"), str(tmp_path / "nothere")])


def test_inputs_of_two_kinds_and_columns_of_files_are_refused(tmp_path: Path):
    draw_images(tmp_path / "a", 1)
    (tmp_path / "list.txt").write_text("a/00000.png")
    with pytest.raises(ConfigError, match=r"is a folder and .* is a list"):
        open_source([str(tmp_path / "a"), str(tmp_path / "list.txt")], SourceOptions())
    with pytest.raises(ConfigError, match="--keep id is for tables"):
        open_source([str(tmp_path / "a")], SourceOptions(keep=("id",)))


def test_videos_are_no_images(tmp_path: Path):
    (tmp_path / "clip.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(100))
    with pytest.raises(ConfigError, match="is a video, and no image"):
        open_source([str(tmp_path / "clip.mp4")], SourceOptions())


def test_a_moved_folder_has_the_same_names(tmp_path: Path):
    folder = draw_images(tmp_path / "a", 3)
    before = listed([str(folder)])
    folder.rename(tmp_path / "b")
    assert listed([str(tmp_path / "b")]) == before


def test_names_that_are_taken_get_numbers_that_are_free():
    names = DistinctNames()
    assert [names(name) for name in ("a", "a#2", "a", "a", "b")] == ["a", "a#2", "a#3", "a#4", "b"]
