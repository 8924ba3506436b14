"""From one format to another, frame by frame; and whole files as tracks."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lightpose.errors import ConfigError, DataError
from lightpose.formats.base import HIDDEN, SKELETONS_OUT, JointsName, Options, with_joints
from lightpose.formats.table import ALL, FORMATS, Format, format_named
from lightpose.io.coco import tell
from lightpose.io.files import check_folder, read_json, replace_together
from lightpose.io.images import read_image
from lightpose.results import Poses, Tracks
from lightpose.types import Frame, ImageArray

if TYPE_CHECKING:
    from lightpose.io.video import Video

__all__ = [
    "Seen",
    "convert",
    "format_of_output",
    "frames_of",
    "lost_sentence",
    "read",
    "recognise",
    "write",
    "write_pairs",
]

_SUFFIXES = {".jsonl": "jsonl", ".parquet": "parquet", ".zip": "openpose-zip", ".trc": "trc", ".xml": "cvat",
             ".txt": "mot-challenge", ".yaml": "yolo-pose", ".yml": "yolo-pose"}  # fmt: skip


def read(
    path: str | Path,
    format: str | None = None,  # noqa: A002
    *,
    fps: float | None = None,
    start_s: float | None = None,
    end_s: float | None = None,
) -> Tracks:
    """The people of a file or folder over time, whatever format it has; docs/formats.md lists them.

        tracks = lightpose.read("poses.jsonl")
        part = lightpose.read("poses.parquet", start_s=60, end_s=70)

    format: told by the content if not given. fps: frames a second, for formats without times. start_s, end_s: only the
    frames from one to before the other; of Parquet, only their row groups are read. Raises DataError, which names file
    and line, if something is wrong with it; ConfigError if the format is unknown.
    """
    place, options = Path(path), Options(fps)
    kind = recognise(place) if format is None else format_named(format)
    if kind.name == "parquet":
        from lightpose.formats.parquet import read_parquet

        return Tracks.from_frames(read_parquet(place, options, start_s, end_s))
    frames = frames_of(place, kind, options)
    if start_s is not None or end_s is not None:
        frames = (each for each in frames if _is_between(each, start_s, end_s, place))
    return Tracks.from_frames(frames)


def _is_between(poses: Poses, start_s: float | None, end_s: float | None, path: Path) -> bool:
    if poses.time_s is None:
        raise ConfigError(f"{path} has no times; give frames a second, such as fps=30")
    late = start_s is None or poses.time_s >= start_s - 1e-9
    return late and (end_s is None or poses.time_s < end_s - 1e-9)


def write(
    frames: Iterable[Poses],
    path: str | Path,
    format: str | None = None,  # noqa: A002
    *,
    joints: JointsName | None = None,
    height_m: float | None = None,
) -> None:
    """Write tracks, or poses frame by frame, to a file or folder; a file is written whole or not at all.

        lightpose.write(tracks.person(3), "walk.trc", height_m=1.72)

    format: told by the path's suffix if not given. joints: those that others expect. height_m: see `Tracks.scale`.
    Raises ConfigError if the format is unknown, or the path is a link or a folder with something in it.
    """
    place = Path(path)
    chosen = format_of_output(place, format)
    _write_all(((poses, None) for poses in frames), place, chosen, Options(height_m=height_m), joints)


def write_pairs(pairs: Iterable[tuple[Poses, ImageArray | None]], path: Path, name: str) -> None:
    """Write frames with their pixels, if there are any, in the format of that name; as `write` does."""
    _write_all(pairs, path, format_of_output(path, name), Options(), None)


def format_of_output(path: Path, name: str | None) -> Format:
    """The format of a file to write. Raises ConfigError if neither its name nor its suffix tells."""
    if name is None:
        name = {**_SUFFIXES, ".csv": "csv", ".mot": "mot"}.get(path.suffix.lower())
        if name is None:
            raise ConfigError(f"{path} does not tell its format; choose one of {', '.join(FORMATS)} with --to")
    if name == "openpose" and path.suffix.lower() == ".zip":
        name = "openpose-zip"
    found = format_named(name)
    if not found.writer:
        raise ConfigError(f"{name} is read only; write jsonl")
    return found


def recognise(path: Path) -> Format:
    """The format of a file or folder, by its name and first bytes. Raises DataError if it is none."""
    if path.is_dir():
        for name, pattern in (
            ("yolo-pose", "data.yaml"),
            ("parquet", "[0-9]*.parquet"),
            ("openpose", "*_keypoints.json"),
        ):
            if next(path.glob(pattern), None) is not None:
                return FORMATS[name]
        raise DataError(f"{path} is a folder of no known format; openpose has *_keypoints.json, yolo-pose data.yaml")
    if not path.is_file():
        raise DataError(f"cannot read {path}: there is no such file; name the results of a run, such as poses.jsonl")
    suffix = path.suffix.lower()
    if suffix == ".zip" and _holds_cvat(path):
        return FORMATS["cvat"]
    if suffix == ".csv":
        with path.open("rb") as file:
            return FORMATS["dlc" if file.read(10).removeprefix(b"\xef\xbb\xbf").startswith(b"scorer") else "csv"]
    if suffix == ".json":
        return FORMATS[_kind_of_json(path)]
    if suffix in _SUFFIXES:
        return FORMATS[_SUFFIXES[suffix]]
    raise DataError(f"{path} does not tell its format; say which with --from-format, one of {', '.join(FORMATS)}")


def _holds_cvat(path: Path) -> bool:
    from lightpose.formats.cvat import IN_ZIP, is_zip

    return is_zip(path, IN_ZIP)


def _kind_of_json(path: Path) -> str:
    document = read_json(path)
    first = document[0] if isinstance(document, list) and document else {}
    if document == []:
        return "coco-results"  # nobody was found
    if isinstance(document, dict):
        images = document.get("images")
        if "annotations" in document:
            return "coco"
        if isinstance(images, list) and all(isinstance(each, dict) and "people" in each for each in images):
            return "poses-json"
        if "people" in document:
            return "openpose"
    elif isinstance(first, dict) and "keypoints" in first:
        return "coco-results"
    elif isinstance(first, dict) and "data" in first:
        return "label-studio"
    keys = json.dumps(
        list(document)[:3] if isinstance(document, dict) else [*first][:3] if isinstance(first, dict) else []
    )
    raise DataError(f"{path} is JSON of no known format (it begins with {keys}); name a file of poses")


def frames_of(path: Path, kind: Format | None = None, options: Options | None = None) -> Iterator[Poses]:
    """The frames of a file, read as they are asked for. What is left out of it is logged as a warning at the end."""
    options = options or Options()
    yield from (kind or recognise(path)).read(path, options)
    tell(path, options.notes)


@dataclass
class Seen:
    """What there was in the frames that went by: how many, what of `ALL`, and in how many frames each person."""

    frames: int = 0
    people: int = 0
    found: set[str] = field(default_factory=set)
    ids: Counter[int] = field(default_factory=Counter)

    def take(self, poses: Poses) -> Poses:
        """Look at a frame, which is given back."""
        self.frames += 1
        self.people += len(poses)
        self.ids.update(range(len(poses)) if poses.ids is None else poses.ids.tolist())
        scores = poses.keypoints[..., 2]
        tells = {
            "ids": poses.ids is not None and len(poses) > 0,
            "times": poses.time_s is not None,
            "joints": bool((scores > 0).any()),
            "joint scores": bool((~np.isin(scores, np.array([0, HIDDEN, 1], np.float32))).any()),
            "scores": bool((poses.scores != 1).any()),
            "boxes": bool((poses.boxes.xywh[:, 2:] > 0).any()),
            "states": poses.states is not None and bool((poses.states != "detected").any()),
            "raw joints": poses.raw_keypoints is not None,
            "image sizes": poses.image_hw is not None,
            "everybody": len(self.ids) > 1,
        }
        self.found |= {name for name in ALL if tells[name]}
        return poses


def lost_sentence(seen: Seen, kind: Format) -> str:
    """What the format cannot hold of what there was; empty if it holds all."""
    lost = sorted((kind.lacks & seen.found) - {"everybody"})
    if "raw joints" in lost and seen.found.isdisjoint({"states"}):
        lost = [name for name in lost if name != "states"]
    text = ""
    if lost:
        named = lost[0] if len(lost) == 1 else f"{', '.join(lost[:-1])} and {lost[-1]}"
        text = (
            f"{kind.name} holds no {named}; {'they are' if len(lost) > 1 or named.endswith('s') else 'it is'} left out"
        )
    if "everybody" in kind.lacks & seen.found:
        chosen, most = max(seen.ids.items(), key=lambda each: each[1])
        others = ", ".join(str(each) for each in list(seen.ids)[:20] if each != chosen)
        text += f"{'. ' if text else ''}{kind.name} holds one person: {chosen}, who is in {most} frames, is written; "
        text += f"--person chooses another of {others}"
    return text


def convert(
    source: Path,
    out: Path,
    *,
    to: str | None = None,
    from_format: str | None = None,
    video: Video | None = None,
    images: Path | None = None,
    person: int | None = None,
    joints: JointsName | None = None,
    fps: float | None = None,
    height_m: float | None = None,
) -> tuple[Seen, str]:
    """Convert a file or folder. Frames pass one by one where both formats allow it.

    video, images: where the pixels, sizes and times of the frames come from. person: this one alone. Gives what there
    was, and a sentence on what the format cannot hold, or "". Raises DataError or ConfigError; nothing is written then.
    """
    kind = recognise(source) if from_format is None else format_named(from_format)
    target = format_of_output(out, to)
    seen = Seen()
    with ExitStack() as stack:
        pictures = iter(()) if video is None else stack.enter_context(closing(iter(video)))
        first = next(pictures, None)
        size = None if first is None else (first.image.shape[0], first.image.shape[1])
        options = Options(fps, size, height_m)
        chosen = (seen.take(_only(poses, person)) for poses in frames_of(source, kind, options))
        if video is not None:
            shown = chain([] if first is None else [first], pictures)
            pairs: Iterator[tuple[Poses, ImageArray | None]] = _with_video(chosen, shown, video.name)
        elif images is not None:
            pairs = ((poses, _image_of(poses, images)) for poses in chosen)
        else:
            pairs = ((poses, None) for poses in chosen)
        _write_all(pairs, out, target, options, joints, lambda: _check_person(seen, person, source))
    return seen, lost_sentence(seen, target)


def _only(poses: Poses, person: int | None) -> Poses:
    if person is None or (poses.ids is None and not len(poses)):
        return poses
    if poses.ids is None:
        raise ConfigError(f"people of frame {poses.frame} have no ids, so person {person} cannot be chosen")
    which: NDArray[np.bool_] = poses.ids == person
    return poses[which]


def _check_person(seen: Seen, person: int | None, source: Path) -> None:
    if person is not None and not seen.people:
        raise ConfigError(f"there is no person {person} in {source}; leave out --person to have all")


def _with_video(
    frames: Iterator[Poses], pictures: Iterator[Frame], name: str
) -> Iterator[tuple[Poses, ImageArray | None]]:
    """The frames with their pixels, sizes and times. Raises DataError if they are not of that video."""
    picture = next(pictures, None)
    for number, poses in enumerate(frames):
        index = number if poses.frame is None else poses.frame
        while picture is not None and picture.index < index:
            picture = next(pictures, None)
        if picture is None or picture.index != index:
            raise DataError(f"frame {index} is not in {name}; name the video that the poses are of")
        height, width = picture.image.shape[:2]
        if poses.image_hw is not None and poses.image_hw != (height, width):
            raise DataError(
                f"the poses are of images of {poses.image_hw[1]}x{poses.image_hw[0]} pixels, and {name} has "
                f"{width}x{height}; name the video that they are of"
            )
        time_s = picture.time_s if poses.time_s is None else poses.time_s
        yield replace(poses, image_hw=(height, width), time_s=time_s, name=poses.name or name), picture.image


def _image_of(poses: Poses, folder: Path) -> ImageArray:
    name = PurePosixPath(poses.name.replace("\\", "/"))
    if not poses.name or name.is_absolute() or ".." in name.parts:
        raise DataError(f"the poses name the image {poses.name!r}, which is not below {folder}")
    return read_image(folder / name)


def _write_all(
    pairs: Iterable[tuple[Poses, ImageArray | None]],
    out: Path,
    target: Format,
    options: Options,
    joints: JointsName | None,
    check: Any = lambda: None,
) -> None:
    """Write the frames; a file whole or not at all, a folder that is new or empty."""
    if joints is not None and joints not in SKELETONS_OUT:
        raise ConfigError(f"joints must be one of {', '.join(SKELETONS_OUT)}, not {joints}")
    with ExitStack() as stack:
        if target.is_folder:
            check_folder(out)
            if out.is_symlink() or (out.is_dir() and next(out.iterdir(), None) is not None):
                raise ConfigError(f"{out} is a link, or has something in it; name a new folder")
            place: Any = out
        else:
            (place,) = stack.enter_context(replace_together(out))
        writer = target.writer_to(place, options)
        for poses, image in pairs:
            writer.write(poses if joints is None else with_joints(poses, SKELETONS_OUT[joints]), image)
        check()
        writer.close()
