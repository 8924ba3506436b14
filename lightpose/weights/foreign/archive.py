"""The .zip files of MMDeploy's model zoo: a graph, end2end.onnx; what its SDK must know, pipeline.json; detail.json."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from lightpose.errors import WeightsError
from lightpose.types import ColorOrder, DecoderName, GeometryName
from lightpose.weights.foreign.settings import Settings

__all__ = ["LARGEST_GRAPH", "Archive", "open_archive"]

GRAPH, PIPELINE, DETAIL = "end2end.onnx", "pipeline.json", "detail.json"
LARGEST_GRAPH, LARGEST_JSON = 2**31, 2**20
"""Bytes: of an ONNX file, as far as the format goes; and of a description."""
MOST_MEMBERS, MOST_RATIO = 1000, 200
"""Files in an archive, and how often a file may be larger than its packed form: weights hardly shrink."""


@dataclass(frozen=True)
class Archive:
    """graph: the content of the ONNX file. read: what the description says. name: of the network, where it is said."""

    graph: bytes
    read: Settings
    name: str


def open_archive(path: Path) -> Archive:
    """Read such a file into memory; nothing is unpacked to the disk.

    Raises WeightsError if it is damaged, has no end2end.onnx or several, or holds what an archive of weights does not.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive)
            if GRAPH not in members:
                raise WeightsError(
                    f"it holds no {GRAPH}; give the archive that MMDeploy's model zoo has, or an .onnx file"
                )
            graph = _read(archive, members[GRAPH], LARGEST_GRAPH)
            told = [_json(archive, members[name]) if name in members else {} for name in (PIPELINE, DETAIL)]
    except (
        WeightsError,
        zipfile.BadZipFile,
        OSError,
        NotImplementedError,
        RuntimeError,
        ValueError,
        EOFError,
    ) as error:
        reason = (
            str(error) if isinstance(error, WeightsError) else f"it is not a whole zip file ({type(error).__name__})"
        )
        raise WeightsError(f"{path}: {reason}") from error
    try:
        return Archive(graph, _settings(told[0]), _name(told[1]))
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise WeightsError(f"{path}: its {PIPELINE} is not as MMDeploy writes it ({error})") from error


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The files that are wanted, by their names without folders. Raises WeightsError for names that lead outside."""
    infos = archive.infolist()
    if len(infos) > MOST_MEMBERS:
        raise WeightsError(f"it holds {len(infos)} files; an archive of weights has a few")
    found: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        parts = PurePosixPath(info.filename.replace("\\", "/")).parts
        if ".." in parts or info.filename.startswith(("/", "\\")) or ":" in info.filename:
            raise WeightsError(
                f"it holds a file that would lie outside its folder ({info.filename!r}), so it is not read"
            )
        name = parts[-1] if parts else ""
        if name in (GRAPH, PIPELINE, DETAIL):
            if name in found:
                raise WeightsError(f"it holds {name} twice")
            found[name] = info
    return found


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int) -> bytes:
    """A file of an archive. Raises WeightsError if it is larger than `most`, or than what it is packed in can hold."""
    limit = min(most, MOST_RATIO * max(info.compress_size, 1024))
    with archive.open(info) as file:
        content = b"".join(_chunks(file, limit))
    if len(content) > limit:
        raise WeightsError(f"its {info.filename} is larger than {limit:,} bytes when unpacked, so it is not read")
    return content


def _chunks(file: IO[bytes], limit: int) -> Iterator[bytes]:
    """What a file holds, and no more than a chunk beyond the limit, whatever its size is said to be."""
    taken = 0
    while taken <= limit and (chunk := file.read(2**20)):
        taken += len(chunk)
        yield chunk


def _json(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> dict[str, Any]:
    try:
        table = json.loads(_read(archive, info, LARGEST_JSON))
    except RecursionError as error:
        raise WeightsError(f"its {info.filename} is nested too deep") from error
    except ValueError as error:
        raise WeightsError(f"its {info.filename} is no json") from error
    if not isinstance(table, dict):
        raise WeightsError(f"its {info.filename} is no json object")
    return table


def _settings(pipeline: dict[str, Any]) -> Settings:
    """Size, colours, normalisation, geometry, padding and decoder, as far as they are told."""
    tasks = pipeline.get("pipeline", {}).get("tasks", [])
    steps = {step["type"]: step for task in tasks for step in task.get("transforms", [])}
    last: dict[str, Any] = next(
        (task for task in tasks if "Decode" in f"{task.get('component')} {task.get('type')}"), {}
    )
    params = {**last, **last.get("params", {})}
    affine = steps.get("TopDownAffine", steps.get("TopdownAffine", {}))
    boxed = steps.get("TopDownGetBboxCenterScale", steps.get("GetBBoxCenterScale", {}))
    normal = steps.get("Normalize", {})
    width, height = affine.get("image_size", boxed.get("image_size", (None, None)))
    geometry, decoder = _geometry(affine, params) if affine else (None, None)
    sigma = params.get("sigma")  # of SimCC there are two, which nothing needs
    return Settings(
        input_hw=None if width is None else (int(height), int(width)),
        color_order=_colors(normal),
        mean=_three(normal.get("mean")),
        std=_three(normal.get("std")),
        geometry=geometry,
        padding=None if boxed.get("padding") is None else float(boxed["padding"]),
        decoder=decoder,
        sigma=float(sigma) if isinstance(sigma, int | float) and sigma > 0 else None,
    )


def _colors(normal: dict[str, Any]) -> ColorOrder | None:
    if "to_rgb" not in normal:
        return None
    return "rgb" if normal["to_rgb"] else "bgr"


def _geometry(affine: dict[str, Any], params: dict[str, Any]) -> tuple[GeometryName, DecoderName | None]:
    """In MMPose's words: post_process "default" is a quarter of a pixel; "unbiased", there or by itself, is DARK."""
    udp = bool(affine.get("use_udp", False) or params.get("use_udp", False))
    ways: dict[str, DecoderName] = {"default": "quarter", "unbiased": "dark", "megvii": "quarter"}
    way = "dark" if params.get("unbiased") is True else ways.get(str(params.get("post_process", "")))
    return ("udp", "dark_udp") if udp else ("msra", way)


def _three(values: Any) -> tuple[float, float, float] | None:
    """Three numbers of 0 to 255, as shares of 255."""
    if values is None:
        return None
    first, second, third = (float(value) / 255 for value in values)
    return first, second, third


def _name(detail: dict[str, Any]) -> str:
    """The configuration that the network was made by, such as rtmpose-s_8xb256-420e_coco-256x192; "" if not told."""
    told = detail.get("codebase", {})
    return PurePosixPath(str(told.get("config", "")).replace("\\", "/")).stem if isinstance(told, dict) else ""
