"""Results of many images: appended as they come, so that a kill loses none, and made into two json files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from lightpose.errors import ConfigError
from lightpose.io.files import append_whole, replace_together
from lightpose.io.places import check_own
from lightpose.results import Poses
from lightpose.types import Frame

__all__ = ["KEYPOINTS", "PARTIAL", "POSES", "ResultFiles"]

KEYPOINTS, POSES = "keypoints.json", "poses.json"
PARTIAL = ".lightpose.partial.jsonl"
"""The results of an unfinished run: one line about the run, then one line for each image."""

_KINDS = {"name": str, "stamp": str, "rows": list, "table": dict}
"""What a line about an image holds."""


class ResultFiles:
    """A sink that writes keypoints.json and poses.json at `close`, and continues an interrupted run.

    out: the folder. run: everything that the results depend on; a partial run with another `run` is refused. numbers:
    the image_id of each image, by name, in the order of the results. stamps: a text for each image, by name, that
    changes when the file changes; a changed image is done again. restart: discard the results of an interrupted run.
    """

    def __init__(
        self, out: Path, run: Mapping[str, Any], numbers: Mapping[str, int], stamps: Mapping[str, str], restart: bool
    ) -> None:
        self._out, self._numbers, self._stamps = out, numbers, stamps
        self._path = out / PARTIAL
        self._places: dict[str, int] = {}
        self._end = 0
        self.nobody: list[str] = []
        self.people = 0
        head = _line(run)
        mode = "wb+" if restart or not self._path.exists() or not self._path.stat().st_size else "rb+"
        check_own(self._path)
        self._file: IO[bytes] = self._path.open(mode, buffering=0)
        if mode == "rb+":
            self._take_over(head)
        else:
            self._append(head)

    def __contains__(self, name: object) -> bool:
        """Whether an image is done already."""
        return name in self._places

    def __len__(self) -> int:
        return len(self._places)

    def write(self, frame: Frame, poses: Poses) -> None:
        """Append the results of a frame."""
        number = self._numbers[frame.name]
        line = {
            "name": frame.name,
            "stamp": self._stamps[frame.name],
            "rows": [{**row, "file_name": frame.name} for row in poses.to_coco(number)],
            "table": {"image_id": number, **poses.to_dict()},
        }
        self._append(_line(line), frame.name)
        self._count(frame.name, len(poses))

    def close(self, about: Mapping[str, Any] | None = None, failed: Mapping[str, str] | None = None) -> None:
        """Write both files and discard the partial results. about: settings of the run. failed: reasons, by image."""
        faults = [{"image": image, "reason": reason} for image, reason in (failed or {}).items()]
        with replace_together(self._out / KEYPOINTS, self._out / POSES) as (keypoints, poses):
            keypoints.write(b"[")
            poses.write(f'{_readable(dict(about or {}))[:-2]},\n "images": ['.encode(errors="backslashreplace"))
            first_row = first_image = True
            for line in self._lines():
                for row in line["rows"]:
                    keypoints.write((b"" if first_row else b", ") + json.dumps(row).encode())
                    first_row = False
                poses.write((b"\n" if first_image else b",\n") + _encoded(line["table"]))
                first_image = False
            keypoints.write(b"]")
            poses.write(b"\n ],\n" + f' "failed": {_readable(faults)}\n}}\n'.encode(errors="backslashreplace"))
        self.discard()

    def discard(self) -> None:
        """Discard the partial results."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def leave(self) -> None:
        """Stop, and keep the partial results for the next run."""
        self._file.close()

    def _lines(self) -> Iterator[dict[str, Any]]:
        """The results so far, in the order of the images."""
        with self._path.open("rb") as file:
            for name in self._numbers:
                if name in self._places:
                    file.seek(self._places[name])
                    yield json.loads(file.readline())

    def _append(self, line: bytes, name: str | None = None) -> None:
        """Add a line whole or not at all; a full disk raises OSError."""
        append_whole(self._file, line, self._end, self._path)
        if name is not None:
            self._places[name] = self._end
        self._end += len(line)

    def _take_over(self, head: bytes) -> None:
        """Read the results of an interrupted run; a line that was cut off is dropped."""
        with self._path.open("rb") as file:
            same = file.readline() == head
        if not same:
            self._file.close()
            raise ConfigError(
                f"{self._out} holds part of a run with other images or settings; repeat that command to finish it, "
                "add --restart to drop it, or name another folder with --out"
            )
        with self._path.open("rb") as file:
            self._end = len(file.readline())
            for text in file:
                line = _read_line(text)
                if line is None:
                    break
                if self._stamps.get(line["name"]) == line["stamp"] and line["stamp"]:
                    self._places[line["name"]] = self._end
                    self._count(line["name"], len(line["rows"]))
                self._end += len(text)
        self._file.truncate(self._end)
        self._file.seek(self._end)

    def _count(self, name: str, people: int) -> None:
        self.people += people
        if not people:
            self.nobody.append(name)


def _read_line(text: bytes) -> dict[str, Any] | None:
    """The results of an image; None if the line was cut off, or is damaged."""
    try:
        line = json.loads(text) if text.endswith(b"\n") else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict) or line.keys() != _KINDS.keys():
        return None
    return line if all(isinstance(line[name], kind) for name, kind in _KINDS.items()) else None


def _line(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"


def _readable(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False)


def _encoded(table: Any) -> bytes:
    return _readable(table).encode(errors="backslashreplace")  # of names that are no UTF-8
