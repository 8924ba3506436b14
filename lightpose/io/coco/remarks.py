"""What a reader has to say of a file: what was read how, what was left out, and why it is refused."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["NOTES", "Name", "Remark", "Remarks", "tell"]

Name = int | str
"""An id, or what else an annotation or image can be found by."""

NOTES = {
    "text_number": "numbers written as text are read as numbers",
    "numbered_ids": "ids that are text, or beyond 64 bits, are numbered 1, 2, … inside; results have the file's own",
    "read_ids": "ids written as text or with a point are read as whole numbers",
    "url_name": "images named by a URL are looked for by its last part",
    "no_size": "images without height and width have those of their files",
    "numbered_joints": "joint names that are numbers are read as text",
    "bad_limbs": "`skeleton` is not pairs of joint numbers from 1 on, and is left out: limbs are not drawn",
    "limbs_from_0": "`skeleton` counts joints from 0, and is read so",
    "no_box": "persons without a box and without labels are left out",
    "no_keypoints": "persons without keypoints count as unlabelled: not trained on, and ignored by AP",
    "no_visibility": "keypoints of x and y alone count as visible, those at 0, 0 as unlabelled",
    "no_place": "keypoints without a place and without a visibility above 0 count as unlabelled",
    "bad_visibility": "visibilities are not 0, 1 or 2; all above 0 count as labels, a network's scores too, as in "
    "pycocotools",
    "bad_crowd": "`iscrowd` is neither 0 nor 1; whatever is not 0 is a crowd",
    "more_keypoints": "keypoints of hands, face and feet in keys of their own are not read",
}
"""What each kind of note says of the rows that it names."""


@dataclass(frozen=True)
class Remark:
    """One kind of thing about a file.

    code: of what kind. refused: whether the file cannot be used for it. text: a sentence. names: which rows, by id.
    """

    code: str
    refused: bool
    text: str
    names: tuple[Name, ...]


class Remarks:
    """Gathers remarks by their code, in the order in which their codes come up."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[bool, str, list[Name]]] = {}

    def refuse(self, code: str, name: Name, text: str) -> None:
        """The file cannot be used, for this row."""
        self._add(code, True, name, text)

    def note(self, code: str, name: Name, where: object) -> None:
        """Something was read as NOTES says. where: the row, in words."""
        self._add(code, False, name, where)

    def whole(self, code: str, names: Iterable[Name], text: str) -> None:
        """A note that is said once of several rows."""
        for name in names:
            self._add(code, False, name, text)

    def _add(self, code: str, refused: bool, name: Name, text: object) -> None:
        if code not in self._found:
            self._found[code] = (refused, str(text), [])
        self._found[code][2].append(name)

    def done(self) -> tuple[Remark, ...]:
        """All of them; those that refuse the file first."""
        remarks = [
            Remark(code, refused, _sentence(code, refused, text, len(names)), tuple(names))
            for code, (refused, text, names) in self._found.items()
        ]
        return tuple(sorted(remarks, key=lambda remark: not remark.refused))


def _sentence(code: str, refused: bool, text: str, count: int) -> str:
    if refused:
        return text if count == 1 else f"{text}; so with {count - 1} more"
    if code not in NOTES:
        return text
    return f"{NOTES[code]} ({count}: {text}{', …' if count > 1 else ''})"


def tell(path: Path, notes: Iterable[str]) -> tuple[str, ...]:
    """Log what was read how, as warnings of the logger `lightpose`; returns the lines."""
    lines = tuple(f"{path}: {note}" for note in notes)
    for line in lines:
        logging.getLogger("lightpose").warning(line)
    return lines
