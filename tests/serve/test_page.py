"""The page at /: everything it needs comes from the server itself."""

import re

import httpx
import pytest

from tests.serve.conftest import with_settings
from tests.test_docs import ROOT

pytestmark = pytest.mark.slow

WEB = ROOT / "lightpose" / "serve" / "web"
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".html": "text/html"}


def test_every_file_that_the_page_names_is_served(http):
    page = http.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    texts = [path.read_text(encoding="utf-8") for path in WEB.iterdir()]
    named = {name for text in texts for name in re.findall(r"""["'](/web/[\w.]+)["']""", text)}
    assert named == {f"/web/{path.name}" for path in WEB.iterdir()} - {"/web/index.html"}
    for name in named:
        answer = http.get(name)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(TYPES[name[name.rindex(".") :]])
        assert answer.content == (WEB / name.rpartition("/")[2]).read_bytes()


@pytest.mark.parametrize("path", sorted(WEB.iterdir()), ids=lambda path: path.name)
def test_nothing_comes_from_another_host_and_no_script_stands_in_the_page(path):
    text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://", text)
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=\"|style=\"|<style", text)
    assert not re.search(r"\beval\(|innerHTML|document\.write|localStorage|cookie", text)


def test_every_control_has_a_name():
    page = (WEB / "index.html").read_text(encoding="utf-8")
    for kind, attributes in re.findall(r"<(input|canvas)([^>]*)>", page):
        name = re.search(r'id="([\w-]+)"', attributes)[1]
        labelled = f'for="{name}"' in page or "aria-label" in attributes
        assert labelled or re.search(rf'<label[^>]*>[^<]*<input id="{name}"', page), f"{kind} {name}"
    assert '<html lang="en">' in page
    assert 'role="status"' in page


def test_the_page_can_be_left_out():
    with with_settings(page=False) as running, httpx.Client(base_url=running.url) as http:
        assert http.get("/").status_code == 404
        assert http.get("/web/page.js").status_code == 404
        assert http.get("/docs").status_code == 200
        assert http.get("/web/page.css").status_code == 200
