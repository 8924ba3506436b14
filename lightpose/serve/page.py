"""The web page's files as answers, read once: no path of a request is opened."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from lightpose.errors import LightposeError
from lightpose.inference.estimator import PoseEstimator
from lightpose.serve.answers import json_response
from lightpose.serve.networks import served_networks
from lightpose.serve.problems import ProblemError
from lightpose.serve.site import PAGE, SITE, Part, page_parts, site_document

__all__ = ["FIXED", "Answer", "network_answers", "page_answers"]

Answer = Callable[[Request], Response]

FIXED = "max-age=31536000, immutable"
"""How long a file may be kept whose name changes with its content."""

_OF_DOCS = ("web/page.css", "web/icon.svg")
_NETWORKS = "v1/networks"


def page_answers(is_wanted: bool) -> dict[str, Answer]:
    """The answer for each path of the page; if it is not wanted, of those that /docs has too."""
    parts = page_parts()
    if not is_wanted:
        return {f"/{place}": _part(parts[place]) for place in _OF_DOCS}
    parts[SITE] = Part(json.dumps(site_document()).encode(), "application/json")
    answers = {f"/{place}": _part(part) for place, part in parts.items()}
    return {"/": answers.pop(f"/{PAGE}"), **answers}


def network_answers(estimator: PoseEstimator) -> dict[str, Answer]:
    """The networks for browsers that run them: a document of them, and their files."""
    try:
        networks = served_networks(estimator, _NETWORKS)
    except LightposeError as error:
        told = f"no browser can run the networks of this server: {error}"

        def refuse(_: Request) -> Response:
            raise ProblemError(404, told)

        return {f"/{_NETWORKS}": refuse}

    def file(path: Any) -> Answer:
        headers = {"cache-control": f"private, {FIXED}"}
        return lambda _: FileResponse(path, media_type="application/octet-stream", headers=headers)

    files = {f"/{_NETWORKS}/{name}": file(path) for name, path in networks.files.items()}
    return {f"/{_NETWORKS}": lambda _: json_response(dict(networks.document)), **files}


def _part(part: Part) -> Answer:
    headers = {"cache-control": f"public, {FIXED}"} if part.is_fixed else {}
    if not part.is_packed:
        fixed = Response(part.content, media_type=part.media_type, headers=headers)
        return lambda _: fixed
    headers["vary"] = "accept-encoding"

    def answer(request: Request) -> Response:
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(part.content, media_type=part.media_type, headers={**headers, "content-encoding": "gzip"})
        return Response(part.plain, media_type=part.media_type, headers=headers)

    return answer
