"""Poses as the bodies of answers."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

from lightpose.formats.openpose import openpose_document
from lightpose.results import Poses
from lightpose.serve.options import Asked
from lightpose.serve.problems import MEDIA_TYPE, ProblemError
from lightpose.serve.service import Found

__all__ = ["answer_of", "content_of", "json_response", "problem_response"]


def content_of(poses: Poses, wanted: Asked, number: int = 0) -> Any:
    """The people in the format that is wanted, ready for JSON. number: of the image in its batch, from 0."""
    if wanted.format == "coco":
        return poses.to_coco(number + 1)
    return openpose_document(poses) if wanted.format == "openpose" else poses.to_dict()


def answer_of(found: Found, wanted: Asked) -> Response:
    """The answer to a request for one image."""
    if found.drawing is not None:
        return Response(found.drawing, media_type="image/png")
    return json_response(content_of(found.poses, wanted))


def json_response(content: Any, status: int = 200) -> Response:
    """An answer in JSON, which has no NaN."""
    return Response(json.dumps(content, allow_nan=False).encode(), status, media_type="application/json")


def problem_response(problem: ProblemError) -> Response:
    """A problem document."""
    return Response(problem.content(), problem.status, problem.headers, MEDIA_TYPE)
