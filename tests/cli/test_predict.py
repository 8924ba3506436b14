"""`lightpose predict` as a user runs it: in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from lightpose import Boxes, PoseEstimator, __version__, read_image
from lightpose.cli import Command
from lightpose.errors import ShapeError
from lightpose.io.images import encode_image
from lightpose.weights import find_weights, has_detector

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"
ASTRONAUT = PHOTOS / "astronaut.jpg"
LPN50 = find_weights("lpn50")


def lightpose(*arguments: object, cwd: Path, stdin: bytes = b"") -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command."""
    command = [sys.executable, "-m", "lightpose", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, input=stdin, capture_output=True, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def picture(path: Path, seed: int = 0) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (60, 40, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_image(pixels, path.suffix))
    return path


def test_photos_with_boxes_give_keypoints_poses_and_pictures(tmp_path: Path):
    code, output, errors = lightpose("predict", PHOTOS, "--boxes", PHOTOS / "boxes.json", "--out", "out", cwd=tmp_path)
    assert (code, errors) == (0, "")
    assert "images: 3, people: 3, failed: 0" in output
    rows = json.loads((tmp_path / "out/keypoints.json").read_text())
    assert [(row["image_id"], row["category_id"], len(row["keypoints"])) for row in rows] == [
        (n, 1, 51) for n in (1, 2, 3)
    ]
    readable = json.loads((tmp_path / "out/poses.json").read_text())
    first = readable["images"][0]
    assert first["image"] == "astronaut.jpg"
    nose = first["people"][0]["keypoints"]["nose"]
    assert [nose["x"], nose["y"]] == pytest.approx(rows[0]["keypoints"][:2], abs=0.01)
    for name in ("astronaut.jpg", "grace_hopper.jpg", "photographer.png"):
        drawn, source = read_image(tmp_path / "out" / name), read_image(PHOTOS / name)
        assert drawn.shape == source.shape
        assert (np.abs(drawn.astype(int) - source) > 100).any(axis=-1).sum() > 200  # the skeleton's pixels


def test_the_command_and_the_python_interface_agree(tmp_path: Path):
    options = ("--flip", "--decoder", "dark", "--detector", "whole", "--no-draw")
    lightpose("predict", ASTRONAUT, "--out", "out", *options, cwd=tmp_path)
    row = json.loads((tmp_path / "out/keypoints.json").read_text())[0]
    poses = PoseEstimator(flip=True, decoder="dark", detector="whole").predict(ASTRONAUT)
    assert row["keypoints"] == pytest.approx(poses.keypoints[0].ravel().tolist(), abs=1e-3)
    assert row["score"] == pytest.approx(float(poses.scores[0]), abs=1e-5)
    assert not (tmp_path / "out/astronaut.jpg").exists()


def test_people_come_in_the_order_of_the_given_boxes(tmp_path: Path):
    boxes = [[200, 200, 90, 200], [20, 12, 350, 500], [100, 50, 100, 100]]
    (tmp_path / "b.json").write_text(
        json.dumps([{"image_id": "astronaut", "bbox": box, "score": 0.5} for box in boxes])
    )
    lightpose("predict", ASTRONAUT, "--boxes", "b.json", "--out", "out", cwd=tmp_path)
    people = json.loads((tmp_path / "out/poses.json").read_text())["images"][0]["people"]
    assert [person["box"] for person in people] == boxes
    found = PoseEstimator().predict(ASTRONAUT, Boxes(np.array(boxes), np.full(3, 0.5)))
    assert [person["score"] for person in people] == pytest.approx(found.scores.tolist(), abs=1e-3)


def test_without_a_detector_in_this_copy_the_output_says_that_the_picture_is_taken_whole(tmp_path: Path):
    code, output, _ = lightpose("predict", ASTRONAUT, "--out", "out", cwd=tmp_path)
    boxes = json.loads((tmp_path / "out/poses.json").read_text())["boxes"]
    assert code == 0
    built_in = {"person_detector.onnx (lightpose)", "person_detector_int8.onnx (lightpose)"}  # the latter on some CPUs
    assert boxes in (built_in if has_detector() else {"whole_image"})
    assert ("taken whole, as one person" in output) == (not has_detector())


def test_formats_of_other_tools_are_written_beside_the_results_and_their_limits_told(tmp_path: Path):
    code, output, errors = lightpose("predict", ASTRONAUT, "--out", "out", "--formats", "csv,openpose", cwd=tmp_path)
    assert (code, errors) == (0, "")
    people = json.loads((tmp_path / "out/poses.json").read_text())["images"][0]["people"]
    rows = (tmp_path / "out/poses.csv").read_text().splitlines()
    assert len(rows) == 1 + 17 * len(people)
    assert len(list((tmp_path / "out/openpose").iterdir())) == 1
    assert "csv holds no boxes, image sizes, scores\nopenpose holds no boxes, image sizes, scores" in output


def test_formats_over_time_are_refused_for_images_before_the_work(tmp_path: Path):
    code, output, errors = lightpose("predict", ASTRONAUT, "--out", "out", "--formats", "trc", cwd=tmp_path)
    assert (code, output) == (2, "")
    assert errors == "lightpose: --formats trc is for videos: images have no times; a folder of frames needs --fps\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_detectors_people_are_drawn_and_written_with_its_name_and_threshold(tmp_path: Path):
    pytest.importorskip("onnx")
    from tests.detect import graphs

    graphs.ours(tmp_path / "mine.onnx", np.array([[3, 2, 46, 63], [5, 5, 20, 30]]))
    arguments = ("predict", ASTRONAUT, "--out", "out", "--detector", "mine.onnx")
    code, output, errors = lightpose(*arguments, cwd=tmp_path)
    assert (code, errors) == (0, "")
    assert "images: 1, people: 2, failed: 0" in output
    found = json.loads((tmp_path / "out/poses.json").read_text())
    assert (found["boxes"], found["box_threshold"]) == ("mine.onnx (lightpose)", 0.3)
    people = found["images"][0]["people"]
    np.testing.assert_allclose([person["box"] for person in people], [[24, 16, 344, 488], [40, 40, 120, 200]])
    assert [person["box_score"] for person in people] == [0.9, 0.6]
    code, output, _ = lightpose(*arguments, "--detector-threshold", "0.8", cwd=tmp_path)
    assert "people: 1," in output
    assert json.loads((tmp_path / "out/poses.json").read_text())["box_threshold"] == 0.8


@pytest.mark.slow
def test_unsure_people_are_neither_drawn_nor_written(tmp_path: Path):
    pytest.importorskip("onnx")
    from tests.detect import graphs

    graphs.ours(tmp_path / "mine.onnx", np.array([[3, 2, 46, 63], [5, 5, 20, 30]]))
    arguments = ("predict", ASTRONAUT, "--out", "out", "--detector", "mine.onnx")
    lightpose(*arguments, cwd=tmp_path)
    found = json.loads((tmp_path / "out/poses.json").read_text())
    scores = sorted(person["score"] for person in found["images"][0]["people"])
    assert found["min_person_score"] == 0
    between = str(round(sum(scores) / 2, 3))
    code, output, errors = lightpose(*arguments, "--least-score", between, cwd=tmp_path)
    assert errors == "lightpose: --least-score is now called --min-person-score; the old name goes in a later version\n"
    found = json.loads((tmp_path / "out/poses.json").read_text())
    assert (code, found["min_person_score"]) == (0, float(between))
    assert "people: 1," in output
    assert [person["score"] for person in found["images"][0]["people"]] == scores[1:]
    assert len(json.loads((tmp_path / "out/keypoints.json").read_text())) == 1


def test_nobody_found_is_no_fault_and_is_said(tmp_path: Path):
    pytest.importorskip("onnx")
    from tests.detect import graphs

    graphs.ours(tmp_path / "mine.onnx", scores=np.array([0.1, 0.2]))
    code, output, errors = lightpose("predict", ASTRONAUT, "--out", "out", "--detector", "mine.onnx", cwd=tmp_path)
    assert (code, errors) == (0, "")
    assert "astronaut.jpg: nobody found" in output
    assert "images: 1, people: 0, failed: 0" in output
    assert json.loads((tmp_path / "out/poses.json").read_text())["images"][0]["people"] == []
    assert json.loads((tmp_path / "out/keypoints.json").read_text()) == []
    assert np.array_equal(read_image(tmp_path / "out/astronaut.jpg").shape, read_image(ASTRONAUT).shape)


@pytest.mark.slow
def test_a_file_of_boxes_is_a_detector_too(tmp_path: Path):
    rows = [{"image_id": "astronaut", "bbox": [20, 12, 350, 500], "score": score} for score in (0.9, 0.2)]
    (tmp_path / "b.json").write_text(json.dumps(rows))
    arguments = ("predict", ASTRONAUT, "--no-draw", "--out")
    lightpose(*arguments, "one", "--boxes", "b.json", cwd=tmp_path)
    lightpose(*arguments, "two", "--detector", "b.json", cwd=tmp_path)
    assert (tmp_path / "one/poses.json").read_text() == (tmp_path / "two/poses.json").read_text()


def test_a_picture_without_a_box_has_nobody_in_it(tmp_path: Path):
    (tmp_path / "b.json").write_text("[]")
    code, output, _ = lightpose("predict", ASTRONAUT, "--boxes", "b.json", "--out", "out", cwd=tmp_path)
    assert code == 0
    assert "astronaut.jpg: no person boxed" in output
    assert json.loads((tmp_path / "out/keypoints.json").read_text()) == []


def test_a_picture_can_come_from_standard_input(tmp_path: Path):
    arguments = ("predict", "-", "--detector", "whole", "--out", "out")
    code, _, _ = lightpose(*arguments, cwd=tmp_path, stdin=ASTRONAUT.read_bytes())
    assert code == 0
    assert {path.name for path in (tmp_path / "out").glob("[!.]*")} == {"keypoints.json", "poses.json", "stdin.jpg"}


def test_folders_and_patterns_keep_every_picture_under_a_name_of_its_own(tmp_path: Path):
    (tmp_path / "b.json").write_text('[{"file_name": "a.png", "bbox": [1, 2, 20, 30]}]')
    for number, name in enumerate(["in/a.png", "in/deep/a.png", "other/a.png"]):
        picture(tmp_path / name, number)
    (tmp_path / "in/notes.txt").write_text("no image")
    code, _, _ = lightpose("predict", "in", "oth*/*.png", "--boxes", "b.json", "--out", "out", cwd=tmp_path)
    assert code == 0
    drawn = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.png"))
    assert drawn == ["a.png", "a_2.png", "deep/a.png"]
    rows = json.loads((tmp_path / "out/keypoints.json").read_text())
    assert [(row["image_id"], row["file_name"]) for row in rows] == [(1, "a.png"), (2, "deep/a.png"), (3, "a_2.png")]


@pytest.mark.slow
def test_earlier_results_below_a_searched_folder_are_not_taken_for_pictures(tmp_path: Path):
    picture(tmp_path / "a.png")
    for _ in range(2):
        code, output, _ = lightpose("predict", ".", "--out", "poses", cwd=tmp_path)
        assert code == 0
        assert "images: 1," in output


@pytest.mark.slow
def test_broken_pictures_are_listed_and_the_others_are_written(tmp_path: Path):
    for number in range(60):
        picture(tmp_path / f"in/{number:03}.png", number)
    (tmp_path / "in/010.png").write_bytes(b"")
    (tmp_path / "in/020.png").write_text("no picture")
    whole = (tmp_path / "in/030.png").read_bytes()
    (tmp_path / "in/030.png").write_bytes(whole[: len(whole) // 2])
    code, output, errors = lightpose("predict", "in", "--detector", "whole", "--out", "out", cwd=tmp_path)
    assert code == 1
    assert "images: 57, people: 57, failed: 3" in output
    assert [line.split(".png")[0][-3:] for line in errors.splitlines()] == ["010", "020", "030"]
    assert len(list((tmp_path / "out").glob("*.png"))) == 57
    failed = json.loads((tmp_path / "out/poses.json").read_text())["failed"]
    assert [Path(entry["image"]).name for entry in failed] == ["010.png", "020.png", "030.png"]
    rows = json.loads((tmp_path / "out/keypoints.json").read_text())
    assert [row["image_id"] for row in rows] == [n for n in range(60) if n not in (10, 20, 30)]


def test_names_in_no_encoding_are_read_written_and_printed(tmp_path: Path):
    name = os.fsdecode(b"caf\xe9.png")
    try:
        picture(tmp_path / "a.png").rename(tmp_path / name)
    except OSError:
        pytest.skip("this file system takes names in UTF-8 alone")
    (tmp_path / "b.json").write_text("[]")
    code, output, errors = lightpose("predict", name, "--boxes", "b.json", "--out", "out", cwd=tmp_path)
    assert (code, errors) == (0, "")
    assert r"caf\udce9.png: no person boxed" in output
    told = json.loads((tmp_path / "out/poses.json").read_text())["images"][0]["image"]
    assert (tmp_path / "out" / told).exists()


def test_output_that_nobody_reads_on_is_no_fault_to_speak_of(tmp_path: Path):
    command = [sys.executable, "-m", "lightpose", "predict", str(ASTRONAUT), "--detector", "whole", "--no-draw"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141
    assert (tmp_path / "poses/poses.json").exists()


def test_nothing_is_left_in_the_users_home_and_decoders_are_silent(tmp_path: Path):
    """ONNX Runtime would keep there what it reports to its maker, and OpenCV print what is wrong with a picture."""
    (tmp_path / "home").mkdir()
    whole = encode_image(np.random.default_rng(0).integers(0, 256, (60, 40, 3), dtype=np.uint8), ".tif")
    (tmp_path / "cut.tif").write_bytes(whole[: len(whole) // 2])
    command = [sys.executable, "-m", "lightpose", "predict", str(ASTRONAUT), "cut.tif", "--detector", "whole"]
    settings = {**os.environ, "HOME": str(tmp_path / "home")}
    settings = {name: value for name, value in settings.items() if not name.startswith(("ORT_", "XDG_"))}
    done = subprocess.run(command, cwd=tmp_path, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "lightpose: cut.tif cannot be decoded: its TIFF header is broken; copy or download it again"
    ]
    assert list((tmp_path / "home").iterdir()) == []


def test_a_folder_of_many_kinds_is_read_or_named_and_decoders_are_silent(tmp_path: Path):
    """libjpeg says on standard error that data are corrupt, past OpenCV and Python."""
    pillow = pytest.importorskip("PIL.Image", reason="only Pillow writes GIF everywhere")
    pixels = picture(tmp_path / "in/a.png").read_bytes()
    pillow.open(tmp_path / "in/a.png").save(tmp_path / "in/b.gif")
    jpeg = bytearray(encode_image(read_image(tmp_path / "in/a.png"), ".jpg"))
    (tmp_path / "in/c.jfif").write_bytes(jpeg)
    jpeg[-60:-40] = b"\xff\xd3" * 10
    (tmp_path / "in/d.jpg").write_bytes(jpeg)
    (tmp_path / "in/e.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (tmp_path / "in/photo").write_bytes(pixels)
    (tmp_path / "in/notes.txt").write_text("nothing to see")
    code, output, errors = lightpose("predict", "in", "--detector", "whole", "--out", "out", cwd=tmp_path)
    assert errors == "lightpose: in/e.heic cannot be read: it is a HEIC file; save it as JPEG or PNG\n"
    assert code == 1
    assert "images: 5, people: 5, failed: 1" in output


def test_standard_input_without_end_is_read_as_far_as_the_limit(tmp_path: Path):
    with Path("/dev/zero").open("rb") as endless:
        command = [sys.executable, "-m", "lightpose", "predict", "-", "--max-pixels", "250000"]
        done = subprocess.run(command, cwd=tmp_path, stdin=endless, capture_output=True, check=False, timeout=60)
    assert done.returncode == 2
    assert b"standard input has more than the 1,000,000 bytes that are read" in done.stderr


def test_boxes_of_other_pictures_are_told(tmp_path: Path):
    (tmp_path / "b.json").write_text('[{"file_name": "other.jpg", "bbox": [1, 2, 20, 30]}]')
    code, output, _ = lightpose("predict", ASTRONAUT, "--boxes", "b.json", "--no-draw", cwd=tmp_path)
    assert code == 0
    assert "No box fits any image: rows go by file_name" in output


def box_file(box: str) -> str:
    return f'[{{"file_name": "astronaut.jpg", "bbox": {box}}}]'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "files", "complaint"),
    [
        (["missing.jpg"], {}, "cannot read missing.jpg: No such file"),
        (["empty.jpg"], {"empty.jpg": b""}, "empty.jpg is empty"),
        (["photo.heic"], {"photo.heic": b"\0\0\0\x18ftypheic"}, "photo.heic cannot be read: it is a HEIC file"),
        ([ASTRONAUT, "--max-pixels", "100000"], {}, "has 512 x 512 pixels, more than the 100,000 that are decoded"),
        ([ASTRONAUT, "--max-pixels", "0"], {}, "must be a whole number above 0, not 0"),
        (["text.jpg"], {"text.jpg": b"hello"}, "text.jpg is not an image"),
        (["cut.jpg"], {"cut.jpg": ASTRONAUT.read_bytes()[:30000]}, "cut.jpg is cut short"),
        (["*.gif"], {}, "there is no image in *.gif"),
        (["."], {}, "there is no image in ."),
        ([], {}, "name at least one image"),
        ([ASTRONAUT, "--boxes", "b.json"], {"b.json": box_file("[1, 2, 0, 4]").encode()}, "has no area"),
        ([ASTRONAUT, "--boxes", "b.json"], {"b.json": box_file("[900, 2, 3, 4]").encode()}, "outside the 512x512"),
        ([ASTRONAUT, "--boxes", "b.json"], {"b.json": box_file("[NaN, 2, 3, 4]").encode()}, "all of them finite"),
        ([ASTRONAUT, "--boxes", "b.json"], {"b.json": b"{}"}, "must hold a list"),
        ([ASTRONAUT, "--boxes", "none.json"], {}, "cannot read none.json"),
        ([ASTRONAUT, "--model", "none.onnx"], {}, "no weights at none.onnx"),
        ([ASTRONAUT, "--model", "bad.onnx"], {"bad.onnx": b"rubbish"}, "bad.onnx is not a whole ONNX file"),
        ([ASTRONAUT, "--model", "last.pt"], {"last.pt": b"x"}, "last.pt is a checkpoint; give a run's best.saf"),
        ([ASTRONAUT, "--decoder", "best"], {}, "best"),
        ([ASTRONAUT, "--threads", "many"], {}, "many"),
        ([ASTRONAUT, "--threads", "-1"], {}, "threads must not be below 0"),
        ([ASTRONAUT, "--detector", "yolo"], {}, "detector 'yolo' is unknown; use builtin, whole, or an .onnx or .json"),
        ([ASTRONAUT, "--detector", "none.onnx"], {}, "no weights at none.onnx"),
        ([ASTRONAUT, "--detector", "none.json"], {}, "cannot read none.json"),
        ([ASTRONAUT, "--detector", "bad.onnx"], {"bad.onnx": b"rubbish"}, "bad.onnx is not a whole ONNX file"),
        ([ASTRONAUT, "--detector", LPN50], {}, "this is a pose network, not a person detector; give it to --model"),
        ([ASTRONAUT, "--detector", "whole", "--boxes", "b.json"], {}, "give --detector or --boxes"),
        ([ASTRONAUT, "--detector-threshold", "1.5"], {}, "threshold must be from 0 to 1, not 1.5"),
    ],
)  # fmt: skip
def test_bad_input_gets_a_sentence_exit_code_2_and_no_file(
    tmp_path: Path, arguments: list[object], files: dict[str, bytes], complaint: str
):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    code, _, errors = lightpose("predict", *arguments, "--out", "out", cwd=tmp_path)
    assert code == 2
    assert complaint in " ".join(errors.split())
    assert "Traceback" not in errors
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_place_of_the_output_folder_is_left_alone(tmp_path: Path):
    (tmp_path / "out").write_text("precious")
    code, _, errors = lightpose("predict", ASTRONAUT, "--out", "out", cwd=tmp_path)
    assert code == 2
    assert errors == "lightpose: out is a file, not a folder; name another folder for the results\n"
    assert (tmp_path / "out").read_text() == "precious"


def test_a_source_picture_is_never_overwritten(tmp_path: Path):
    source = picture(tmp_path / "a.png")
    before = source.read_bytes()
    code, _, errors = lightpose("predict", "a.png", "--out", ".", cwd=tmp_path)
    assert code == 2
    assert "would overwrite a.png" in errors
    assert source.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png"]


@pytest.mark.slow
def test_a_failed_run_leaves_earlier_results_as_they_were(tmp_path: Path):
    lightpose("predict", ASTRONAUT, "--out", "out", cwd=tmp_path)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    code, _, _ = lightpose("predict", "missing.jpg", "--out", "out", cwd=tmp_path)
    assert code == 2
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_predict_takes_arrays_and_refuses_what_is_no_picture():
    estimator = PoseEstimator(detector="whole")
    pixels = read_image(ASTRONAUT)
    from_file, from_array = estimator.predict(ASTRONAUT), estimator.predict(pixels)
    assert np.array_equal(from_file.keypoints, from_array.keypoints)
    assert from_file.keypoints.shape == (1, 17, 3)
    for wrong in (pixels[..., 0], pixels.astype(np.float32), pixels[:0]):
        with pytest.raises(ShapeError, match="an image must be uint8"):
            estimator.predict(wrong)


def test_the_version_is_told(tmp_path: Path):
    assert lightpose("--version", cwd=tmp_path) == (0, f"lightpose {__version__}\n", "")


@pytest.mark.slow
def test_help_of_every_command_is_there(tmp_path: Path):
    for command in ("predict", "train", "evaluate", "export"):
        code, output, _ = lightpose(command, "--help", cwd=tmp_path)
        assert code == 0
        assert "Example:" in output
    assert lightpose("--help", cwd=tmp_path)[1].count("•") == len(get_args(Command))
