"""Networks that find boxes and joints at once, as a user runs all commands on them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

from benchmarks.one_stage import export
from lightpose.cli import main
from lightpose.io.images import encode_image
from tests.helpers import draw_set
from tests.io.video.clips import write_clip
from tests.runtime import one_stage_graphs as graphs

Run = Callable[..., tuple[int | str | None, str, str]]


@pytest.fixture
def lightpose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in the test's folder; gives exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIGHTPOSE_MODELS", str(tmp_path / "kept"))
    graphs.yolo_pose(tmp_path / "yolo.onnx", metadata=graphs.said())
    (tmp_path / "photos").mkdir()
    for number in range(3):
        (tmp_path / f"photos/{number}.png").write_bytes(encode_image(np.full((100, 200, 3), 90, np.uint8), ".png"))

    def run(*arguments: object) -> tuple[int | str | None, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(map(str, arguments)))
        return ended.value.code, *capsys.readouterr()

    return run


def test_predict_of_a_folder_says_what_it_assumes_and_draws(lightpose, tmp_path):
    code, output, errors = lightpose("predict", "photos", "--model", "yolo.onnx", "--out", "o", "--formats", "csv")
    assert (code, "images: 3, people: 6, failed: 0" in output) == (0, True)
    assert errors.count("yolo.onnx gives YOLO-pose of 17 joints; assumed: skeleton coco17") == 1
    rows = json.loads((tmp_path / "o/keypoints.json").read_text())
    assert rows[0]["keypoints"][3:5] == pytest.approx((graphs.keypoints()[0, 1, :2] / 0.32).tolist(), abs=0.01)
    assert rows[0]["score"] == pytest.approx(0.9)
    assert json.loads((tmp_path / "o/poses.json").read_text())["boxes"] == "the network's own"
    assert (tmp_path / "o/0.png").is_file()


def test_predict_of_a_video_gives_ids_and_smooth_joints(lightpose, tmp_path):
    write_clip(tmp_path / "clip.mp4")
    command = ("predict", "clip.mp4", "--model", "yolo.onnx", "--out", "o", "--smooth", "one_euro", "--no-draw")
    assert lightpose(*command)[0] == 0
    last = json.loads((tmp_path / "o/poses.jsonl").read_text().splitlines()[-1])
    assert [person["id"] for person in last["people"]] == [1, 2]
    assert "raw_keypoints" in last["people"][0]


def test_adopt_info_verify_and_names(lightpose):
    code, output, _ = lightpose("weights", "adopt", "yolo.onnx", "--out", "mine.onnx", "--like", "yolo-pose")
    assert (code, "yolo.onnx: YOLO-pose of 17 joints" in output) == (0, True)
    assert "geometry" not in output
    told = json.loads(lightpose("weights", "info", "mine.onnx", "--json")[1])
    assert (told["spec"]["family"], told["spec"]["input_hw"]) == ("people", [96, 64])
    assert "lightpose weights adopt yolo.onnx" in lightpose("weights", "info", "yolo.onnx")[1]
    code, output, _ = lightpose("weights", "verify", "mine.onnx")
    assert (code, "mine.onnx: OK (weights finite, runs, outputs finite)" in output) == (0, True)
    assert lightpose("models", "add", "yolo", "mine.onnx")[0] == 0
    code, _, errors = lightpose("predict", "photos", "--model", "yolo", "--out", "o")
    assert (code, errors) == (0, "")


def test_evaluate_measures_it_in_its_own_boxes(lightpose, tmp_path):
    data = draw_set(tmp_path / "data")
    command = ("evaluate", "--model", "yolo.onnx", "--annotations", data.annotations, "--images", data.images)
    code, output, errors = lightpose(*command, "--json", "--report", "r.json", "--results", "k.json")
    assert (code, errors.count("assumed")) == (0, 1)
    assert json.loads(output)["boxes"] == "the network's own"
    assert json.loads((tmp_path / "r.json").read_text())["padding"] == 0
    assert len(json.loads((tmp_path / "k.json").read_text())) == 6


def test_bench_and_profile_take_it(lightpose, tmp_path):
    pytest.importorskip("torch")
    export("yolo-pose", tmp_path / "net.onnx", hw=(64, 64))
    engines = ("--engines", "onnxruntime", "torch", "--repeats", 1, "--threads", 1, "--no-memory")
    code, output, _ = lightpose("bench", "net.onnx", *engines, "--batch", 1, 2, "--json", "b.json")
    assert (code, "torch " in output) == (0, False)
    assert [row["people_per_s"] for row in json.loads((tmp_path / "b.json").read_text())] == [None, None]
    [told] = json.loads(lightpose("profile", "net.onnx", "--json")[1])
    first = 64 * 16 * 3 + 16 * 56 * 9 * 1  # a place of stride 8: 8×8 pixels to 16 channels, and the head's 3×3
    assert told["macs"] == 8 * 8 * (first + 0) + 4 * 4 * (16 * 16 * 4 + 16 * 56 * 9) + 2 * 2 * (
        16 * 16 * 4 + 16 * 56 * 9
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("predict", "photos", "--model", "yolo.onnx", "--out", "o", "--detector", "builtin"), "leave the detector,"),
        (("predict", "photos", "--model", "yolo.onnx", "--out", "o", "--flip"), "leave the flip test out"),
        (("predict", "photos", "--model", "yolo.onnx", "--out", "o", "--engine", "torch"), "cannot be run by torch"),
        (("bench", "yolo.onnx", "--stages"), "so it has no stages; leave --stages out"),
        (("bench", "yolo.onnx", "--flip", "--no-memory"), "there is no flip test"),
        (("quantize", "yolo.onnx", "--calibrate", "photos", "--out", "q.onnx"), "this needs a network that takes"),
        (("export", "yolo.onnx", "--out", "e.xml"), "yolo.onnx"),
        (("weights", "adopt", "yolo.onnx", "--out", "m.onnx", "--padding", "1.1"), "of whole images: leave --geometry"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_with_it_is_one_sentence(lightpose, tmp_path, words, told):
    code, _, errors = lightpose(*words)
    assert (code, errors.count("\n")) == (2, 1)
    assert told in errors
    assert not {"o", "q.onnx", "e.xml", "m.onnx"} & {path.name for path in tmp_path.iterdir()}
