"""What a folder, a pattern and a file give to read, and what of it is told as unreadable."""

import os
from pathlib import Path

import numpy as np
import pytest

from lightpose.errors import ImageError
from lightpose.io.images import encode_image
from lightpose.io.sources import ImageFile, distinct_names, find_images

PNG = encode_image(np.zeros((8, 8, 3), np.uint8), ".png")
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "a.png").write_bytes(PNG)
    (tmp_path / "in" / "deep" / "b.png").write_bytes(PNG)
    return tmp_path / "in"


def names(folder: Path, out: Path | None = None) -> list[str]:
    return [file.name.as_posix() for file in find_images([str(folder)], out)]


def reason(file: ImageFile) -> str:
    with pytest.raises(ImageError) as told:
        file.read()
    return str(told.value)


@pytest.mark.parametrize("name", ["c.JFIF", "c.jpe", "c.gif", "c.avif", "c.heic", "c.svg", "c.cr2", "c.exr", "c.pnm"])
def test_files_with_any_images_suffix_are_taken(folder: Path, name: str):
    (folder / name).write_bytes(b"")
    assert names(folder) == ["a.png", name, "deep/b.png"]


@pytest.mark.parametrize("name", ["photo", "photo.bak", "photo.jpg_large"])
@pytest.mark.parametrize("content", [PNG, HEIC])
def test_files_of_other_names_are_taken_if_they_begin_like_an_image(folder: Path, name: str, content: bytes):
    (folder / name).write_bytes(content)
    assert names(folder) == ["a.png", "deep/b.png", name]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.txt", b"BM, P5 and others\n"),
        ("p.txt", b"P3 1 2\n"),
        ("page.html", b"<svg>"),
        ("film.mp4", b"\0\0\0\x18ftypmp42"),
        ("a.json", b"{}"),
        ("empty", b""),
        ("Thumbs.db", b"\xd0\xcf\x11\xe0"),
        ("._a.png", b"\0\5\x16\7"),
        (".b.png", PNG),
    ],
)
def test_what_is_no_image_and_what_is_hidden_is_passed_over(folder: Path, name: str, content: bytes):
    (folder / name).write_bytes(content)
    assert names(folder) == ["a.png", "deep/b.png"]


def test_hidden_folders_are_passed_over_unless_named(folder: Path):
    (folder / "deep").rename(folder / ".deep")
    assert names(folder) == ["a.png"]
    assert names(folder / ".deep") == ["b.png"]


def test_a_heic_file_is_named_with_what_to_do(folder: Path):
    (folder / "c.heic").write_bytes(HEIC)
    told = reason(find_images([str(folder)])[1])
    assert told.endswith("c.heic cannot be read: it is a HEIC file; save it as JPEG or PNG")


def test_a_folder_without_permission_is_named_in_its_place(folder: Path, monkeypatch: pytest.MonkeyPatch):
    scan = os.scandir

    def refusing(path: Path):
        if Path(path).name == "deep":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    files = find_images([str(folder)])
    assert [file.name.as_posix() for file in files] == ["a.png", "deep"]
    assert reason(files[1]) == f"cannot read {folder / 'deep'}: Permission denied"
    with pytest.raises(ImageError, match="deep: Permission denied"):
        find_images([str(folder / "deep")])


def test_links_are_followed_but_not_in_circles(folder: Path, tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "c.png").write_bytes(PNG)
    (folder / "up").symlink_to(folder)
    (folder / "again").symlink_to(folder / "deep")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "x.png").symlink_to("y.png")
    (folder / "y.png").symlink_to("x.png")
    (folder / "z").symlink_to("z")
    files = find_images([str(folder)])
    assert [file.name.as_posix() for file in files] == ["a.png", "deep/b.png", "linked/c.png", "x.png", "y.png"]
    assert "Too many levels of symbolic links" in reason(files[3])


def test_earlier_results_are_passed_over_behind_links_too(folder: Path):
    (folder / "out").mkdir()
    (folder / "out" / "a.png").write_bytes(PNG)
    (folder / "link").symlink_to("out")
    (folder / "link.png").symlink_to("out/a.png")
    assert names(folder, folder / "out") == ["a.png", "deep/b.png"]
    assert names(folder / "out", folder / "out") == ["a.png"]


def test_pipes_sockets_and_devices_are_named_and_not_waited_for(folder: Path):
    os.mkfifo(folder / "p.png")
    os.mkfifo(folder / "q")  # no image's name: nobody asks what it is
    (folder / "z.png").symlink_to("/dev/zero")
    files = find_images([str(folder)])
    assert [file.name.as_posix() for file in files] == ["a.png", "deep/b.png", "p.png", "z.png"]
    assert reason(files[2]).endswith("p.png: it is a pipe or device, not a file")
    assert reason(files[3]).endswith("z.png: it is a pipe or device, not a file")


def test_a_source_without_images_does_not_stop_the_others(folder: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    nothing = [str(tmp_path / "empty"), str(tmp_path / "*.gif")]
    files = find_images([*nothing, str(folder)])
    assert [bool(file.fault) for file in files] == [True, True, False, False]
    assert reason(files[0]) == f"there is no image in {tmp_path / 'empty'}"
    with pytest.raises(ImageError, match=r"there is no image in .*empty; there is no image in .*\*\.gif"):
        find_images(nothing)


def test_a_name_that_no_file_can_have_is_left_to_fail(folder: Path):
    files = find_images([str(folder), "n" * 300, "a\0b.png"])
    assert [("cannot read" in reason(file)) for file in files[2:]] == [True, True]


def test_many_files_of_one_name_get_names_of_their_own_in_little_time():
    found = distinct_names([Path("a.png")] * 5000 + [Path("a_2.png")])
    assert found[:3] + found[-1:] == [Path("a.png"), Path("a_2.png"), Path("a_3.png"), Path("a_2_2.png")]
    assert len(set(found)) == 5001
