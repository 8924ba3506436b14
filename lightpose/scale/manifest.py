"""The manifest of a run: its inputs, listed once and cut into shards, and all that its rows depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import zip_longest
from typing import Any

from lightpose.errors import ConfigError, ImageError, StoreError
from lightpose.scale.parquet import decode_table, encode_table, load_arrow
from lightpose.scale.source import Item
from lightpose.scale.store import Store

__all__ = ["HEAD", "Head", "Manifest", "Piece", "compare", "part_name", "read_head", "sweep", "write_manifest"]

HEAD = "_manifest/head.json"
"""Written last: a manifest without it is one whose listing was killed."""

VERSION = 2
_PIECE = 20_000
"""Inputs in a piece of the manifest, which holds whole shards."""


@dataclass(frozen=True)
class Piece:
    """A file of the manifest. count: inputs in it. sha256: of its bytes, which its name begins with."""

    name: str
    count: int
    sha256: str


@dataclass(frozen=True)
class Head:
    """What a run is. run: SHA-256 over all that its rows depend on. about: that, by name. items: inputs in all. shard:
    inputs in a shard. inputs_sha256: over the inputs' names, stamps and kept columns. frames: of videos, in all; of
    images, as many as there are.
    """

    run: str
    about: Mapping[str, Any]
    items: int
    shard: int
    inputs_sha256: str
    pieces: tuple[Piece, ...]
    frames: int

    @property
    def shards(self) -> int:
        """How many there are."""
        return -(-self.items // self.shard)

    def size(self, shard: int) -> int:
        """Inputs of one shard."""
        return min(self.shard, self.items - shard * self.shard)

    def to_json(self) -> bytes:
        """What `read_head` reads."""
        return json.dumps({"version": VERSION, **asdict(self)}, indent=1, ensure_ascii=False).encode()


def part_name(shard: int) -> str:
    """The name of a shard's rows."""
    return f"part-{shard:06}.parquet"


def read_head(store: Store) -> Head | None:
    """The head of the run in a store; None if there is none. Raises StoreError if it is damaged."""
    if HEAD not in store.names(HEAD):
        return None
    try:
        table = json.loads(store.read(HEAD))
        if table.pop("version") != VERSION:
            raise StoreError(f"{store.where} holds a run of another version of lightpose; finish it with that")
        return Head(**{**table, "pieces": tuple(Piece(**piece) for piece in table["pieces"])})
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise StoreError(f"{HEAD} in {store.where} is damaged ({error}); name another place with --out") from error


def write_manifest(
    store: Store, items: Iterable[Item], kept_types: Mapping[str, Any], about: Mapping[str, Any], shard: int
) -> Head:
    """List the inputs and write them. Another run that was sooner wins; its head is returned.

    about: all that the rows depend on but the inputs. Raises ImageError if there is no input.
    """
    pieces: list[Piece] = []
    total = frames = 0
    hashed = hashlib.sha256()
    for group in _grouped(items, max(shard, _PIECE // shard * shard)):
        for item in group:
            hashed.update(_line(item))
            frames += item.frames
        content = encode_table(_table(group, kept_types))
        sha256 = hashlib.sha256(content).hexdigest()
        pieces.append(Piece(f"_manifest/items-{len(pieces):06}-{sha256[:12]}.parquet", len(group), sha256))
        store.put(pieces[-1].name, content)
        total += len(group)
    if not total:
        raise ImageError("there is no image in the input; name another folder, list or table")
    inputs = hashed.hexdigest()
    run = hashlib.sha256(json.dumps([inputs, total, shard, about], sort_keys=True).encode()).hexdigest()
    head = Head(run, about, total, shard, inputs, tuple(pieces), frames)
    if store.put_once(HEAD, head.to_json()):
        return head
    winner = read_head(store)
    if winner is None:
        raise StoreError(f"{HEAD} in {store.where} was removed by somebody; run the command again")
    if winner.inputs_sha256 != inputs:
        raise ConfigError(f"another run over other inputs has just begun in {store.where}; name another place")
    return winner


def sweep(store: Store, head: Head) -> None:
    """Remove pieces of manifests that were not finished, or came too late."""
    known = {HEAD, *(piece.name for piece in head.pieces)}
    for name in store.names("_manifest/"):
        if name not in known:
            store.delete(name)


def compare(head: Head, about: Mapping[str, Any], shard: int, where: str) -> None:
    """Raise ConfigError, which says what differs, unless a run has the options of the one in a store."""
    before, now = ({"shard": size, **facts} for size, facts in ((head.shard, head.about), (shard, about)))
    now = json.loads(json.dumps(now))  # as the head has it: lists for tuples
    different = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if different:
        told = "; ".join(f"{name} was {_short(before.get(name))}, and is {_short(now.get(name))}" for name in different)
        raise ConfigError(f"{where} holds a run with other settings ({told}); use those, or name another --out")


class Manifest:
    """The inputs of a run, read from its store. One piece is held at a time."""

    def __init__(self, store: Store, head: Head) -> None:
        self.store, self.head = store, head
        self._held: tuple[int, Any] = (-1, None)
        self._ends = _ends(head.pieces)

    def items(self, shard: int) -> list[Item]:
        """The inputs of a shard, in order."""
        start = shard * self.head.shard
        number = next(place for place, end in enumerate(self._ends) if start < end)
        table = self._piece(number)
        return _items(table.slice(start - self._ends[number] + self.head.pieces[number].count, self.head.size(shard)))

    def all_items(self) -> Iterator[Item]:
        """All inputs, in order."""
        for shard in range(self.head.shards):
            yield from self.items(shard)

    def check_inputs(self, items: Iterable[Item], before_too: Iterable[Item] | None = None) -> None:
        """Raise ConfigError, which names the first that differs, unless these are the inputs of the run. before_too:
        those of the run, if not all of its items."""
        where = self.store.where
        known = self.all_items() if before_too is None else before_too
        for number, (now, before) in enumerate(zip_longest(items, known), start=1):
            if now is None or before is None or now.source != before.source:
                was, is_now = ("nothing" if each is None else repr(each.source) for each in (before, now))
                what = f"number {number:,} was {was}, and is {is_now}"
            elif _line(now) != _line(before):
                what = f"{now.source} has changed since"
            else:
                continue
            raise ConfigError(f"{where} holds a run over other inputs: {what}; bring them back, or name another --out")

    def _piece(self, number: int) -> Any:
        if self._held[0] != number:
            piece = self.head.pieces[number]
            content = self.store.read(piece.name)
            if hashlib.sha256(content).hexdigest() != piece.sha256:
                raise StoreError(f"{piece.name} in {self.store.where} is damaged; name another place with --out")
            self._held = number, decode_table(content)
        return self._held[1]


def _grouped(items: Iterable[Item], count: int) -> Iterator[list[Item]]:
    group: list[Item] = []
    for item in items:
        group.append(item)
        if len(group) == count:
            yield group
            group = []
    if group:
        yield group


def _table(items: list[Item], kept_types: Mapping[str, Any]) -> Any:
    """Inputs as a table. The place is null where it is the name; it is bytes, as it may be no UTF-8."""
    arrow = load_arrow()
    places = [None if item.place == item.source else item.place.encode("utf-8", "surrogateescape") for item in items]
    columns = {
        "source": arrow.array([item.source for item in items], arrow.string()),
        "place": arrow.array(places, arrow.binary()),
        "stamp": arrow.array([item.stamp for item in items], arrow.string()),
    }
    for name, kind in kept_types.items():
        columns[f"kept.{name}"] = arrow.array([item.kept[name] for item in items], kind)
    return arrow.table(columns)


def _items(table: Any) -> list[Item]:
    names = [name for name in table.column_names if name.startswith("kept.")]
    kept = [table[name].to_pylist() for name in names]
    rows = zip(*kept, strict=True) if kept else ((),) * len(table)
    keys = [name.removeprefix("kept.") for name in names]
    columns = (table[name].to_pylist() for name in ("source", "place", "stamp"))
    return [
        Item(
            source,
            source if place is None else place.decode("utf-8", "surrogateescape"),
            stamp,
            dict(zip(keys, row, strict=True)),
        )
        for source, place, stamp, row in zip(*columns, rows, strict=True)
    ]


def _line(item: Item) -> bytes:
    """What the hash of the inputs sees of one. Its place is left out: a folder may be moved."""
    return repr((item.source, item.stamp, *item.kept.values())).encode("utf-8", "surrogatepass")


def _ends(pieces: Iterable[Piece]) -> list[int]:
    ends, end = [], 0
    for piece in pieces:
        end += piece.count
        ends.append(end)
    return ends


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:40]}…{text[-12:]}"
