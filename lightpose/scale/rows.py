"""The rows of a part: their schema, how they are made of poses, and what a part says of itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

from lightpose.errors import ConfigError, StoreError
from lightpose.results import Poses
from lightpose.scale.parquet import about_of, decode_table, encode_table, footer_of, load_arrow, with_about
from lightpose.scale.source import Item
from lightpose.scale.store import Store

__all__ = [
    "STATUSES",
    "Failure",
    "PartRows",
    "RowKind",
    "Summary",
    "check_kept",
    "facts_of",
    "read_facts",
    "read_summary",
    "schema",
    "table_summary",
]

RowKind = Literal["image", "person"]
"""A row for each image, with a list of its people; or one for each person, and one for an image without any."""

Status = Literal["ok", "missing", "unreadable", "too_large", "unreachable", "damaged", "failed", "timeout", "poison"]
STATUSES: dict[Status, str] = {
    "ok": "its people are in the row",
    "missing": "there is no such image",
    "unreadable": "it is damaged, or no image",
    "too_large": "it has more pixels or bytes than the limits allow",
    "unreachable": "its server did not give it in any try",
    "damaged": "of a video: frames are lost, and the others are in the rows",
    "failed": "no people could be looked for in it",
    "timeout": "the work on it did not end in time",
    "poison": "the work on it ended the process",
}
"""What became of an image."""

_VERSION = 1
_OWN = ("source", "status", "error", "width", "height")
_PEOPLE = ("people", "person", "score", "box", "box_score", "keypoints")
_END = 2**16


class Failure(NamedTuple):
    """An image that is not ok: its name, what became of it, and why."""

    source: str
    status: str
    error: str


@dataclass(frozen=True)
class Summary:
    """What a part says of itself. run: of the manifest. images: or ranges of a video. statuses: of these, by what
    became of them. frames: of videos; of images, as many as there are. people: in each frame."""

    run: str
    shard: int
    images: int
    people: int
    statuses: Mapping[str, int]
    failures: Sequence[Failure] = ()
    rows: int = 0
    frames: int = 0

    @property
    def failed(self) -> int:
        """How many images are not ok."""
        return self.images - self.statuses.get("ok", 0)


def check_kept(names: Sequence[str]) -> None:
    """Raise ConfigError if a column to keep has the name of another column of the rows."""
    taken = [name for name in names if name in (*_OWN, *_PEOPLE)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if taken or twice:
        why = "the rows have a column of that name" if taken else "it is named twice"
        raise ConfigError(f"--keep {(taken or twice)[0]}: {why}; give it another name in the table, or leave it out")


def schema(joints: Sequence[str], kept_types: Mapping[str, Any], kind: RowKind) -> Any:
    """The pyarrow schema of the rows.

    A person is a score, a box in pixels with its score, and keypoints by name with x, y and score, as float32.
    """
    arrow = load_arrow()
    real = arrow.float32()
    point = arrow.struct([(name, real) for name in ("x", "y", "score")])
    box = arrow.struct([(name, real) for name in ("left", "top", "width", "height")])
    keypoints = arrow.struct([(joint, point) for joint in joints])
    person = [("score", real), ("box", box), ("box_score", real), ("keypoints", keypoints)]
    people = (
        [("people", arrow.list_(arrow.struct(person)))] if kind == "image" else [("person", arrow.int32()), *person]
    )
    own = zip(_OWN, (arrow.string(),) * 3 + (arrow.int32(),) * 2, strict=True)
    wanted = arrow.schema([*own, *kept_types.items(), *people])
    return decode_table(encode_table(wanted.empty_table())).schema  # as Parquet has it: it names what is in lists


@dataclass
class _Row:
    status: str
    error: str | None = None
    image_hw: tuple[int, int] | None = None
    poses: Poses | None = None


@dataclass
class PartRows:
    """The rows of a shard, gathered in any order. items: its inputs."""

    items: Sequence[Item]
    joints: Sequence[str]
    kept_types: Mapping[str, Any]
    kind: RowKind
    _rows: dict[int, _Row] = field(default_factory=dict)

    def add(self, number: int, poses: Poses, image_hw: tuple[int, int]) -> None:
        """The poses in an image. number: of the image in the shard."""
        self._rows[number] = _Row("ok", None, image_hw, poses)

    def fail(self, number: int, status: str, error: str, image_hw: tuple[int, int] | None = None) -> None:
        """An image without poses, and why."""
        self._rows[number] = _Row(status, error, image_hw)

    def encode(self, run: str, shard: int) -> tuple[bytes, Summary]:
        """The part's bytes, read back and found equal; and what the part says of itself. Raises StoreError if an image
        has no row."""
        lost = [item.source for number, item in enumerate(self.items) if number not in self._rows]
        if lost:
            raise StoreError(f"{lost[0]} got no row in shard {shard}; run the command again")
        rows = [self._rows[number] for number in range(len(self.items))]
        failures = [
            Failure(item.source, row.status, row.error or "")
            for item, row in zip(self.items, rows, strict=True)
            if row.status != "ok"
        ]
        people = sum(len(row.poses) for row in rows if row.poses is not None)
        statuses = dict(sorted(Counter(row.status for row in rows).items()))
        summary = Summary(run, shard, len(rows), people, statuses, failures, frames=len(rows))
        content = encode_table(with_about(self._table(rows), facts_of(summary, self.joints, self.kind)))
        if encode_table(decode_table(content)) != content:
            raise StoreError(f"the rows of shard {shard} are not what was written; the memory may be damaged")
        return content, summary

    def _table(self, rows: Sequence[_Row]) -> Any:
        """The rows as a table of the schema."""
        arrow = load_arrow()
        fields = schema(self.joints, self.kept_types, self.kind)
        counts = np.array([0 if row.poses is None else len(row.poses) for row in rows], np.int64)
        own = [
            [item.source for item in self.items],
            [row.status for row in rows],
            [row.error for row in rows],
            [None if row.image_hw is None else row.image_hw[1] for row in rows],
            [None if row.image_hw is None else row.image_hw[0] for row in rows],
            *([item.kept[name] for item in self.items] for name in self.kept_types),
        ]
        columns = [arrow.array(values, fields.field(place).type) for place, values in enumerate(own)]
        some = [row.poses for row in rows if row.poses is not None and len(row.poses)]
        if self.kind == "image":
            kind = fields.field("people").type.value_type
            offsets = arrow.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
            unknown = arrow.array([row.poses is None for row in rows])
            people = arrow.StructArray.from_arrays(self._people(some, kind), fields=list(kind))
            lists = arrow.ListArray.from_arrays(offsets, people, type=fields.field("people").type, mask=unknown)
            return arrow.Table.from_arrays([*columns, lists], schema=fields)
        taken = np.repeat(np.arange(len(rows)), np.maximum(counts, 1))
        person = np.concatenate([np.arange(max(count, 1)) for count in counts]) if len(counts) else np.zeros(0)
        nobody = (counts == 0)[taken]
        place = np.where(nobody, 0, np.cumsum(~nobody) - 1)
        kind = arrow.struct(list(fields)[-4:])
        found = [each.take(arrow.array(place, mask=nobody)) for each in self._people(some, kind)]
        numbers = arrow.array(person.astype(np.int32), mask=nobody)
        return arrow.Table.from_arrays([*(each.take(taken) for each in columns), numbers, *found], schema=fields)

    def _people(self, some: Sequence[Poses], kind: Any) -> list[Any]:
        """The columns of a person, over all people of the shard."""
        arrow = load_arrow()
        keypoints = _joined([poses.keypoints for poses in some], (0, len(self.joints), 3))
        boxes = _joined([poses.boxes.xywh for poses in some], (0, 4))
        point = kind.field("keypoints").type.field(0).type if len(self.joints) else None
        joints = [_struct(keypoints[:, joint], point) for joint in range(len(self.joints))]
        return [
            arrow.array(_joined([poses.scores for poses in some], (0,))),
            _struct(boxes, kind.field("box").type),
            arrow.array(_joined([poses.boxes.scores for poses in some], (0,))),
            arrow.StructArray.from_arrays(joints, fields=list(kind.field("keypoints").type)),
        ]


def _joined(arrays: Sequence[Any], shape: tuple[int, ...]) -> Any:
    return np.concatenate([np.zeros(shape, np.float32), *arrays]).astype(np.float32)


def _struct(values: Any, kind: Any) -> Any:
    """A struct of (N, fields) numbers."""
    arrow = load_arrow()
    columns = [arrow.array(np.ascontiguousarray(column)) for column in values.T]
    return arrow.StructArray.from_arrays(columns, fields=list(kind))


def facts_of(summary: Summary, joints: Sequence[str], kind: str) -> dict[str, Any]:
    """What a part says of itself, ready for JSON."""
    return {
        "version": _VERSION,
        "run": summary.run,
        "shard": summary.shard,
        "rows": kind,
        "joints": list(joints),
        "images": summary.images,
        "frames": summary.frames,
        "people": summary.people,
        "statuses": dict(summary.statuses),
        "failures": [list(failure) for failure in summary.failures],
    }


def _summary_of(facts: Mapping[str, Any], rows: int) -> Summary:
    """What a part says of itself, out of the facts in it. Raises StoreError if they are none."""
    try:
        return Summary(
            str(facts["run"]),
            int(facts["shard"]),
            int(facts["images"]),
            int(facts["people"]),
            dict(facts["statuses"]),
            [Failure(*failure) for failure in facts["failures"]],
            rows,
            int(facts["frames"]),
        )
    except (LookupError, TypeError, ValueError) as error:
        raise StoreError("it is no part of a bulk run") from error


def read_summary(store: Store, name: str) -> Summary:
    """The same of a part in a store, whose last bytes are read alone. Raises StoreError if it is damaged."""
    try:
        rows, facts = read_facts(store, name)
        return _summary_of(facts, rows)
    except StoreError as error:
        raise StoreError(f"{name} in {store.where}: {error}; remove it, and run the command again") from error


def read_facts(store: Store, name: str) -> tuple[int, dict[str, Any]]:
    """The rows of a part and what it says of itself, out of its last bytes. Raises StoreError if it is damaged."""
    needed = _END
    while isinstance(found := footer_of(store.read_end(name, needed)), int):
        if found <= needed:
            raise StoreError("it is no whole Parquet file")
        needed = found
    return found


def table_summary(table: Any) -> Summary:
    """The same of a part's table."""
    return _summary_of(about_of(table.schema.metadata), len(table))
