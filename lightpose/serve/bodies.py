"""The body of a request as images and options: an image as it is, a form, or JSON. All of it stays in memory."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from lightpose.results import Boxes
from lightpose.serve.options import (
    MOST_IMAGES,
    Asked,
    BatchDocument,
    BatchOptions,
    ImageDocument,
    ImageOptions,
    asked,
    read_boxes,
    read_options,
)
from lightpose.serve.problems import ProblemError

__all__ = ["Picture", "read_batch", "read_picture"]

_MOST_FIELDS = 20
_FIELD_BYTES = 65_536


@dataclass(frozen=True)
class Picture:
    """An image of a request, not decoded yet. boxes: its people, if they are given."""

    content: bytes
    name: str = ""
    boxes: Boxes | None = None


class _InMemory(MultiPartParser):
    """A parser of forms whose files never leave memory: the bytes were counted before."""

    spool_max_size = 2**62


async def read_picture(request: Request, options: ImageOptions) -> tuple[Picture, Asked]:
    """The image of a request and what is asked of it. options: those in the address.

    Raises a ProblemError if the body is none of the three kinds, or BoxesError.
    """
    kind = _kind(request)
    if kind == "application/json":
        document = read_options(ImageDocument, await _document(request))
        return Picture(_decoded(document.image), boxes=read_boxes(document.boxes)), asked(document)
    if kind == "multipart/form-data":
        files, fields = await _form(request, 1)
        options = read_options(ImageOptions, _merged(options, fields))
        return Picture(*files[0], boxes=read_boxes(options.boxes)), asked(options)
    content = await request.body()
    if not content:
        raise ProblemError(400, "the body is empty; send the bytes of an image")
    return Picture(content, boxes=read_boxes(options.boxes)), asked(options)


async def read_batch(request: Request, options: BatchOptions) -> tuple[list[Picture], Asked]:
    """The same for several images, as the files of a form or as JSON."""
    kind = _kind(request)
    if kind == "application/json":
        document = read_options(BatchDocument, await _document(request))
        pictures = [Picture(_decoded(each.image), each.name, read_boxes(each.boxes)) for each in document.images]
        return pictures, asked(document)
    if kind != "multipart/form-data":
        raise ProblemError(415, "send the images as files of a form (multipart/form-data), or as JSON in base64")
    files, fields = await _form(request, MOST_IMAGES)
    return [Picture(*file) for file in files], asked(read_options(BatchOptions, _merged(options, fields)))


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _document(request: Request) -> bytes:
    """The JSON of a body, whose options are all in it."""
    if request.query_params:
        raise ProblemError(422, "options of a JSON document belong into it; leave them out of the address")
    return await request.body()


def _merged(options: ImageOptions | BatchOptions, fields: dict[str, str]) -> dict[str, Any]:
    return {**options.model_dump(exclude_unset=True), **fields}


async def _form(request: Request, most: int) -> tuple[list[tuple[bytes, str]], dict[str, str]]:
    """Content and name of each file of a form, and its other fields."""
    parser = _InMemory(
        request.headers, _in_one(request), max_files=most, max_fields=_MOST_FIELDS, max_part_size=_FIELD_BYTES
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        told = error.message.rstrip(".")[:160]
        raise ProblemError(400, f"the form cannot be read: {told[:1].lower()}{told[1:]}") from error
    files, fields = [], {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            files.append((await value.read(), (value.filename or "")[:1000]))
        else:
            fields[name] = value
    if not files:
        raise ProblemError(400, "the form has no file; send an image as in curl -F image=@photo.jpg")
    return files, fields


async def _in_one(request: Request) -> AsyncGenerator[bytes, None]:
    """The body, whole: a parser that gets it in drips takes far longer."""
    yield await request.body()


def _decoded(text: str) -> bytes:
    """The bytes of base64 text, or of a data URL."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProblemError(422, "image is no base64; encode the bytes of the image file") from error
