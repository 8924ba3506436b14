"""The examples of docs/serve.md, run beside a server: curl, Python and JavaScript."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.serve.conftest import PHOTOS
from tests.test_docs import FENCE, ROOT

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")
BLOCKS = [(block["kind"], block["text"]) for block in FENCE.finditer(PAGE)]
CALLS = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines() if line.startswith("curl ")]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    shutil.copy(PHOTOS / "astronaut.jpg", tmp_path / "photo.jpg")
    shutil.copy(PHOTOS / "grace_hopper.jpg", tmp_path / "other.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def to(server, text: str) -> str:
    return text.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")


@pytest.mark.parametrize("call", CALLS)
def test_calls_of_curl_are_answered(server, folder: Path, call: str):
    if shutil.which("curl") is None:
        pytest.skip("there is no curl")
    if "clip.mp4" in call:
        pytest.importorskip("av")
        from lightpose import read_image
        from tests.serve.test_clips import with_frames

        with_frames(folder / "clip.mp4", [read_image("photo.jpg")] * 3)
    before = {path.name for path in folder.iterdir()}
    ran = subprocess.run(
        ["bash", "-c", to(server, call).replace("curl ", "curl --silent --show-error --fail-with-body ", 1)],
        capture_output=True, check=False, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    if "-o drawn.png" in call:
        assert {path.name for path in folder.iterdir()} - before == {"drawn.png"}
        assert (folder / "drawn.png").read_bytes().startswith(b"\x89PNG")
    elif "clip.mp4" in call:
        assert [json.loads(line)["index"] for line in ran.stdout.splitlines()] == [0, 1, 2]
    else:
        assert json.loads(ran.stdout)


@pytest.mark.parametrize("code", [text for kind, text in BLOCKS if kind == "python"])
@pytest.mark.usefixtures("folder")
def test_python_is_answered(server, code: str, capsys):
    exec(compile(to(server, code), "example", "exec"), {"__name__": "example"})
    assert capsys.readouterr().out


FILE = """
import { readFileSync } from "node:fs";
const file = new Blob([readFileSync("photo.jpg")]);
"""


@pytest.mark.parametrize("code", [text for kind, text in BLOCKS if kind == "js"])
def test_javascript_is_answered(server, folder: Path, code: str):
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no Node.js")
    end = "setTimeout(() => { console.log('late'); process.exit(1); }, 60000).unref();"
    if "WebSocket" in code:
        end += "socket.addEventListener('message', () => socket.close());"
    (folder / "example.mjs").write_text(FILE + to(server, code) + end, encoding="utf-8")
    flags = ["--experimental-websocket"] if "WebSocket" in code and _major(node) < 22 else []
    ran = subprocess.run(
        [node, "--no-warnings", *flags, "example.mjs"], capture_output=True, text=True, check=False, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"\d", ran.stdout)


def _major(node: str) -> int:
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    return int(told.strip().lstrip("v").partition(".")[0])


def test_there_are_examples_of_each_kind():
    kinds = [kind for kind, _ in BLOCKS]
    assert len(CALLS) >= 7
    assert kinds.count("python") == kinds.count("js") == 2
