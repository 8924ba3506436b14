"""Names for weights files: added from paths and addresses, checked by SHA-256, used by name, removed."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from lightpose.cli import main
from lightpose.errors import ConfigError, WeightsError
from lightpose.weights import bundled_weights, find_weights
from lightpose.weights.open import open_runtime
from lightpose.weights.registry import add_model, find_model, kept_models, models_folder, remove_model
from tests.runtime import pose_graphs as graphs

CONTENT = np.random.default_rng(0).bytes(3_000_000)
SUM = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIGHTPOSE_MODELS", str(tmp_path / "kept"))
    return tmp_path / "kept"


class Server:
    """Gives CONTENT at any path but those named otherwise; breaks off after so many bytes; notes what is asked for."""

    def __init__(self) -> None:
        self.content, self.tag, self.most, self.ranges = CONTENT, '"first"', len(CONTENT), list[str]()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        if request.path.startswith("/away"):
            request.send_response(302)
            request.send_header("Location", "http://example.org/model.onnx")
            request.end_headers()
            return
        if request.path.startswith("/missing"):
            request.send_error(404)
            return
        asked = request.headers.get("Range", "")
        self.ranges.append(asked)
        start = int(asked[6:-1]) if asked and request.headers.get("If-Range") == self.tag else 0
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        if not request.path.startswith("/unsized"):
            request.send_header("Content-Length", str(len(self.content) - start))
        request.send_header("ETag", self.tag)
        request.end_headers()
        request.wfile.write(self.content[start : self.most])


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_file_is_kept_by_a_name_and_used_by_it(tmp_path, folder):
    path = graphs.simcc(tmp_path / "rtmpose.onnx")
    kept = add_model("mine", str(path))
    assert kept.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    path.unlink()
    assert find_weights("mine") == folder / "mine.onnx"
    assert open_runtime("mine", 1).spec.family == "simcc"
    assert list(kept_models()) == ["mine"]
    remove_model("mine")
    assert (kept_models(), find_model("mine"), list(folder.iterdir())) == ({}, None, [])


def test_a_file_of_that_name_in_the_folder_goes_before_what_is_kept(tmp_path, monkeypatch):
    add_model("mine", str(graphs.simcc(tmp_path / "a.onnx")))
    monkeypatch.chdir(tmp_path)
    Path("mine").write_bytes(b"")
    assert find_weights("mine") == Path("mine")


def test_what_was_changed_since_is_refused(tmp_path, folder):
    add_model("mine", str(graphs.simcc(tmp_path / "a.onnx")))
    content = bytearray((folder / "mine.onnx").read_bytes())
    content[-1] ^= 1
    (folder / "mine.onnx").write_bytes(content)
    with pytest.raises(WeightsError, match="kept as mine, is not as it was added"):
        find_weights("mine")


def test_another_file_takes_the_place_of_the_old_one(tmp_path, folder):
    add_model("mine", str(graphs.simcc(tmp_path / "a.onnx")))
    (tmp_path / "b.safetensors").write_bytes(b"other")
    add_model("mine", str(tmp_path / "b.safetensors"))
    assert sorted(path.name for path in folder.iterdir()) == ["mine.json", "mine.safetensors"]


@pytest.mark.parametrize(
    ("name", "source", "sha256", "error", "told"),
    [
        ("mine", "a.onnx", "0" * 64, WeightsError, "it is another file, so it was not kept"),
        ("mine", "a.onnx", "abc", ConfigError, "is no SHA-256"),
        ("../mine", "a.onnx", None, ConfigError, "cannot be a name"),
        ("mine.onnx", "a.onnx", None, ConfigError, "cannot be a name"),
        ("lpn50", "a.onnx", None, ConfigError, "is bundled with lightpose"),
        ("mine", "a.bin", None, ConfigError, "must end in"),
        ("mine", "none.onnx", None, WeightsError, "there is no file none.onnx"),
        ("mine", "http://example.org/a.onnx", None, ConfigError, "is no https address"),
        ("mine", "file:///etc/a.onnx", None, ConfigError, "is no https address"),
        ("mine", "https://me:secret@example.org/a.onnx", None, ConfigError, "a password in it"),
    ],
)
def test_what_cannot_be_kept_is_refused_and_nothing_is(
    tmp_path, monkeypatch, folder, name, source, sha256, error, told
):
    monkeypatch.chdir(tmp_path)
    graphs.simcc(tmp_path / "a.onnx")
    with pytest.raises(error, match=told):
        add_model(name, source, sha256, reserved=bundled_weights())
    assert not folder.exists() or not [path for path in folder.iterdir() if "download" not in path.name]


def test_an_address_is_fetched_and_checked(server, folder):
    seen = []
    kept = add_model("far", f"{server.address}/model.onnx", SUM.upper(), progress=lambda *told: seen.append(told))
    assert (kept.size, kept.sha256, seen[-1]) == (len(CONTENT), SUM, (len(CONTENT), len(CONTENT)))
    assert (folder / "far.onnx").read_bytes() == CONTENT
    assert sorted(path.name for path in folder.iterdir()) == ["far.json", "far.onnx"]


def test_a_broken_download_goes_on_where_it_ended(server):
    server.most = 2_000_000
    with pytest.raises(WeightsError, match="broke off after 2,000,000 of 3,000,000 bytes"):
        add_model("far", f"{server.address}/model.onnx")
    assert kept_models() == {}
    server.most = len(CONTENT)
    assert add_model("far", f"{server.address}/model.onnx").sha256 == SUM
    assert server.ranges == ["", "bytes=2000000-"]


@pytest.mark.parametrize("change", ["file", "address"])
def test_a_download_of_another_file_begins_anew(server, change):
    server.most = 1_000_000
    with pytest.raises(WeightsError, match="broke off"):
        add_model("far", f"{server.address}/model.onnx")
    server.content = CONTENT[::-1]
    server.most, server.tag = len(CONTENT), '"second"'
    kept = add_model("far", f"{server.address}/{'other' if change == 'address' else 'model'}.onnx")
    assert kept.sha256 == hashlib.sha256(CONTENT[::-1]).hexdigest()


def test_a_wrong_sum_leaves_nothing(server, folder):
    with pytest.raises(WeightsError, match=f"has the SHA-256 {SUM}, not 0000"):
        add_model("far", f"{server.address}/model.onnx", "0" * 64)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("path", ["model", "unsized"])
def test_a_file_that_is_too_large_is_not_kept(server, folder, path):
    with pytest.raises(WeightsError, match="more than 2,000,000"):
        add_model("far", f"{server.address}/{path}.onnx", largest=2_000_000)
    assert not list(folder.glob("far.*onnx"))
    assert not (folder / "far.download").exists()


def test_servers_that_have_no_such_file_or_lead_elsewhere_are_told(server):
    with pytest.raises(WeightsError, match="the server says 404"):
        add_model("far", f"{server.address}/missing.onnx")
    with pytest.raises(ConfigError, match=r"http://example\.org/model\.onnx is no https address"):
        add_model("far", f"{server.address}/away.onnx")
    server.server.shutdown()
    server.server.server_close()
    with pytest.raises(WeightsError, match="cannot be fetched"):
        add_model("far", f"{server.address}/model.onnx")


def test_foreign_notes_and_links_are_passed_over(folder):
    folder.mkdir()
    for name, told in (("a", b"no json"), ("b", b"[]"), ("c", b'{"name": "c"}')):
        (folder / f"{name}.json").write_bytes(told)
    (folder / "d.json").write_text(
        json.dumps({"name": "d", "file": "../d.onnx", "size": 1, "sha256": "0" * 64, "source": "x"})
    )
    assert kept_models() == {}
    with pytest.raises(WeightsError, match=r"give a file, or one of the bundled: .*lpn50"):
        find_weights("d")


def test_the_folder_is_the_systems_for_data_of_programs(monkeypatch, tmp_path):
    monkeypatch.delenv("LIGHTPOSE_MODELS")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert models_folder() == tmp_path / "lightpose/models"
    monkeypatch.setenv("XDG_DATA_HOME", "not/absolute")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert models_folder() == tmp_path / ".local/share/lightpose/models"
    monkeypatch.setattr("sys.platform", "darwin")
    assert models_folder() == tmp_path / "Library/Application Support/lightpose/models"


def test_the_commands_list_add_and_remove(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    graphs.simcc(tmp_path / "a.onnx")

    def run(*arguments: str) -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["models", *arguments])
        return ended.value.code, *capsys.readouterr()

    assert "nothing is kept" in run("list")[1]
    code, output, _ = run("add", "mine", "a.onnx")
    assert (code, output.startswith("mine: ")) == (0, True)
    assert [row["name"] for row in json.loads(run("list", "--json")[1])] == ["mine"]
    assert "mine" in run("list")[1]
    assert run("remove", "mine")[0] == 0
    code, _, errors = run("remove", "mine")
    assert (code, "nothing is kept as 'mine'" in errors) == (2, True)
    assert run("add", "lpn50", "a.onnx")[0] == 2
    assert "lpn50" in bundled_weights()
