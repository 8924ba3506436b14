"""What goes into each path of the server and what comes out, as OpenAPI describes it."""

from __future__ import annotations

from typing import Any

from lightpose.serve.options import MOST_IMAGES, BatchDocument, BatchOptions, ImageDocument, ImageOptions
from lightpose.serve.problems import MEDIA_TYPE

__all__ = [
    "BATCH",
    "BATCH_ANSWERS",
    "CLIP",
    "CLIP_ANSWERS",
    "FIGURES",
    "IMAGE",
    "IMAGE_ANSWERS",
    "LIVE",
    "MODELS",
    "NETWORKS",
    "READY",
]

Described = dict[int | str, dict[str, Any]]

_BYTES = {"type": "string", "format": "binary"}
_TEXT, _NUMBER, _COUNT = {"type": "string"}, {"type": "number"}, {"type": "integer", "minimum": 0}
_NUMBERS = {"type": "array", "items": _NUMBER}
_PLACE = {"type": ["number", "null"]}


def _object(**parts: Any) -> dict[str, Any]:
    """An object that has all the parts; their schemas by name."""
    return {"type": "object", "required": list(parts), "properties": parts}


def _list(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item}


_PROBLEM = _object(
    type=_TEXT, title=_TEXT, status=_COUNT, detail={**_TEXT, "description": "One sentence that says what to do."}
)
_JOINTS = {"type": "object", "additionalProperties": _object(x=_PLACE, y=_PLACE, score=_NUMBER)}
_PERSON = _object(
    box={**_NUMBERS, "minItems": 4, "maxItems": 4, "description": "Left, top, width and height."},
    box_score=_NUMBER,
    score=_NUMBER,
    keypoints={**_JOINTS, "description": "The joints by name."},
)
_NAMED = _object(image=_TEXT, width=_COUNT, height=_COUNT, people=_list(_PERSON))
_COCO = _list(_object(image_id=_COUNT, category_id=_COUNT, keypoints=_NUMBERS, score=_NUMBER))
_OPENPOSE = _object(
    version=_NUMBER, people=_list(_object(person_id=_list({"type": "integer"}), pose_keypoints_2d=_NUMBERS))
)
_POSES = {"anyOf": [_NAMED, _COCO, _OPENPOSE]}
_RESULT = {
    **_object(name=_TEXT, status=_COUNT),
    "anyOf": [_object(poses=_POSES), _object(problem=_PROBLEM)],
}


def _problems(**told: str) -> Described:
    return {
        int(status.removeprefix("s")): {"description": text, "content": {MEDIA_TYPE: {"schema": _PROBLEM}}}
        for status, text in told.items()
    }


def _given(told: str, **kinds: Any) -> Described:
    """The answer when all is well. kinds: schemas by kind of content, with _ for /."""
    return {200: {"description": told, "content": {kind.replace("_", "/"): {"schema": kinds[kind]} for kind in kinds}}}


_ASKED = _problems(s401="The token is missing or wrong.", s403="Host or Origin is another.")
_REFUSED = {
    **_ASKED,
    **_problems(
        s400="The body cannot be read.", s408="The body came too slowly.", s413="Too many bytes or pixels.",
        s415="No kind of image that is read.", s422="An option, a box or the image cannot be used.",
        s503="No room, or no time; try again after the seconds of Retry-After.",
    ),
}  # fmt: skip
IMAGE_ANSWERS = {**_given("The people.", application_json=_POSES, image_png=_BYTES), **_REFUSED}
BATCH_ANSWERS = {**_given("The people of each image.", application_json=_object(results=_list(_RESULT))), **_REFUSED}
CLIP_ANSWERS = {
    **_given("A line of JSON for each frame.", application_jsonl=_TEXT),
    **_REFUSED,
    **_problems(s501="The server lacks PyAV, for clips."),
}
_NOT_READY = _problems(s503="Not ready.")
MODELS = {
    **_given("The networks.", application_json=_object(pose={"type": "object"}, detector={"type": "object"})),
    **_ASKED,
    **_NOT_READY,
}
LIVE = _given("The server runs.", application_json=_object(status={"const": "live"}))
READY = {**_given("Requests are answered.", application_json=_object(status={"const": "ready"})), **_NOT_READY}
FIGURES = {**_given("Figures for Prometheus.", text_plain=_TEXT), **_ASKED}
NETWORKS = {
    **_given("The networks and their files.", application_json=_object(pose={"type": "object"})),
    **_ASKED,
    **_problems(s404="No browser can run these networks."),
}


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


def _form(options: Any, image: dict[str, Any]) -> dict[str, Any]:
    """A form of files and options."""
    return {
        "schema": {
            "type": "object",
            "required": ["image"],
            "properties": {**_schema(options)["properties"], "image": image},
        }
    }


def _body(content: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": content}}


IMAGE = _body(
    {
        "image/*": {"schema": _BYTES},
        "application/octet-stream": {"schema": _BYTES},
        "multipart/form-data": _form(ImageOptions, _BYTES),
        "application/json": {"schema": _schema(ImageDocument)},
    }
)
BATCH = _body(
    {
        "multipart/form-data": _form(BatchOptions, {**_list(_BYTES), "minItems": 1, "maxItems": MOST_IMAGES}),
        "application/json": {"schema": _schema(BatchDocument)},
    }
)
CLIP = _body({"video/*": {"schema": _BYTES}, "application/octet-stream": {"schema": _BYTES}})
