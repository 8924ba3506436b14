"""The files of the web page: for the server, and as a folder for any file host."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightpose.errors import ConfigError
from lightpose.io.files import check_folder, write_aside
from lightpose.io.places import alone_in
from lightpose.serve.networks import networks_of
from lightpose.weights import DEFAULT, DETECTOR, find_weights, has_detector
from lightpose.weights.open import find_twin, made_from

__all__ = ["PAGE", "SITE", "Part", "Site", "page_parts", "site_document", "write_site"]

PAGE, SITE = "index.html", "web/site.json"

_FOLDER = Path(__file__).parent / "web"
_ENGINES = _FOLDER / "ort"
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".txt": "text/plain",
}
_LOCK = ".lightpose-site.lock"


@dataclass(frozen=True)
class Part:
    """A file of the page. is_packed: its content is in gzip. is_fixed: its name changes with its content."""

    content: bytes
    media_type: str
    is_packed: bool = False
    is_fixed: bool = False

    @property
    def plain(self) -> bytes:
        """The content, not in gzip."""
        return gzip.decompress(self.content) if self.is_packed else self.content


@dataclass(frozen=True)
class Site:
    """A folder that was written. files: names, relative to the folder. size_bytes: of all."""

    folder: Path
    files: tuple[str, ...]
    size_bytes: int


def page_parts() -> dict[str, Part]:
    """Every file by its place relative to the page, but for `SITE`. ONNX Runtime Web is among them if it is there."""
    parts = {}
    for path in sorted(each for each in _FOLDER.iterdir() if each.suffix in _TYPES):
        place = PAGE if path.name == PAGE else f"web/{path.name}"
        parts[place] = Part(path.read_bytes(), _TYPES[path.suffix])
    for path in _engine_files():
        is_packed = path.suffix == ".gz"
        suffix = Path(path.stem).suffix if is_packed else path.suffix
        parts[_hashed(path)] = Part(path.read_bytes(), _TYPES[suffix], is_packed, is_fixed=True)
    return parts


def site_document(networks: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What the page asks for first. networks: those beside it; None where a server answers for them."""
    names = {path.name.removesuffix(".gz"): _hashed(path) for path in _engine_files()}
    engines = {
        kind: {"script": names[f"{kind}.mjs"], "binary": names[f"{kind}.wasm"]}
        for kind in ("wasm", "webgpu")
        if {f"{kind}.mjs", f"{kind}.wasm"} <= set(names)
    }
    return {"api": networks is None, "networks": networks, "engines": engines if "wasm" in engines else None}


def write_site(folder: Path, model: str | Path = DEFAULT) -> Site:
    """Write the page with its networks into a folder, which works on any file host; nothing there runs on a server.

    model: an .onnx file of lightpose, or bundled weights by name. The detector is the bundled one, in int8 if the model
    is. Raises ConfigError if this copy of lightpose lacks the files of ONNX Runtime Web, or the network is of another
    kind.
    """
    if site_document()["engines"] is None:
        raise ConfigError(
            "this copy of lightpose lacks ONNX Runtime Web: install the wheel of a release, or run scripts/web"
        )
    pose = find_weights(model)
    networks = networks_of(pose, _detector_for(pose), "web")
    document = json.dumps(site_document(networks.document)).encode()
    files = {place: part.plain for place, part in page_parts().items()} | {SITE: document}
    check_folder(folder)
    with alone_in(folder, _LOCK, "another folder"):
        (folder / "web").mkdir(exist_ok=True)
        for name, path in networks.files.items():
            files[f"web/{name}"] = path.read_bytes()
        for place in sorted(files, key=(PAGE, SITE).count):  # what names the others comes last
            write_aside(folder / place, files[place])
    return Site(folder, tuple(sorted(files)), sum(map(len, files.values())))


def _detector_for(pose: Path) -> Path | None:
    if not has_detector():
        return None
    detector = find_weights(DETECTOR)
    twin = find_twin(detector)
    return twin if made_from(pose) is not None and twin.is_file() else detector


def _engine_files() -> list[Path]:
    return sorted(_ENGINES.glob("*.mjs")) + sorted(_ENGINES.glob("*.wasm.gz"))


def _hashed(path: Path) -> str:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    stem, _, suffix = path.name.removesuffix(".gz").rpartition(".")
    return f"web/ort-{stem}.{digest}.{suffix}"
