"""From a labelled set to one's own network in use, by the commands alone."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lightpose.cli import main
from lightpose.train.loop import rank
from tests.helpers import DrawnSet

pytest.importorskip("torch")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

CONFIG = """
out = "run"
device = "cpu"
[model]
skeleton = "faces.toml"
input_hw = [64, 48]
init = "kaiming"
[optim]
batch = 2
epochs = 2
[plan]
kind = "iterative"
stages = 1
restart_epoch = 1
[data]
store = "crops"
[[data.train]]
annotations = "{annotations}"
images = "{images}"
[data.val]
annotations = "{annotations}"
images = "{images}"
"""
SKELETON = 'joints = ["nose", "left_ear", "right_ear", "tail"]\nlimbs = [["left_ear", "nose"], ["nose", "right_ear"]]\n'


def lightpose(*arguments: object, cwd: Path) -> tuple[int, str, str]:
    """In a process of its own."""
    command = [sys.executable, "-m", "lightpose", *map(str, arguments)]
    settings = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, env=settings)
    return done.returncode, done.stdout, " ".join(done.stderr.split())


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """The same in this process, in the test's folder; for what would take long to start again and again."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main([*map(str, arguments)])
        output, errors = capsys.readouterr()
        return end.value.code, output, " ".join(errors.split())

    return run


def write_config(folder: Path, drawn: DrawnSet, text: str = CONFIG) -> None:
    (folder / "faces.toml").write_text(SKELETON)
    (folder / "config.toml").write_text(text.format(annotations=drawn.annotations, images=drawn.images))


def test_train_evaluate_export_and_predict_with_joints_of_ones_own(tmp_path: Path, drawn: DrawnSet, here):
    write_config(tmp_path, drawn)
    code, output, errors = lightpose("train", "config.toml", cwd=tmp_path)
    assert code == 0
    assert re.findall(r"epoch +(\d+) +loss [\d.]+ +AP +[\d.]+ +AP50 +[\d.]+ +PCK@0\.1 +[\d.]+", errors) == [*"123"]
    log = json.loads((tmp_path / "run/log.json").read_text())
    assert len(log["epochs"]) == 3
    (first, second), best = log["stages"], max(log["epochs"], key=rank)
    assert errors.count("best AP") == 2, "a table after each stage"
    assert f"│ 0 │ {100 * first['ap']:.2f} │ │ {first['epoch'] + 1} │ 66.90 │ │" in errors
    gain = f"{100 * (second['ap'] - first['ap']):+.2f}"
    assert f"│ 1 │ {100 * second['ap']:.2f} │ {gain} │ 3 │ 67.73 │ +0.83 │" in errors
    assert f"best AP {100 * best['ap']:.1f} at epoch {best['epoch'] + 1}: run/best.safetensors" in output
    assert "lightpose export run/best.safetensors --out run/best.onnx" in output
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert files == {".lock", "best.safetensors", "last.pt", "log.json", "previews", "tensorboard"} | {
        f"stage_{stage}.safetensors" for stage in (0, 1)
    }
    code, again, errors = here("train", "config.toml")  # nothing is left to do
    assert (code, again) == (0, output)
    assert errors.startswith("going on at epoch 4, step 1 lightpose: run holds a run that is over")

    weights = tmp_path / "run/best.safetensors"
    labelled = ("--annotations", drawn.annotations, "--images", drawn.images, "--json")
    code, output, errors = here("evaluate", "--model", weights, *labelled)
    assert (code, errors) == (0, "")
    by_torch = json.loads(output)
    assert by_torch["persons"] == 4
    assert by_torch["engine"] == "torch"

    code, output, errors = here("export", weights, "--out", "mine.onnx")
    assert (code, errors) == (0, "")
    assert "4 joints" in output
    _, output, _ = here("evaluate", "--model", "mine.onnx", *labelled)
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
    assert [len(image["people"]) for image in poses["images"]] == [1, 2, 1]


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
    tmp_path: Path, here, command: list[str], files: dict[str, str], complaint: str
):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    code, _, errors = here(*command)
    assert code == 2
    assert errors.startswith("lightpose: ")
    assert complaint in errors
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(files)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("restart_epoch = 1", "restart_epoch = 2", "plan.restart_epoch 2 must be before the end, optim.epochs 2"),
        ('"iterative"', '"paper"', "config.toml: plan.kind must be 'single' or 'iterative', not 'paper'"),
        ("stages = 1", "rounds = 1", "config.toml: unknown key plan.rounds; known are kind, stages, restart_epoch"),
        ("stages = 1", "stages = 0", "plan.stages must be from 1 to 1000, not 0"),
        ("faces.toml", "faeces.toml", "cannot read the skeleton file faeces.toml"),
        ('init = "kaiming"', 'init = "none.safetensors"', "cannot read the weights none.safetensors"),
        ('init = "kaiming"', 'name = "lpn51"', "model.name 'lpn51' is unknown; use lpn50"),
        ("[64, 48]", "[64, 50]", "input_hw (64, 50) must be two multiples of 16"),
        ("batch = 2", "batch = 2\naccumulate = 3", "a batch of 2 of the 4 persons of an epoch is less than one each"),
        ("[plan]", '[distill]\nteacher = "none.onnx"\n[plan]', "no weights at none.onnx"),
        ('device = "cpu"', 'device = "gpu"', "device must be auto, cpu or cuda, not 'gpu'"),
        ('device = "cpu"', 'device = "cpu"\namp = "fp16"', "amp = 'fp16' needs a GPU"),
        (
            "[plan]",
            "[loss]\nmse = 0\n[plan]",
            "loss.mse and loss.cross_entropy must not both be 0",
        ),
        ('images = "{images}"', 'images = "nowhere"', "nowhere/0001.png: No such file"),
    ],
)
def test_a_run_that_cannot_be_gets_a_sentence_and_exit_code_2(
    tmp_path: Path, drawn: DrawnSet, here, old: str, new: str, complaint: str
):
    assert old in CONFIG
    write_config(tmp_path, drawn, CONFIG.replace(old, new, 1))
    code, output, errors = here("train", "config.toml")
    assert (code, output) == (2, "")
    assert errors.startswith("lightpose: ")
    assert complaint in errors
    assert not (tmp_path / "run").exists()


def test_a_fault_ends_a_process_of_its_own_with_one_line_and_code_2(tmp_path: Path):
    code, output, errors = lightpose("train", "none.toml", cwd=tmp_path)
    assert (code, output, errors) == (2, "", "lightpose: cannot read none.toml: No such file or directory")


@pytest.mark.parametrize("command", [["train", "c.toml"], ["export", "a.safetensors", "--out", "a.onnx"]])
def test_without_pytorch_a_command_says_what_to_install(tmp_path: Path, command: list[str]):
    """A module of that name in the current folder comes before the real one."""
    (tmp_path / "torch.py").write_text('raise ImportError("there is none")')
    code, output, errors = lightpose(*command, cwd=tmp_path)
    assert (code, output) == (2, "")
    assert errors == "lightpose: this needs the package torch; install it with: pip install 'lightpose[train]'"


def test_a_run_with_other_settings_in_the_same_folder_is_refused_by_the_name_of_the_setting(
    tmp_path: Path, drawn: DrawnSet, here
):
    single = CONFIG.replace('"iterative"', '"single"').replace("epochs = 2", "epochs = 1").replace(
        "restart_epoch = 1", "restart_epoch = 0"
    )  # fmt: skip
    write_config(tmp_path, drawn, single)
    assert here("train", "config.toml")[0] == 0
    write_config(tmp_path, drawn, single.replace("batch = 2", "batch = 2\nlr = 0.002"))
    code, output, errors = here("train", "config.toml")
    assert (code, output) == (2, "")
    assert errors == "lightpose: run holds a run with another optim.lr; name another `out`, or delete that folder"


def test_a_set_whose_picture_is_missing_is_named(drawn: DrawnSet, here):
    (drawn.images / "0002.png").unlink()
    code, _, errors = here("evaluate", "--annotations", drawn.annotations, "--images", drawn.images)
    assert code == 2
    assert "0002.png: No such file" in errors


def test_an_old_name_in_a_configuration_is_noted_in_one_line(tmp_path: Path):
    (tmp_path / "old.toml").write_text('out = "run"\n[hint]\nweight = -1\n')
    code, _, errors = lightpose("train", "old.toml", cwd=tmp_path)
    note = "lightpose: old.toml: [hint] is now called [feature_distillation]; the old name goes in a later version"
    assert (code, errors) == (2, f"{note} lightpose: old.toml: data is missing")
