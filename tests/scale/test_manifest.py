"""The manifest: what is listed comes back, and what differs is told."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from lightpose.errors import ConfigError, ImageError, StoreError
from lightpose.scale.manifest import HEAD, Manifest, compare, read_head, sweep, write_manifest
from lightpose.scale.source import Item
from lightpose.scale.store import FolderStore

ABOUT = {"model_sha256": "0" * 64, "rows": "image"}
KEPT = {"id": pa.int64(), "split": pa.string()}


def inputs(count: int) -> Iterator[Item]:
    for number in range(count):
        place = f"caf\udce9/{number}" if number % 2 else f"{number:07}.jpg"
        yield Item(f"{number:07}.jpg", place, f"{number} 1", {"id": number, "split": None if number % 3 else "train"})


@pytest.mark.parametrize(("count", "shard"), [(1, 1), (25, 10), (50_001, 3), (50_000, 30_000)])
def test_the_inputs_come_back_shard_by_shard(count: int, shard: int, tmp_path: Path):
    store = FolderStore(tmp_path)
    head = write_manifest(store, inputs(count), KEPT, ABOUT, shard)
    assert read_head(store) == head
    manifest = Manifest(store, head)
    assert head.shards == -(-count // shard)
    assert [item for number in range(head.shards) for item in manifest.items(number)] == list(inputs(count))
    assert [len(manifest.items(number)) for number in range(head.shards)] == [
        head.size(number) for number in range(head.shards)
    ]
    manifest.check_inputs(inputs(count))


def test_two_listings_of_the_same_are_one_run_and_nothing_is_left_over(tmp_path: Path):
    store = FolderStore(tmp_path)
    first = write_manifest(store, inputs(30), KEPT, ABOUT, 10)
    assert write_manifest(store, inputs(30), KEPT, ABOUT, 10) == first
    store.put("_manifest/items-000007-killed.parquet", b"of a listing that was killed")
    sweep(store, first)
    assert store.names() == [HEAD, first.pieces[0].name]
    assert len(Manifest(store, first).items(2)) == 10


def test_a_listing_of_other_inputs_that_comes_second_is_refused(tmp_path: Path):
    store = FolderStore(tmp_path)
    first = write_manifest(store, inputs(30), KEPT, ABOUT, 10)
    with pytest.raises(ConfigError, match="another run over other inputs has just begun"):
        write_manifest(store, inputs(29), KEPT, ABOUT, 10)
    assert Manifest(store, first).items(0) == list(inputs(10))


@pytest.mark.parametrize(
    ("items", "what"),
    [
        (list(inputs(29)), "number 30 was '0000029.jpg', and is nothing"),
        (list(inputs(31)), "number 31 was nothing, and is '0000030.jpg'"),
        (list(inputs(30))[::-1], "number 1 was '0000000.jpg', and is '0000029.jpg'"),
        ([*inputs(29), Item("0000029.jpg", "x", "30 1", {"id": 29, "split": None})], "0000029.jpg has changed since"),
        ([*inputs(29), Item("0000029.jpg", "x", "29 1", {"id": 30, "split": None})], "0000029.jpg has changed since"),
    ],
)
def test_other_inputs_are_told_by_the_first_that_differs(items: list[Item], what: str, tmp_path: Path):
    store = FolderStore(tmp_path)
    head = write_manifest(store, inputs(30), KEPT, ABOUT, 10)
    with pytest.raises(ConfigError, match=what):
        Manifest(store, head).check_inputs(items)


def test_other_settings_are_told_by_name(tmp_path: Path):
    head = write_manifest(FolderStore(tmp_path), inputs(30), KEPT, ABOUT, 10)
    compare(head, dict(ABOUT), 10, "out")
    with pytest.raises(ConfigError, match='shard was 10, and is 11; rows was "image", and is "person"'):
        compare(head, ABOUT | {"rows": "person"}, 11, "out")


def test_the_run_is_another_by_each_thing_it_depends_on(tmp_path: Path):
    changed = [
        (inputs(30), ABOUT, 10), (inputs(29), ABOUT, 10), (inputs(30), ABOUT | {"rows": "person"}, 10),
        (inputs(30), ABOUT, 11),
    ]  # fmt: skip
    runs = {
        write_manifest(FolderStore(tmp_path / str(number)), items, KEPT, about, shard).run
        for number, (items, about, shard) in enumerate(changed)
    }
    assert len(runs) == len(changed)


def test_nothing_to_do_is_refused_and_damage_is_told(tmp_path: Path):
    store = FolderStore(tmp_path)
    with pytest.raises(ImageError, match="there is no image in the input"):
        write_manifest(store, [], KEPT, ABOUT, 10)
    head = write_manifest(store, inputs(30), KEPT, ABOUT, 10)
    store.put(head.pieces[0].name, b"damaged")
    with pytest.raises(StoreError, match=r"items-000000-.* is damaged"):
        Manifest(store, head).items(0)
    store.put(HEAD, b"{")
    with pytest.raises(StoreError, match=r"head.json .* is damaged"):
        read_head(store)
