"""What went wrong with a request, as a problem document (RFC 9457) with one sentence that says what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError

from lightpose.errors import BoxesError, ConfigError, ImageError, LightposeError, MissingPackageError, ShapeError

__all__ = ["MEDIA_TYPE", "ProblemError", "busy", "problem_of", "problem_of_validation"]

MEDIA_TYPE = "application/problem+json"

_STATUS: tuple[tuple[type[LightposeError], int], ...] = (
    (MissingPackageError, 501),
    (ImageError, 422),
    (BoxesError, 422),
    (ShapeError, 422),
    (ConfigError, 422),
)
"""Errors that are the request's fault, and what they become; others are the server's."""


class ProblemError(Exception):
    """A request that is not answered. status: of HTTP. detail: one sentence that says what to do."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail
        self.headers = dict(headers or {})

    def document(self) -> dict[str, Any]:
        """The document, ready for JSON."""
        title = HTTPStatus(self.status).phrase
        return {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail}

    def content(self) -> bytes:
        """The document as JSON."""
        return json.dumps(self.document()).encode()


def busy(detail: str, seconds: int = 1) -> ProblemError:
    """A problem that goes away by itself."""
    return ProblemError(503, detail, {"Retry-After": str(seconds)})


def problem_of(error: LightposeError) -> ProblemError:
    """What an error of lightpose is to a client."""
    for kind, status in _STATUS:
        if isinstance(error, kind):
            return ProblemError(status, str(error))
    return ProblemError(500, "the server's network cannot be run; its log says why")


def problem_of_validation(errors: Sequence[Mapping[str, Any]] | ValidationError, known: Sequence[str]) -> ProblemError:
    """What pydantic found, as one sentence on the first of it. Nothing of the request but names is repeated.

    known: the options that there are.
    """
    if isinstance(errors, ValidationError):
        errors = errors.errors(include_input=False, include_url=False)
    first = errors[0]
    names = [str(part) for part in first["loc"] if part not in ("query", "body")]
    where = ".".join(names)[:80] or "the document"
    if first["type"] == "json_invalid":
        return ProblemError(400, f"this is no JSON that can be read: {str(first.get('ctx', {}).get('error', ''))[:80]}")
    if first["type"] == "extra_forbidden":
        return ProblemError(422, f"{where} is unknown; there are {', '.join(known)}")
    if first["type"] == "missing":
        return ProblemError(422, f"{where} is missing; add it")
    message = str(first["msg"])[:160]
    return ProblemError(422, f"{where}: {message[:1].lower()}{message[1:]}")
