"""What the server says of itself: its models, and its OpenAPI description as a page for people."""

from __future__ import annotations

from html import escape
from typing import Any

from lightpose.inference.estimator import PoseEstimator
from lightpose.ops.angles import angle_rules
from lightpose.weights import file_sha256

__all__ = ["TITLE", "docs_page", "models_of"]

TITLE = "lightpose"


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
