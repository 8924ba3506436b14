"""The house rules on who may import whom, and on torch, held against the source itself."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "lightpose"

LEVELS = {
    "errors": 0, "skeletons": 0, "types": 0,
    "images": 1, "geometry": 1, "codec": 1, "oks": 1, "draw": 1, "overlap": 1, "sheet": 1,
    "models": 2, "weights": 2, "runtime": 2, "detect": 2, "data": 2,
    "predict": 3, "pipeline": 3, "evaluate": 3, "train": 3,
    "ablate": 4, "bench": 4, "export": 4, "export_detector": 4, "folder": 4, "label": 4,
    "paper": 4, "profile": 4,
    "quantize": 4, "records": 4, "sample": 4, "verify": 4,
    "cli": 5, "__main__": 5,
}  # fmt: skip
SIDEWAYS = {
    ("runtime", "models"), ("weights", "models"), ("detect", "runtime"), ("data", "detect"),
    ("pipeline", "predict"), ("evaluate", "predict"), ("train", "predict"), ("train", "evaluate"),
}  # fmt: skip
FACT_ORDER = ["errors", "skeletons", "types"]
TORCH_MAY = (
    "models/", "weights/network.py", "weights/foreign/",
    "runtime/torch.py", "data/augment.py", "data/mosaic.py", "train/", "export.py", "export_detector.py", "profile.py",
    "bench/networks.py",
)  # fmt: skip


def imports_of(path: Path) -> set[str]:
    """Full names of the modules a file imports anywhere in it, functions included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


FILES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=str)
def test_imports_run_down_the_levels_only(file: Path):
    mine = file.parts[0].removesuffix(".py")
    if mine == "__init__":
        pytest.skip("the package's own names come from all levels")
    for name in imports_of(PACKAGE / file):
        parts = name.split(".")
        if parts[0] != "lightpose" or parts[1] == mine:
            continue
        other = parts[1]
        assert other in LEVELS, f"{other} has no level; give it one"
        below = LEVELS[other] < LEVELS[mine]
        same = LEVELS[mine] in (0, 1, 4, 5) and LEVELS[other] == LEVELS[mine]
        assert below or (mine, other) in SIDEWAYS or same, f"{file} must not import {name}"
        if mine in FACT_ORDER and other in FACT_ORDER:
            assert FACT_ORDER.index(other) < FACT_ORDER.index(mine), f"{file} must not import {name}"
        if mine == "models":
            assert LEVELS[other] == 0, f"models import facts only, not {name}"


@pytest.mark.parametrize("file", FILES, ids=str)
def test_torch_is_imported_only_where_it_is_allowed(file: Path):
    uses = any(name.split(".")[0] == "torch" for name in imports_of(PACKAGE / file))
    assert not uses or str(file).startswith(TORCH_MAY), f"{file} must not import torch"


@pytest.mark.parametrize("file", FILES, ids=str)
def test_only_the_command_line_prints_or_exits(file: Path):
    called = {
        node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        for node in ast.walk(ast.parse((PACKAGE / file).read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute)
    }
    assert file.parts[0] == "cli" or not called & {"print", "exit", "_exit"}


def test_every_module_has_a_level():
    names = {file.parts[0].removesuffix(".py") for file in FILES} - {"__init__"}
    assert names == set(LEVELS)


def test_predicting_leaves_torch_alone(tmp_path: Path):
    code = (
        "import sys, numpy as np, lightpose;"
        "poses = lightpose.PoseEstimator(detector='whole').predict(np.zeros((64, 48, 3), np.uint8));"
        "assert poses.keypoints.shape == (1, 17, 3);"
        "import lightpose.cli, lightpose.folder, lightpose.detect.onnx;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0
