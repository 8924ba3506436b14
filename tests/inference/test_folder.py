"""A folder of pictures, with reading and drawing beside the network: the same as one picture after another."""

import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

from lightpose import Boxes, PoseEstimator, read_image
from lightpose.errors import BoxesError, ConfigError, LightposeError
from lightpose.inference.folder import LOCK, predict_images
from lightpose.inference.resume import PARTIAL
from lightpose.io.images import encode_image
from lightpose.io.sources import ImageFile, find_images
from lightpose.results import draw_poses
from tests.detect.graphs import pose_network


def people_of(image: np.ndarray) -> Boxes:
    """As many persons as the first pixel's red says, modulo 4; none may be had where it is 255."""
    if image[0, 0, 0] == 255:
        raise BoxesError("this picture's people cannot be found")
    number = np.arange(image[0, 0, 0] % 4, dtype=np.float32)
    return Boxes(np.stack([16 * number, 12 * number, 0 * number + 14, 0 * number + 20], -1))


@pytest.fixture
def estimator(tmp_path: Path) -> PoseEstimator:
    return PoseEstimator(pose_network(tmp_path / "pose.onnx"), people_of, batch=4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Thirty pictures of several sizes."""
    (tmp_path / "in").mkdir()
    generator = np.random.default_rng(0)
    for number in range(30):
        pixels = generator.integers(0, 256, (60 + number % 3, 50 + number % 5, 3), dtype=np.uint8)
        pixels[0, 0] = number
        (tmp_path / f"in/{number:02}.png").write_bytes(encode_image(pixels, ".png"))
    return tmp_path / "in"


def no_thread_is_left() -> bool:
    return not any(thread.name.startswith("overlap") for thread in threading.enumerate())


def test_all_is_as_one_picture_after_another(estimator: PoseEstimator, folder: Path, tmp_path: Path):
    done: list[int] = []
    results = predict_images(find_images([str(folder)]), estimator, tmp_path / "out", progress=done.append)
    assert done == list(range(31))
    assert (results.images, results.failed, results.resumed) == (30, [], 0)
    assert results.nobody == [f"{number:02}.png" for number in range(0, 30, 4)]
    written = json.loads((tmp_path / "out/keypoints.json").read_text())
    readable = json.loads((tmp_path / "out/poses.json").read_text())
    assert (readable["failed"], readable["boxes"]) == ([], results.about["boxes"])
    rows = iter(written)
    for number in range(30):
        image = read_image(folder / f"{number:02}.png")
        poses = estimator.predict(image)
        assert len(poses) == number % 4
        for keypoints in poses.keypoints:
            row = next(rows)
            assert (row["image_id"], row["file_name"]) == (number, f"{number:02}.png")
            assert row["keypoints"] == pytest.approx(keypoints.ravel().tolist(), abs=1e-3)
        people = readable["images"][number]["people"]
        assert [person["keypoints"]["nose"]["x"] for person in people] == pytest.approx(
            poses.keypoints[:, 0, 0], abs=0.01
        )
        drawn = read_image(tmp_path / f"out/{number:02}.png")
        np.testing.assert_array_equal(drawn, draw_poses(image, poses))
    assert len(written) == results.people
    assert no_thread_is_left()


def test_each_pictures_fault_is_its_own_and_told_in_order(estimator: PoseEstimator, folder: Path, tmp_path: Path):
    """Two that cannot be read, and one whose people cannot be found."""
    (folder / "05.png").write_bytes(b"no picture")
    (folder / "20.png").unlink()
    (folder / "11.png").write_bytes(encode_image(np.full((40, 40, 3), 255, np.uint8), ".png"))
    pictures = find_images([str(folder)])
    pictures.insert(20, ImageFile(folder / "20.png", Path("20.png")))
    results = predict_images(pictures, estimator, tmp_path / "out")
    assert [path.name for path, _ in results.failed] == ["05.png", "11.png", "20.png"]
    reasons = ["not an image", "be found", "cannot read"]
    for (_, reason), part in zip(results.failed, reasons, strict=True):
        assert part in reason
    good = [f"{number:02}.png" for number in range(30) if number not in (5, 11, 20)]
    assert json.loads((tmp_path / "out/poses.json").read_text())["failed"][0]["image"] == str(folder / "05.png")
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == good


@pytest.mark.parametrize("error", [KeyboardInterrupt, LightposeError])
def test_an_interrupt_ends_the_threads_and_writes_no_results(
    estimator: PoseEstimator, folder: Path, tmp_path: Path, error: type[BaseException]
):
    def interrupt(done: int) -> None:
        if done == 7:
            raise error

    with pytest.raises(error):
        predict_images(find_images([str(folder)]), estimator, tmp_path / "out", progress=interrupt)
    assert no_thread_is_left()
    assert not (tmp_path / "out/poses.json").exists()
    assert len(list((tmp_path / "out").glob("*.png"))) < 30
    assert {path.name for path in (tmp_path / "out").glob(".*")} == {PARTIAL, LOCK}, "no file is left half written"


def test_a_full_or_unwritable_disk_ends_the_run(estimator: PoseEstimator, folder: Path, tmp_path: Path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OSError, match="out"):
        predict_images(find_images([str(folder)]), estimator, tmp_path / "out")
    assert no_thread_is_left()


@pytest.mark.parametrize("name", ["photo", "photo.heic", "photo.pgm"])
def test_a_picture_whose_kind_cannot_be_written_is_drawn_as_png(
    estimator: PoseEstimator, folder: Path, tmp_path: Path, name: str
):
    (folder / "07.png").rename(tmp_path / name)
    results = predict_images(find_images([str(tmp_path / name)]), estimator, tmp_path / "out")
    assert (results.people, results.failed) == (3, [])
    assert json.loads((tmp_path / "out/poses.json").read_text())["images"][0]["image"] == name
    assert read_image(tmp_path / f"out/{name}.png").shape == read_image(tmp_path / name).shape


def test_a_link_to_nothing_in_a_folder_is_told(estimator: PoseEstimator, folder: Path, tmp_path: Path):
    (folder / "link.jpg").symlink_to("gone.jpg")
    results = predict_images(find_images([str(folder)]), estimator, tmp_path / "out")
    assert [path.name for path, _ in results.failed] == ["link.jpg"]


def test_a_picture_named_in_two_ways_is_done_once(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)
    named = find_images(["07.png", str(folder / "07.png"), "../" + folder.name + "/07.png", "."])
    assert [picture.path for picture in named].count(Path("07.png")) == 1
    assert len(named) == len(find_images([str(folder)]))


class Counting:
    """A sink that notes what it is given, and whether it was closed."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.closed = False

    def write(self, frame, poses) -> None:
        assert poses.image_hw == frame.image.shape[:2]
        self.names.append(frame.name)

    def close(self) -> None:
        self.closed = True


def test_further_sinks_take_each_image_and_are_closed_at_the_end(
    estimator: PoseEstimator, folder: Path, tmp_path: Path
):
    sink = Counting()
    predict_images(find_images([str(folder)]), estimator, tmp_path / "out", sinks=[sink])
    assert sink.names == [f"{number:02}.png" for number in range(30)]
    assert sink.closed


@pytest.mark.parametrize("name", [PARTIAL, LOCK, "keypoints.json", "07.png"])
@pytest.mark.parametrize("plant", [Path.symlink_to, Path.hardlink_to])
def test_a_planted_link_is_not_followed(estimator: PoseEstimator, folder: Path, tmp_path: Path, name: str, plant):
    """A hard link to a file that is replaced, not written in place, does no harm."""
    precious = tmp_path / "precious"
    precious.write_text("1")
    (tmp_path / "out").mkdir()
    plant(tmp_path / "out" / name, precious)
    files = find_images([str(folder)])
    if plant is Path.hardlink_to and name not in (PARTIAL, LOCK):
        predict_images(files, estimator, tmp_path / "out")
    else:
        with pytest.raises(ConfigError, match=f"{name} is a link"):
            predict_images(files, estimator, tmp_path / "out")
        assert [path.name for path in (tmp_path / "out").iterdir() if path.name != LOCK] == [name] * (name != LOCK)
    assert precious.read_text() == "1"


def test_two_drawings_are_two_files(estimator: PoseEstimator, folder: Path, tmp_path: Path):
    """A format that cannot be written gets .png appended, which is another image's name here."""
    (folder / "07.png").rename(folder / "a.pgm")
    (folder / "08.png").rename(folder / "a.pgm.png")
    with pytest.raises(ConfigError, match=r"a\.pgm\.png and the drawn image .*a\.pgm\.png are one file"):
        predict_images(find_images([str(folder)]), estimator, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def ids_of(out: Path) -> list[tuple[int, str]]:
    images = json.loads((out / "poses.json").read_text())["images"]
    return [(image["image_id"], image["image"]) for image in images]


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["5.png", "9007199254740992.png"], [5, 2**53]),
        (["5.png", "9007199254740993.png"], [1, 2]),
        (["20231127153000123456.png", "5.png"], [1, 2]),
        (["7" * 240 + ".png"], [1]),
        (["001.png", "1.png"], [1, 2]),
        (["1.bmp", "1.png", "7.png"], [1, 2, 3]),
        (["7.png", "a.png"], [1, 2]),
    ],
)
def test_images_have_whole_numbers_of_their_own_however_they_are_named(
    estimator: PoseEstimator, tmp_path: Path, names: list[str], ids: list[int]
):
    (tmp_path / "in").mkdir()
    for name in names:
        pixels = np.full((40, 40, 3), 1, np.uint8)
        (tmp_path / "in" / name).write_bytes(encode_image(pixels, Path(name).suffix))
    predict_images(find_images([str(tmp_path / "in")]), estimator, tmp_path / "out", draw=False)
    assert ids_of(tmp_path / "out") == list(zip(ids, sorted(names), strict=True))
    rows = json.loads((tmp_path / "out/keypoints.json").read_text())
    assert [row["image_id"] for row in rows] == ids


def test_what_cannot_be_used_is_told_and_stops_nothing(estimator: PoseEstimator, folder: Path, tmp_path: Path):
    """A pipe, a circle of links, a device, a kind without decoder and a picture that is too large."""
    for path in folder.glob("[12]*.png"):
        path.unlink()
    os.mkfifo(folder / "30.png")
    (folder / "31.png").symlink_to("31.png")
    (folder / "32.png").symlink_to("/dev/zero")
    (folder / "33.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (folder / "34.gif").write_bytes(b"GIF89a\xff\xff\xff\xff\0\0\0;")
    files = [*find_images([str(folder)]), ImageFile(folder / "locked", Path("locked"), fault="cannot read locked: why")]
    results = predict_images(files, estimator, tmp_path / "out", draw=False)
    assert [path.name for path, _ in results.failed] == ["30.png", "31.png", "32.png", "33.heic", "34.gif", "locked"]
    words = ["pipe", "links", "device", "HEIC", "65,535 x 65,535 pixels", "why"]
    assert all(word in reason for word, (_, reason) in zip(words, results.failed, strict=True))
    assert results.images == 10
    assert ids_of(tmp_path / "out") == [(number, f"{number:02}.png") for number in range(10)]
