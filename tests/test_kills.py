"""Files that belong together, their writer killed at each step of replacing them: never one of each, unnoticed."""

import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lightpose.io.files import finish_replacing

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")]

KILLED = """
import os, signal, sys
from pathlib import Path
left = int(sys.argv[1])

def count(act):
    def counted(*names, **options):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return act(*names, **options)
    return counted

os.replace, os.unlink = count(os.replace), count(os.unlink)
"""

RESULTS = """
from lightpose.inference.resume import ResultFiles
from lightpose import Boxes, Poses
from lightpose.skeletons import COCO17
from lightpose.types import Frame
import numpy as np
results = ResultFiles(Path(), {}, {"a": 1}, {"a": "1"}, restart=True)
keypoints = np.full((1, 17, 3), 0.5 + (sys.argv[2] == "new"), np.float32)
poses = Poses(keypoints, np.ones(1, np.float32), Boxes([[0, 0, 4, 4]]), COCO17)
results.write(Frame(np.zeros((4, 4, 3), np.uint8), "a", 0), poses)
results.close()
"""

GRAPH = """
import numpy as np, openvino
from lightpose.runtime.openvino import save_graph
from lightpose.skeletons import COCO17
from lightpose.types import ModelSpec
value = openvino.opset13.parameter([1, 2], np.float32)
sum = openvino.opset13.add(value, np.full((1, 2), float(sys.argv[2] == "new"), np.float32))
for output, name in zip((sum.output(0), openvino.opset13.relu(sum).output(0)), ("heatmaps", "keypoints")):
    output.set_names({name})
graph = openvino.Model([sum, openvino.opset13.relu(sum)], [value])
for output, name in zip(graph.outputs, ("heatmaps", "keypoints")):
    output.get_tensor().set_names({name})
save_graph(graph, ModelSpec("lpn50", COCO17, (64, 48)), "a.xml")
"""

WEIGHTS = """
from lightpose.weights import install_weights
Path("new").mkdir(exist_ok=True)
Path("new/a.onnx").write_text(sys.argv[2])
install_weights(Path(), Path("new/a.onnx"))
"""


PAIRS = {
    "keypoints and poses": (RESULTS, ("keypoints.json", "poses.json")),
    "graph": (GRAPH, ("a.bin", "a.xml")),
    "weights and sums": (WEIGHTS, ("a.onnx", "SHA256SUMS")),
}


def write(folder: Path, program: str, what: str, steps: int = 1000) -> bool:
    """Have a program write its files with that content, killed after so many steps; whether it came to its end."""
    command = [sys.executable, "-c", KILLED + program, str(steps), what]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode == 0


@pytest.mark.parametrize("pair", PAIRS)
def test_a_kill_at_any_step_never_leaves_a_new_file_with_an_old_one(pair: str, tmp_path: Path):
    program, names = PAIRS[pair]
    if pair == "graph":
        pytest.importorskip("openvino")
    paths = [tmp_path / name for name in names]
    whole: dict[str, list[bytes]] = {}
    for what in ("new", "old"):
        assert write(tmp_path, program, what)
        whole[what] = [path.read_bytes() for path in paths]

    def told() -> list[str]:
        """Whether each file is old or new, or not there."""
        return [
            "" if not path.exists() else next(what for what in whole if path.read_bytes() == whole[what][place])
            for place, path in enumerate(paths)
        ]

    seen = []
    for steps in itertools.count():
        for path, content in zip(paths, whole["old"], strict=True):
            path.write_bytes(content)
        ended = write(tmp_path, program, "new", steps)
        seen.append(told())
        finish_replacing(*paths)
        assert told() in (["old", "old"], ["new", "new"])
        if ended:
            break
    assert {tuple(each) for each in seen} == {("old", "old"), ("old", ""), ("new", ""), ("new", "new")}
