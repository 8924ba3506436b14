"""From a labelled set to one's own network in use, by the commands alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import DrawnSet

pytest.importorskip("torch")

CONFIG = """
out = "run"
[model]
skeleton = "faces.toml"
input_hw = [64, 48]
init = "kaiming"
[optim]
batch = 2
epochs = 2
[data]
store = "crops"
[[data.train]]
annotations = "{annotations}"
images = "{images}"
repeat = 2
[data.val]
annotations = "{annotations}"
images = "{images}"
"""
SKELETON = 'joints = ["nose", "left_ear", "right_ear", "tail"]\nlimbs = [["left_ear", "nose"], ["nose", "right_ear"]]\n'


def lightpose(*arguments: object, cwd: Path) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "lightpose", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, " ".join(done.stderr.split())


def test_train_evaluate_export_and_predict_with_joints_of_ones_own(tmp_path: Path, drawn: DrawnSet):
    (tmp_path / "faces.toml").write_text(SKELETON)
    (tmp_path / "config.toml").write_text(CONFIG.format(annotations=drawn.annotations, images=drawn.images))
    code, output, errors = lightpose("train", "config.toml", cwd=tmp_path)
    assert code == 0
    assert errors.count("epoch ") == 2  # a line for each
    assert "best AP" in output
    code, _, errors = lightpose("train", "config.toml", cwd=tmp_path)  # nothing is left to do
    assert code == 0
    assert "going on at epoch 3" in errors

    weights = tmp_path / "run/best.safetensors"
    labelled = ("--annotations", drawn.annotations, "--images", drawn.images, "--json")
    code, output, errors = lightpose("evaluate", "--model", weights, *labelled, cwd=tmp_path)
    assert (code, errors) == (0, "")
    by_torch = json.loads(output)
    assert by_torch["persons"] == 4
    assert by_torch["engine"] == "torch"

    code, output, errors = lightpose("export", weights, "--out", "mine.onnx", cwd=tmp_path)
    assert (code, errors) == (0, "")
    assert "4 joints" in output
    _, output, _ = lightpose("evaluate", "--model", "mine.onnx", *labelled, cwd=tmp_path)
    by_onnx = json.loads(output)
    assert by_onnx["engine"] == "onnxruntime"
    assert {k: v for k, v in by_onnx.items() if k not in ("engine", "model")} == pytest.approx(
        {k: v for k, v in by_torch.items() if k not in ("engine", "model")}, abs=1e-3
    )

    code, _, errors = lightpose(
        "predict", drawn.images, "--boxes", drawn.annotations, "--model", "mine.onnx", cwd=tmp_path
    )
    assert (code, errors) == (0, "")
    poses = json.loads((tmp_path / "poses/poses.json").read_text())
    assert poses["joints"] == ["nose", "left_ear", "right_ear", "tail"]
    assert [len(picture["people"]) for picture in poses["pictures"]] == [1, 2, 1]


@pytest.mark.parametrize(
    ("command", "files", "complaint"),
    [
        (["train", "none.toml"], {}, "cannot read none.toml"),
        (["train", "c.toml"], {"c.toml": "out = "}, "c.toml is not a TOML file"),
        (["train", "c.toml"], {"c.toml": "out = 'x'"}, "data is missing"),
        (["train", "c.toml"], {"c.toml": "out = 'x'\nspeed = 3\n"}, "unknown key speed"),
        (["export", "none.safetensors", "--out", "a.onnx"], {}, "cannot read the weights none.safetensors"),
        (["export", "a.safetensors", "--out", "a.onnx"], {"a.safetensors": "rubbish"}, "not a whole safetensors file"),
        (["evaluate", "--annotations", "a.json", "--images", "."], {"a.json": "[]"}, "not a COCO annotation file"),
        (["evaluate", "--annotations", "a.json", "--images", "."], {"a.json": "{}"}, "no list called 'images'"),
        (["evaluate", "--annotations", "b.json", "--images", "."], {}, "cannot read b.json"),
    ],
)
def test_bad_input_gets_a_sentence_and_exit_code_2(
    tmp_path: Path, command: list[str], files: dict[str, str], complaint: str
):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    code, _, errors = lightpose(*command, cwd=tmp_path)
    assert code == 2
    assert complaint in errors
    assert "Traceback" not in errors
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(files)


def test_a_set_whose_picture_is_missing_is_named(tmp_path: Path, drawn: DrawnSet):
    (drawn.images / "0002.png").unlink()
    code, _, errors = lightpose("evaluate", "--annotations", drawn.annotations, "--images", drawn.images, cwd=tmp_path)
    assert code == 2
    assert "0002.png: No such file" in errors
