"""The files of the web page, read once: no path of a request is opened."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import Response

__all__ = ["page_files"]

_OF_DOCS = ("/web/page.css", "/web/icon.svg")
_FOLDER = Path(__file__).parent / "web"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def page_files(wanted: bool) -> dict[str, Response]:
    """The answer for each path of the page; if it is not wanted, of those that /docs has too."""
    files = {
        f"/web/{path.name}": Response(path.read_bytes(), media_type=_TYPES[path.suffix])
        for path in sorted(_FOLDER.iterdir())
        if path.suffix in _TYPES
    }
    return {"/": files["/web/index.html"], **files} if wanted else {path: files[path] for path in _OF_DOCS}
