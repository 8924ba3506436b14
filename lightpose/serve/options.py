"""What a request may ask for: in the address, in the fields of a form, or in a JSON document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from lightpose.results import Boxes
from lightpose.serve.problems import ProblemError, problem_of_validation

__all__ = [
    "MOST_IMAGES",
    "Asked",
    "BatchDocument",
    "BatchOptions",
    "ClipOptions",
    "FormatName",
    "ImageDocument",
    "ImageOptions",
    "StreamOptions",
    "asked",
    "read_boxes",
    "read_options",
]

MOST_BOXES = 100
MOST_IMAGES = 64

Options = TypeVar("Options", bound=BaseModel)
FormatName = Literal["named", "coco", "openpose"]

Number = Annotated[float, Field(allow_inf_nan=False)]
Box = tuple[Number, Number, Number, Number]
Base64 = Annotated[
    str,
    Field(
        description="The image file in base64.",
        json_schema_extra={"format": "byte", "contentEncoding": "base64"},
    ),
]
BoxList = Annotated[list[Box], Field(max_length=MOST_BOXES)]

_BOXES: TypeAdapter[list[Box]] = TypeAdapter(BoxList)


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid")

    flip: Annotated[bool, Field(description="Average with the mirrored image: more accurate, twice the work.")] = False
    threshold: Annotated[
        float | None,
        Field(ge=0, le=1, allow_inf_nan=False, description="Least score of a person who is found; the detector's own."),
    ] = None
    max_people: Annotated[int | None, Field(ge=1, le=10_000, description="Keep so many at most, the largest.")] = None


class _AnswerOptions(_Options):
    format: Annotated[FormatName, Field(description="Joints by name, COCO keypoint results, or OpenPose's JSON.")] = (
        "named"
    )
    draw: Annotated[Literal["png"] | None, Field(description="Answer with the image and its skeletons.")] = None


class ImageOptions(_AnswerOptions):
    """Options of one image, in the address or the fields of a form."""

    boxes: Annotated[
        str | None, Field(description="The people as JSON, [[left, top, width, height], …]; else they are detected.")
    ] = None


class ImageDocument(_AnswerOptions):
    """An image and its options as JSON."""

    image: Annotated[Base64, Field(json_schema_extra={"minLength": 1})]
    boxes: Annotated[BoxList | None, Field(description="[[left, top, width, height], …]; else they are detected.")] = (
        None
    )


class _BatchImage(BaseModel):
    model_config = ConfigDict(extra="forbid")

    image: Base64
    name: Annotated[str, Field(max_length=1000)] = ""
    boxes: BoxList | None = None


class BatchOptions(_Options):
    """Options of several images, in the address or the fields of a form."""

    format: FormatName = "named"


class BatchDocument(BatchOptions):
    """Several images and their options as JSON."""

    images: Annotated[list[_BatchImage], Field(min_length=1, max_length=MOST_IMAGES)]


class ClipOptions(_Options):
    """Options of a clip, in the address."""

    track: Annotated[bool, Field(description="Number the people from frame to frame.")] = True
    smooth: Annotated[Literal["none", "one_euro"], Field(description="Calm the joints.")] = "none"


class StreamOptions(ClipOptions):
    """Options of a stream, in the address."""

    smooth: Annotated[Literal["none", "one_euro"], Field(description="Calm the joints.")] = "one_euro"


@dataclass(frozen=True)
class Asked:
    """What is wanted of an image, apart from its boxes."""

    flip: bool = False
    threshold: float | None = None
    max_people: int | None = None
    format: FormatName = "named"
    draw: bool = False


def asked(options: Any) -> Asked:
    """What options of any kind ask of an image."""
    return Asked(
        options.flip,
        options.threshold,
        options.max_people,
        getattr(options, "format", "named"),
        getattr(options, "draw", None) is not None,
    )


def read_options(kind: type[Options], given: Any) -> Options:
    """Options from a dict, or from a JSON document in bytes, whose values have types of their own: false is no number.

    Raises a ProblemError that names the first wrong one.
    """
    try:
        return kind.model_validate_json(given, strict=True) if isinstance(given, bytes) else kind.model_validate(given)
    except ValidationError as error:
        raise problem_of_validation(error, tuple(kind.model_fields)) from error


def read_boxes(given: str | list[Box] | None) -> Boxes | None:
    """Boxes as JSON text or as a list; None if there are none. Raises a ProblemError if they are no boxes."""
    if given is None:
        return None
    try:
        rows = _BOXES.validate_json(given) if isinstance(given, str) else given
    except ValidationError as error:
        told = "boxes must be JSON such as [[10, 20, 100, 200]]: left, top, width and height in pixels of up to"
        raise ProblemError(422, f"{told} {MOST_BOXES} people") from error
    return Boxes(rows)  # type: ignore[arg-type]
