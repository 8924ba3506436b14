"""What the server says of itself: its models, its OpenAPI description, and a page of that for people."""

from __future__ import annotations

from html import escape
from typing import Any

from lightpose.inference.estimator import PoseEstimator
from lightpose.ops.angles import angle_rules
from lightpose.serve.options import MOST_IMAGES, BatchDocument, ImageDocument
from lightpose.serve.problems import MEDIA_TYPE
from lightpose.weights import file_sha256

__all__ = ["BATCH", "CLIP", "IMAGE", "NETWORKS", "PROBLEM", "READY", "TITLE", "docs_page", "models_of"]

TITLE = "lightpose"

_BYTES = {"type": "string", "format": "binary"}
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "One sentence that says what to do."},
    },
}


def _problems(**told: str) -> dict[int | str, dict[str, Any]]:
    return {
        int(status.removeprefix("s")): {"description": text, "content": {MEDIA_TYPE: {"schema": _PROBLEM}}}
        for status, text in told.items()
    }


PROBLEM = _problems(
    s400="The body cannot be read.", s401="The token is missing or wrong.", s403="Host or Origin is another.",
    s408="The body came too slowly.", s413="Too many bytes or pixels.", s415="No kind of image that is read.",
    s422="An option, a box or the image cannot be used.", s501="The server lacks PyAV, for clips.",
    s503="No room, or no time; try again after the seconds of Retry-After.",
)  # fmt: skip
READY = _problems(s503="Not ready.")
NETWORKS = {**PROBLEM, **_problems(s404="No browser can run these networks.")}


def _schema(model: Any) -> dict[str, Any]:
    """A model's JSON schema with what it refers to put in, so that it stands by itself."""
    schema: dict[str, Any] = model.model_json_schema()
    parts = schema.pop("$defs", {})

    def whole(value: Any) -> Any:
        if isinstance(value, dict):
            name = str(value.get("$ref", "")).rpartition("/")[2]
            return whole(parts[name]) if name in parts else {key: whole(each) for key, each in value.items()}
        return [whole(each) for each in value] if isinstance(value, list) else value

    return dict(whole(schema))


def _form(properties: dict[str, Any]) -> dict[str, Any]:
    return {"schema": {"type": "object", "properties": properties}}


def _body(content: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": content}}


IMAGE = _body(
    {
        "image/*": {"schema": _BYTES},
        "application/octet-stream": {"schema": _BYTES},
        "multipart/form-data": _form({"image": _BYTES}),
        "application/json": {"schema": _schema(ImageDocument)},
    }
)
BATCH = _body(
    {
        "multipart/form-data": _form({"image": {"type": "array", "items": _BYTES, "maxItems": MOST_IMAGES}}),
        "application/json": {"schema": _schema(BatchDocument)},
    }
)
CLIP = _body({"video/*": {"schema": _BYTES}, "application/octet-stream": {"schema": _BYTES}})


def models_of(estimator: PoseEstimator) -> dict[str, Any]:
    """The network and the detector, ready for JSON."""
    spec, detector = estimator.runtime.spec, estimator.detector
    skeleton = spec.skeleton
    return {
        "pose": {
            **estimator.about,
            "skeleton": {
                "name": skeleton.name,
                "joints": list(skeleton.joints),
                "limbs": [list(limb) for limb in skeleton.limbs],
                "sigmas": list(skeleton.sigmas),
            },
            "input": {"height": spec.input_hw[0], "width": spec.input_hw[1]},
            "angles": angle_rules(skeleton.joints),
        },
        "detector": {
            "name": detector.name,
            "sha256": None if detector.path is None else file_sha256(detector.path),
            "threshold": detector.threshold,
        },
    }


_HEAD = (
    "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
    "<title>lightpose API</title><link rel=icon href=/web/icon.svg><link rel=stylesheet href=/web/page.css>"
    "<main><h1>lightpose API</h1>"
    "<p>The same for programs: <a href=/openapi.json>/openapi.json</a>. Frames of a camera go through the WebSocket"
    " <code>/v1/stream</code>. What goes wrong is a problem document (RFC 9457), whose <code>detail</code> says what"
    " to do.</p>"
)


def docs_page(openapi: dict[str, Any]) -> str:
    """The OpenAPI description as a page of HTML without scripts."""
    parts = [_HEAD]
    for path, calls in openapi["paths"].items():
        for method, call in calls.items():
            told = escape(call.get("description", ""))
            parts.append(f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{told}</p>{_table(call)}")
    return f"{''.join(parts)}</main></html>"


def _table(call: dict[str, Any]) -> str:
    """Parameters, kinds of body and answers of a call."""
    rows = [(each["name"], _about(each)) for each in call.get("parameters", ())]
    rows += [("body", kind) for kind in call.get("requestBody", {}).get("content", {})]
    rows += [(str(status), answer["description"]) for status, answer in call["responses"].items()]
    cells = (f"<tr><td><code>{escape(name)}</code><td>{escape(told)}" for name, told in rows)
    return f"<table>{''.join(cells)}</table>"


def _about(parameter: dict[str, Any]) -> str:
    return str(parameter.get("description") or parameter["schema"].get("description", ""))
