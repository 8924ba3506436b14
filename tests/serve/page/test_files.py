"""The files of the page: everything it needs comes from the server itself, or lies in one folder."""

import gzip
import hashlib
import json
import re

import httpx
import pytest

from lightpose import cli
from lightpose.errors import ConfigError, WeightsError
from lightpose.serve import site as of_site
from lightpose.serve.networks import networks_of
from lightpose.serve.site import page_parts, site_document, write_site
from lightpose.weights import bundled_weights, file_sha256
from tests.serve.conftest import with_settings
from tests.test_docs import ROOT

WEB = ROOT / "lightpose" / "serve" / "web"
OURS = sorted(path for path in WEB.iterdir() if path.is_file() and path.suffix != ".txt")
MOST_BYTES = 200_000


@pytest.mark.slow
def test_every_file_that_the_page_names_is_served(http):
    page = http.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    named = set(re.findall(r'(?:href|src)="(web/[\w.]+)"', page.text))
    for path in WEB.glob("*.js"):
        named |= {f"web/{name}" for name in re.findall(r'"\./([\w.]+)"', path.read_text(encoding="utf-8"))}
    assert named == {f"web/{path.name}" for path in OURS} - {"web/index.html"}
    for place, part in page_parts().items():
        if place != "index.html":
            answer = http.get(f"/{place}")
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith(part.media_type)
            assert answer.content == part.plain


@pytest.mark.slow
def test_what_has_its_hash_in_its_name_is_kept_and_the_rest_is_not(http):
    site = http.get("/web/site.json").json()
    assert site == site_document()
    assert http.get("/web/page.js").headers["cache-control"] == "no-store"
    for engine in (site["engines"] or {}).values():
        for place in engine.values():
            answer = http.get(f"/{place}", headers={"accept-encoding": "gzip"})
            assert "immutable" in answer.headers["cache-control"]
            if place.endswith(".wasm"):
                assert answer.headers["content-encoding"] == "gzip"
                assert int(answer.headers["content-length"]) < len(answer.content) / 3
                assert http.get(f"/{place}", headers={"accept-encoding": ""}).content == answer.content


@pytest.mark.slow
def test_the_networks_of_the_server_are_there_for_the_browser(http):
    networks = http.get("/v1/networks").json()
    for kind, name in (("pose", "lpn50"), ("detector", "person_detector")):
        one = networks[kind]
        content = http.get(f"/{one['url']}").content
        assert len(content) == one["size"]
        assert hashlib.sha256(content).hexdigest() == one["sha256"]
        assert one["sha256"] in {file_sha256(bundled_weights()[each]) for each in (name, f"{name}_int8")}


@pytest.mark.slow
def test_networks_need_the_token():
    with with_settings(token="correct-horse-battery") as running, httpx.Client(base_url=running.url) as http:
        assert http.get("/v1/networks").status_code == 401
        assert http.get("/web/site.json").json()["api"] is True
        allowed = {"Authorization": "Bearer correct-horse-battery"}
        url = http.get("/v1/networks", headers=allowed).json()["pose"]["url"]
        assert http.get(f"/{url}").status_code == 401
        assert http.get(f"/{url}", headers=allowed).status_code == 200


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_nothing_comes_from_another_host_and_no_script_stands_in_the_page(path):
    text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://", text)
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=\"|style=\"|<style", text)
    assert not re.search(r"\beval\(|new Function|innerHTML|document\.write|localStorage|cookie", text)


def test_every_control_has_a_name():
    page = (WEB / "index.html").read_text(encoding="utf-8")
    for kind, attributes in re.findall(r"<(input|canvas|progress)([^>]*)>", page):
        name = re.search(r'id="([\w-]+)"', attributes)[1]
        labelled = f'for="{name}"' in page or "aria-label" in attributes
        assert labelled or re.search(rf'<label[^>]*>[^<]*<input id="{name}"', page), f"{kind} {name}"
    assert '<html lang="en">' in page
    assert 'role="status"' in page


def test_the_page_is_small():
    assert sum(path.stat().st_size for path in OURS) < MOST_BYTES


@pytest.mark.slow
def test_the_page_can_be_left_out():
    with with_settings(page=False) as running, httpx.Client(base_url=running.url) as http:
        assert http.get("/").status_code == 404
        assert http.get("/web/page.js").status_code == 404
        assert http.get("/docs").status_code == 200
        assert http.get("/web/page.css").status_code == 200


@pytest.fixture
def made_up_engine(tmp_path, monkeypatch):
    """Files in the place of ONNX Runtime Web: what is written does not depend on what they hold."""
    folder = tmp_path / "ort"
    folder.mkdir()
    (folder / "wasm.mjs").write_text("export {}")
    (folder / "wasm.wasm.gz").write_bytes(gzip.compress(b"\0asm"))
    monkeypatch.setattr(of_site, "_ENGINES", folder)


@pytest.mark.usefixtures("made_up_engine")
def test_export_writes_a_folder_in_which_every_named_file_is(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["export", "--to", "web", str(tmp_path / "site"), "--model", "lpn50_int8"])
    assert ended.value.code == 0
    assert "Cross-Origin-Opener-Policy: same-origin" in capsys.readouterr().out
    folder = tmp_path / "site"
    site = json.loads((folder / "web" / "site.json").read_text())
    assert site["api"] is False
    assert (folder / site["engines"]["wasm"]["binary"]).read_bytes() == b"\0asm"
    for kind, name in (("pose", "lpn50_int8"), ("detector", "person_detector_int8")):
        assert file_sha256(folder / site["networks"][kind]["url"]) == file_sha256(bundled_weights()[name])
    assert (folder / "index.html").read_bytes() == (WEB / "index.html").read_bytes()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    write_site(folder, "lpn50_int8")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_without_onnx_runtime_web_the_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(of_site, "_ENGINES", tmp_path / "none")
    assert site_document()["engines"] is None
    with pytest.raises(ConfigError, match="run scripts/web"):
        write_site(tmp_path / "site")
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["export", "mine.safetensors"], "say with --out"),
        (["export", "--to", "web", "site", "--opset", "17"], "leave the other options out"),
        (["export", "a.safetensors", "--out", "a.onnx", "--model", "lpn50_int8"], "--model is for --to web"),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments, told, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_networks_of_another_kind_are_refused(tmp_path):
    known = bundled_weights()
    with pytest.raises(WeightsError, match="is a person detector; give a pose network"):
        networks_of(known["person_detector"], None, "web")
    with pytest.raises(WeightsError, match="is a pose network; give a person detector"):
        networks_of(known["lpn50"], known["lpn50"], "web")
    (tmp_path / "mine.xml").write_text("<net/>")
    with pytest.raises(ConfigError, match="of another kind"):
        networks_of(tmp_path / "mine.xml", None, "web")
