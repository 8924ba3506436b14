"""The floors of docs/architecture.md, held against the source itself: who may import whom, and who may import torch."""

import ast
import importlib
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "lightpose"

FLOORS = (
    ("errors", "limits", "skeletons", "types"),
    ("ops", "io", "models"),
    ("results", "runtime"),
    ("formats", "weights"),
    ("detect",),
    ("inference",),
    ("data",),
    ("evaluate", "export"),
    ("bench", "paper", "scale", "serve", "train"),
    ("cli",),
    ("__main__",),
)
"""From the ground up. An import goes down, never up, and never to a neighbour on the same floor."""

NEIGHBOURS = {
    ("limits", "errors"),
    ("skeletons", "errors"),
    ("types", "errors"),
    ("types", "skeletons"),
    ("runtime", "results"),
}
"""The few imports along a floor."""

TORCH = (
    "models/", "weights/network.py", "weights/cost.py", "weights/foreign/", "runtime/torch.py", "data/augment.py",
    "data/mosaic.py", "train/", "export/", "bench/networks.py",
)  # fmt: skip

FILES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}


def module_name(file: Path) -> str:
    return ".".join(("lightpose", *file.with_suffix("").parts)).removesuffix(".__init__")


MODULES = {module_name(file): file for file in FILES}


def imports_of(file: Path, at_the_top: bool = False) -> dict[str, set[str]]:
    """The modules that a file imports, and the names it takes from each; functions included unless at_the_top."""
    tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
    found: dict[str, set[str]] = {}
    for node in tree.body if at_the_top else ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found.setdefault(alias.name, set())
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports by a relative name; write it whole"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole in MODULES:
                    found.setdefault(whole, set())
                else:
                    found.setdefault(node.module or "", set()).add(alias.name)
    return found


def part(module: str) -> str:
    return module.split(".")[1]


@pytest.mark.parametrize("file", FILES, ids=str)
def test_imports_run_down_the_floors_only(file: Path):
    if file == Path("__init__.py"):
        pytest.skip("the package's own names come from all floors")
    mine = part(module_name(file))
    for module in imports_of(file):
        if module in MODULES and module != "lightpose" and part(module) != mine:
            other = part(module)
            assert FLOOR[other] < FLOOR[mine] or (mine, other) in NEIGHBOURS, f"{file} must not import {module}"


def test_every_part_has_a_floor():
    assert {part(name) for name in MODULES if name != "lightpose"} == set(FLOOR)


def test_no_imports_run_in_a_circle_inside_a_package_either():
    graph = {name: {m for m in imports_of(file) if m in MODULES} for name, file in MODULES.items()}
    graph.pop("lightpose")
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("file", FILES, ids=str)
def test_only_names_that_a_module_offers_are_imported_from_it(file: Path):
    for module, names in imports_of(file).items():
        if module in MODULES and module != "lightpose" and names:
            offered = set(getattr(importlib.import_module(module), "__all__", ()))
            assert names <= offered, f"{module} does not offer {', '.join(sorted(names - offered))} in its __all__"


@pytest.mark.parametrize("file", FILES, ids=str)
def test_torch_is_imported_only_where_it_is_allowed(file: Path):
    uses = any(name.split(".")[0] == "torch" for name in imports_of(file))
    assert not uses or file.as_posix().startswith(TORCH), f"{file} must not import torch"


@pytest.mark.parametrize("file", FILES, ids=str)
def test_only_the_command_line_prints_or_exits(file: Path):
    called = {
        node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        for node in ast.walk(ast.parse((PACKAGE / file).read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute)
    }
    assert file.parts[0] in ("cli", "__main__.py") or not called & {"print", "exit", "_exit"}


def test_predicting_leaves_torch_alone(tmp_path: Path):
    code = (
        "import sys, numpy as np, lightpose;"
        "poses = lightpose.PoseEstimator(detector='whole').predict(np.zeros((64, 48, 3), np.uint8));"
        "assert poses.keypoints.shape == (1, 17, 3);"
        "import lightpose.cli, lightpose.inference.folder, lightpose.detect.onnx;"
        "import lightpose.train, lightpose.evaluate, lightpose.export;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0
