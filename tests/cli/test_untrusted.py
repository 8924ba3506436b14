"""Files that run a command when they are unpickled, given to every option that names weights or a configuration."""

import dataclasses
import importlib
import os
import pickle
import pkgutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from lightpose import cli
from lightpose.cli import main
from lightpose.io.images import encode_image
from tests.helpers import DrawnSet, draw_set

SUFFIXES = (
    ".pt", ".pth", ".pt2", ".pkl", ".ckpt", ".bin", ".npy", ".npz", ".mat", ".onnx", ".safetensors", ".xml", ".json",
    ".toml", ".zip",
)  # fmt: skip

NAMES = {"model", "models", "weights", "detector", "teacher", "file", "files", "config", "boxes", "logs", "results"}
"""Fields of the commands that name a file which might be weights, or take one by mistake."""

COMMANDS = {
    "Predict.model": "predict {image} --out {out} --model {evil}",
    "Predict.detector": "predict {image} --out {out} --detector {evil}",
    "Predict.boxes": "predict {image} --out {out} --boxes {evil}",
    "Run.model": "bulk {image} --out {out} --model {evil}",
    "Run.detector": "bulk {image} --out {out} --detector {evil}",
    "Serve.model": "serve --port 0 --model {evil}",
    "Serve.detector": "serve --port 0 --detector {evil}",
    "Train.config": "train {evil}",
    "Evaluate.model": "evaluate --annotations {labels} --images {images} --model {evil}",
    "Evaluate.detector": "evaluate --annotations {labels} --images {images} --detector {evil}",
    "Evaluate.boxes": "evaluate --annotations {labels} --images {images} --boxes {evil}",
    "EvaluateDetector.detector": "evaluate-detector {evil} --annotations {labels} --images {images}",
    "Export.weights": "export {evil} --out {out}.onnx",
    "Export.model": "export --to web {out} --model {evil}",
    "Quantize.model": "quantize {evil} --calibrate {labels} --images {images} --out {out}.xml",
    "Quantize.boxes": "quantize lpn50 --calibrate {images} --boxes {evil} --out {out}.xml",
    "Check.file": "data check {evil}",
    "Convert.file": "data convert lsp {evil} --images {images} --out {out}.json",
    "Preview.file": "data preview {evil} --images {images} --out {out}.png",
    "Label.file": "data label {evil} --images {images} --out {out}.json",
    "Label.model": "data label {labels} --images {images} --out {out}.json --model {evil}",
    "Profile.models": "profile {evil}",
    "Bench.models": "bench {evil} --repeats 1",
    "Bench.results": "bench --results {evil}",
    "Decode.models": "ablate decode {evil} --annotations {labels} --images {images}",
    "Decode.boxes": "ablate decode lpn50 --annotations {labels} --images {images} --boxes {evil}",
    "Gc.models": "ablate gc {evil} {evil} --annotations {labels} --images {images}",
    "Gc.boxes": "ablate gc lpn50 lpn50 --annotations {labels} --images {images} --boxes {evil}",
    "Size.models": "ablate size {evil} --annotations {labels} --images {images}",
    "Size.boxes": "ablate size lpn50 --annotations {labels} --images {images} --boxes {evil}",
    "Stages.logs": "ablate stages {evil}",
    "Paper.results": "paper --results {evil}",
    "Import.file": "weights import {evil} --out {out}.safetensors",
    "Adopt.file": "weights adopt {evil} --out {out}.onnx",
    "Info.file": "weights info {evil}",
    "Verify.files": "weights verify {evil}",
    "Average.files": "weights average {evil} {evil} --out {out}.safetensors",
}
"""Each such field, and a command with a hostile file in it."""

CONFIG = """
out = "{out}"
[model]
input_hw = [64, 48]
{model}
{distill}
[data]
store = "{out}_crops"
[[data.train]]
annotations = "{labels}"
images = "{images}"
[data.val]
annotations = "{labels}"
images = "{images}"
"""

SETTINGS = {
    "model.init": {"model": 'init = "{evil}"'},
    "model.skeleton": {"model": 'skeleton = "{evil}"'},
    "distill.teacher": {"distill": '[distill]\nteacher = "{evil}"'},
    "feature_distillation.teacher": {"distill": '[feature_distillation]\nteacher = "{evil}"'},
    "data.annotations": {"labels": "{evil}"},
}
"""Settings of a training run that name a file."""


class Payload:
    """What makes a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("untrusted")


@pytest.fixture(scope="module")
def marker(place: Path) -> Path:
    return place / "the_payload_ran"


@pytest.fixture(scope="module")
def hostile(place: Path, marker: Path) -> list[Path]:
    """A pickle by each suffix, an archive as torch.save writes it, and arrays of objects."""
    raw = pickle.dumps({"state_dict": Payload(marker)})
    files = []
    for suffix in SUFFIXES:
        path = place / f"evil{suffix}"
        path.write_bytes(raw)
        files.append(path)
    for suffix in (".pt", ".pth", ".pt2", ".onnx", ".safetensors", ".zip"):
        path = place / f"archive{suffix}"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in (("data.pkl", raw), ("byteorder", b"little"), ("version", b"3\n")):
                archive.writestr(f"archive/{name}", content)
        files.append(path)
    objects = np.array([Payload(marker)], dtype=object)
    np.save(place / "objects.npy", objects, allow_pickle=True)
    np.savez(place / "objects.npz", crops=objects)
    return [*files, place / "objects.npy", place / "objects.npz"]


@pytest.fixture(scope="module")
def drawn_once(place: Path) -> DrawnSet:
    return draw_set(place / "drawn")


@pytest.fixture
def attempt(place: Path, marker: Path, drawn_once: DrawnSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Run a command line with a hostile file in it: nothing of it may run, and one sentence says why."""
    image = place / "image.png"
    image.write_bytes(encode_image(np.full((64, 48, 3), 90, np.uint8), ".png"))

    def run(line: str, **more: object) -> None:
        facts = {"labels": drawn_once.annotations, "images": drawn_once.images, "image": image, "out": tmp_path / "out"}
        with pytest.raises(SystemExit) as ended:
            main([part.format(**{**facts, **more}) for part in line.split()])
        said = capsys.readouterr().err.strip()
        assert not marker.exists(), line
        assert ended.value.code in (1, 2), line
        assert "unforeseen" not in said, said
        assert "Traceback" not in said, said

    return run


def weights_fields() -> Iterator[str]:
    for module in pkgutil.iter_modules(cli.__path__):
        for kind in vars(importlib.import_module(f"lightpose.cli.{module.name}")).values():
            if isinstance(kind, type) and dataclasses.is_dataclass(kind) and not kind.__name__.startswith("_"):
                yield from (f"{kind.__name__}.{each.name}" for each in dataclasses.fields(kind) if each.name in NAMES)


def test_no_option_is_forgotten():
    written, a_choice = {"Evaluate.results"}, {"Convert.boxes"}
    assert set(weights_fields()) - written - a_choice == set(COMMANDS)


@pytest.mark.slow
@pytest.mark.parametrize("field", COMMANDS)
def test_no_command_runs_what_is_in_a_file(field: str, hostile: list[Path], attempt):
    for evil in hostile:
        attempt(COMMANDS[field], evil=evil)


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS)
def test_no_setting_of_training_runs_what_is_in_a_file(
    setting: str, hostile: list[Path], attempt, drawn_once: DrawnSet, tmp_path: Path
):
    facts = {"labels": str(drawn_once.annotations), "images": drawn_once.images, "model": "", "distill": ""}
    for number, evil in enumerate(hostile):
        parts = {**facts, **{name: text.format(evil=evil) for name, text in SETTINGS[setting].items()}}
        config = tmp_path / f"{number}.toml"
        config.write_text(CONFIG.format(out=tmp_path / f"run{number}", **parts))
        attempt(f"train {config}")


@pytest.mark.slow
def test_no_checkpoint_runs_what_is_in_it(hostile: list[Path], attempt, drawn_once: DrawnSet, tmp_path: Path):
    facts = {"labels": drawn_once.annotations, "images": drawn_once.images, "model": "", "distill": ""}
    config = tmp_path / "train.toml"
    config.write_text(CONFIG.format(out=tmp_path / "run", **facts))
    (tmp_path / "run").mkdir()
    for evil in hostile:
        (tmp_path / "run/last.pt").write_bytes(evil.read_bytes())
        attempt(f"train {config}")


def test_the_error_explains_what_trust_is_for():
    from lightpose.errors import ConfigError
    from lightpose.train.config import FeatureDistillationConfig

    with pytest.raises(ConfigError, match=r"can run code .* trust = true"):
        FeatureDistillationConfig("teacher.pt2")
    assert FeatureDistillationConfig("teacher.pt2", trust=True).trust
    assert FeatureDistillationConfig("teacher.onnx").teacher == "teacher.onnx"
