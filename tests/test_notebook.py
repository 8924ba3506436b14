"""The notebook of the examples, cell by cell in a kernel of this Python."""

import os
import sys
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

pytestmark = [
    pytest.mark.slow,
    # What the kernel's client leaves to the garbage collector, and on Windows its event loop, is none of ours
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore:Proactor event loop:RuntimeWarning"),
]

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the code cells of a notebook show, as text; pictures by their kind."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(EXAMPLES.parent), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    notebook = nbformat.read(EXAMPLES / name, as_version=4)
    resources = {"metadata": {"path": str(EXAMPLES)}}
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return [" ".join([*output.get("data", {}), output.get("data", output).get("text/plain", output.get("text", ""))])
            for output in outputs]  # fmt: skip


def test_the_quickstart_runs_and_shows_a_drawing_a_joint_and_a_table(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("pandas")
    shown = "\n".join(run("quickstart.ipynb", monkeypatch))
    for part in ("(1, (1, 17, 3))", "image/jpeg", "Keypoint(", "text/html", "keypoints", "astronaut.jpg 1"):
        assert part in shown, f"{part} is missing in:\n{shown}"


def test_the_quickstart_is_kept_without_outputs():
    notebook = nbformat.read(EXAMPLES / "quickstart.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.outputs and cell.execution_count is None for cell in notebook.cells if cell.cell_type == "code")
