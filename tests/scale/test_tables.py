"""Images in Parquet tables, Lance tables and tars."""

import io
import json
import pickle
import random
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lightpose.errors import DataError, ImageError, ImageMissingError, ImageTooLargeError, UnreachableError
from lightpose.scale import table_source
from lightpose.scale.fetch import Fetcher
from lightpose.scale.source import Source, SourceOptions, open_source
from tests.scale.flaky import Rates
from tests.scale.s3 import Bucket

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def opened(*inputs: object, column: str = "image", keep: tuple[str, ...] = ()) -> Source:
    return open_source([str(each) for each in inputs], SourceOptions(column, keep, patience_s=1.0))


def contents(source: Source) -> dict[str, Any]:
    """What is read of each item, by its name; the error's kind where it fails."""
    read: dict[str, Any] = {}
    for item in source.items():
        assert item.source not in read
        try:
            read[item.source] = source.read(item.place)
        except ImageError as error:
            read[item.source] = type(error)
    return read


def encoded(columns: dict, row_group_size: int | None = None) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), file, row_group_size=row_group_size)
    return file.getvalue()


def images(count: int) -> list[bytes]:
    return [b"image %d" % number for number in range(count)]


@pytest.mark.parametrize("kind", ["binary", "large_binary", "binary_view", "dictionary", "struct", "struct of bytes"])
@pytest.mark.parametrize("group", [1, 7, 1000])
def test_each_row_of_a_table_is_an_item_whatever_the_groups(tmp_path: Path, kind: str, group: int):
    if kind.startswith("struct"):
        rows = [{"bytes": content, "path": "a.jpg"} for content in images(200)]
        values = pyarrow.array(rows if kind == "struct" else [{"bytes": row["bytes"]} for row in rows])
    elif kind == "dictionary":
        values = pyarrow.array(images(200)).dictionary_encode()
    else:
        values = pyarrow.array(images(200), getattr(pyarrow, kind)())
    (tmp_path / "t.parquet").write_bytes(encoded({"image": values}, group))
    expected = {f"{tmp_path}/t.parquet#{number}": content for number, content in enumerate(images(200))}
    assert contents(opened(tmp_path / "t.parquet")) == expected


def test_rows_are_read_right_in_any_order_and_by_many_threads(tmp_path: Path):
    (tmp_path / "t.parquet").write_bytes(encoded({"image": images(500)}, 170))
    source = opened(tmp_path / "t.parquet")
    items = list(source.items())
    order = random.Random(0).sample(range(500), 40)
    assert [source.read(items[number].place) for number in order] == [images(500)[number] for number in order]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda item: source.read(item.place), items)) == images(500)


def test_a_group_is_read_once_though_its_rows_come_a_little_out_of_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "t.parquet").write_bytes(encoded({"image": images(500)}))
    source = opened(tmp_path / "t.parquet")
    items, rng, opens, really = list(source.items()), random.Random(0), [], table_source.open_parts
    monkeypatch.setattr(table_source, "open_parts", lambda *given: opens.append(given) or really(*given))
    order = sorted(range(500), key=lambda number: number + rng.uniform(0, 60))
    assert [source.read(items[number].place) for number in order] == [images(500)[number] for number in order]
    assert len(opens) == 1


def test_kept_columns_come_with_their_types_and_nulls(tmp_path: Path):
    columns = {"image": images(3), "id": pyarrow.array([1, None, 3], pyarrow.int16()), "split": ["a", "b", None]}
    (tmp_path / "t.parquet").write_bytes(encoded(columns, 2))
    source = opened(tmp_path / "t.parquet", keep=("split", "id"))
    assert dict(source.kept_types) == {"split": pyarrow.string(), "id": pyarrow.int16()}
    assert [item.kept for item in source.items()] == [
        {"split": "a", "id": 1}, {"split": "b", "id": None}, {"split": None, "id": 3},
    ]  # fmt: skip


def test_a_null_is_a_row_without_an_image(tmp_path: Path):
    both = [{"bytes": None, "path": None}, {"bytes": b"", "path": "a"}, None, {"bytes": None, "path": "a.jpg"}]
    (tmp_path / "a.jpg").write_bytes(b"beside")
    (tmp_path / "t.parquet").write_bytes(encoded({"image": both}))
    (tmp_path / "u.parquet").write_bytes(encoded({"image": pyarrow.array([None, b"1"])}))
    read = list(contents(opened(tmp_path / "t.parquet", tmp_path / "u.parquet")).values())
    assert read == [ImageMissingError, b"", ImageMissingError, b"beside", ImageMissingError, b"1"]


def test_a_column_of_places_leads_to_files_and_objects(tmp_path: Path, bucket: Bucket):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(b"relative")
    places = ["in/a.jpg", str(tmp_path / "in" / "a.jpg"), bucket.put("x/a.jpg", b"object"), "none.jpg", ""]
    (tmp_path / "t.parquet").write_bytes(encoded({"path": places}))
    read = list(contents(opened(tmp_path / "t.parquet", column="path")).values())
    assert read == [b"relative", b"relative", b"object", ImageMissingError, ImageMissingError]


def test_a_table_in_a_bucket_opens_no_file_of_this_computer(tmp_path: Path, bucket: Bucket):
    (tmp_path / "a.jpg").write_bytes(b"private")
    bucket.put("x/in/a.jpg", b"theirs")
    places = [
        "in/a.jpg",
        str(tmp_path / "a.jpg"),
        f"file://{tmp_path}/a.jpg",
        "../x/in/a.jpg",
        "http://localhost/a.jpg",
    ]
    table = bucket.put("x/t.parquet", encoded({"path": places}))
    assert list(contents(opened(table, column="path")).values()) == [b"theirs", *[ImageError] * 4]


@pytest.mark.slow
def test_tables_of_a_bucket_come_by_a_pattern_behind_the_faults(bucket: Bucket):
    bucket.put("t/_metadata.parquet", b"no table")
    for name in ("1", "2", "10"):
        bucket.put(f"t/{name}.parquet", encoded({"image": [name.encode()] * 2, "id": [name] * 2}))
    bucket.proxy.reset(seed=3, rates=Rates(fail=0.1, hang=0.02))
    source = open_source([f"{bucket.where}/t/*.parquet"], SourceOptions(keep=("id",), patience_s=1.0, tries=8))
    items = list(source.items())
    assert [item.source.removeprefix(bucket.where) for item in items] == [
        f"/t/{name}.parquet#{row}" for name in ("1", "10", "2") for row in (0, 1)
    ]
    bucket.proxy.reset()
    assert [source.read(item.place).decode() for item in items] == [item.kept["id"] for item in items]


def test_a_folder_and_a_pattern_name_all_tables_in_order(tmp_path: Path):
    for name in ("t.parquet/b/2.parquet", "t.parquet/a/1.parquet", "t.parquet/_SUCCESS.parquet"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(encoded({"image": [name.encode()]}))
    expected = [b"t.parquet/a/1.parquet", b"t.parquet/b/2.parquet"]
    assert list(contents(opened(tmp_path / "t.parquet")).values()) == expected
    assert list(contents(opened(tmp_path / "t.parquet" / "*" / "*.parquet")).values()) == expected


def test_the_parts_of_the_run_itself_are_no_input(tmp_path: Path):
    for name in ("t/1.parquet", "t/out/part-000000.parquet", "t/outside/2.parquet"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(encoded({"image": [name.encode()]}))
    source = open_source([f"{tmp_path}/t/**/*.parquet"], SourceOptions(out=f"{tmp_path}/t/out"))
    assert list(contents(source).values()) == [b"t/1.parquet", b"t/outside/2.parquet"]


@pytest.mark.parametrize(
    ("columns", "keep", "told"),
    [
        ({"picture": [b""]}, (), r"lacks the column 'image'; name it by --column, of picture"),
        ({"image": [b""]}, ("id",), r"lacks the column 'id'; name others by --keep, of image"),
        ({"image": [1]}, (), r"the column 'image' is of the type int64; it must have images' bytes, paths"),
        ({"image": [[b""]]}, (), r"the column 'image' is of the type list<.*>; it must have"),
        ({"image": [{"data": b""}]}, (), r"the column 'image' is of the type struct<data: binary>; it must have"),
    ],
)
def test_a_table_without_the_columns_is_refused_with_those_it_has(
    tmp_path: Path, columns: dict, keep: tuple, told: str
):
    (tmp_path / "t.parquet").write_bytes(encoded(columns))
    with pytest.raises(DataError, match=told):
        list(opened(tmp_path / "t.parquet", keep=keep).items())


def test_a_column_with_two_types_is_refused(tmp_path: Path):
    (tmp_path / "1.parquet").write_bytes(encoded({"image": [b""], "id": [1]}))
    (tmp_path / "2.parquet").write_bytes(encoded({"image": [b""], "id": ["1"]}))
    with pytest.raises(DataError, match=r"2\.parquet: the column 'id' has not the type int64, as in the first table"):
        list(opened(tmp_path / "*.parquet", keep=("id",)).items())


def test_a_table_that_is_damaged_or_missing_is_one_row_and_stops_no_other(tmp_path: Path):
    (tmp_path / "1.parquet").write_bytes(encoded({"image": images(50), "id": [1] * 50})[:-9])
    (tmp_path / "2.parquet").write_bytes(encoded({"image": [b"2"], "id": [2]}))
    source = opened(tmp_path / "1.parquet", tmp_path / "2.parquet", tmp_path / "3.parquet", keep=("id",))
    assert list(contents(source).values()) == [ImageError, b"2", ImageMissingError]
    assert [item.kept["id"] for item in source.items()] == [None, 2, None]


def test_a_damaged_page_costs_the_rows_from_there_on(tmp_path: Path):
    rng = random.Random(0)
    values = [bytes(rng.choices(b"abcdef", k=1000)) for _ in range(300)]
    parquet.write_table(
        pyarrow.table({"image": values}), tmp_path / "t.parquet", use_dictionary=False, data_page_size=20_000,
        write_batch_size=10, write_page_checksum=True, row_group_size=200,
    )  # fmt: skip
    content = bytearray((tmp_path / "t.parquet").read_bytes())
    content[60_000:60_400] = b"\xff" * 400
    (tmp_path / "t.parquet").write_bytes(content)
    read = list(contents(opened(tmp_path / "t.parquet")).values())
    broken = [number for number, each in enumerate(read) if each is ImageError]
    assert broken == list(range(broken[0], 200))
    assert 0 < broken[0] < 100
    assert [each for each in read if each is not ImageError] == values[: broken[0]] + values[200:]


def test_a_table_source_goes_to_another_process(tmp_path: Path):
    (tmp_path / "t.parquet").write_bytes(encoded({"image": images(2)}))
    source = opened(tmp_path / "t.parquet")
    place = list(source.items())[1].place
    assert source.read(place) == b"image 1"
    again = open_source([str(tmp_path / "t.parquet")], pickle.loads(pickle.dumps(SourceOptions(patience_s=1.0))))
    assert again.read(place) == b"image 1"


@pytest.fixture
def lance_table(tmp_path: Path) -> Path:
    lance = pytest.importorskip("lance", reason="pylance is not installed")
    columns = {"image": pyarrow.array([*images(50), None]), "id": list(range(51))}
    lance.write_dataset(pyarrow.table(columns), tmp_path / "t.lance", max_rows_per_file=20)
    return tmp_path / "t.lance"


def test_rows_of_a_lance_table_are_items(lance_table: Path):
    source = opened(lance_table, keep=("id",))
    assert list(contents(source).values()) == [*images(50), ImageMissingError]
    assert [item.kept["id"] for item in source.items()] == list(range(51))
    assert dict(source.kept_types) == {"id": pyarrow.int64()}


def test_rows_that_a_lance_table_gets_later_change_nothing(lance_table: Path):
    import lance

    source = opened(lance_table)
    items = list(source.items())
    lance.write_dataset(pyarrow.table({"image": [b"new"], "id": [0]}), lance_table, mode="overwrite")
    assert source.read(items[3].place) == opened(lance_table).read(items[3].place) == b"image 3"


def test_what_is_no_lance_table_is_refused(lance_table: Path):
    with pytest.raises(DataError, match=r"none\.lance is no Lance table"):
        list(opened(lance_table.parent / "none.lance").items())


def tarred(members: list[tuple[str, bytes]], form: int = tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as tar:
        for name, content in members:
            about = tarfile.TarInfo(name)
            about.size = len(content)
            tar.addfile(about, io.BytesIO(content))
    return file.getvalue()


SAMPLES = [
    ("x/1.jpg", b"one"), ("x/1.json", b'{"id": 7, "split": "val"}'), ("x/1.txt", b"a dog"),
    ("x/2.v.json", b"{}"), ("x/2.json", b"[1]"), ("x/2.PNG", b"two"),
    ("readme.md", b""), ("x/3.jpg", b"three"), (f"{'l' * 150}/4.jpg", b"four"),
]  # fmt: skip


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_the_images_of_a_tar_are_read_by_their_places(tmp_path: Path, form: int):
    (tmp_path / "a.tar").write_bytes(tarred(SAMPLES, form))
    assert contents(opened(tmp_path / "a.tar")) == {
        f"{tmp_path}/a.tar/{name}": content for name, content in SAMPLES if name.lower().endswith((".jpg", ".png"))
    }


def test_what_lies_beside_an_image_is_kept_as_text(tmp_path: Path):
    (tmp_path / "a.tar").write_bytes(tarred(SAMPLES))
    source = opened(tmp_path / "a.tar", keep=("txt", "id", "split", "json"))
    assert set(source.kept_types.values()) == {pyarrow.string()}
    first, second, third, _ = (item.kept for item in source.items())
    assert first == {"txt": "a dog", "id": "7", "split": "val", "json": SAMPLES[1][1].decode()}
    assert second == {"txt": None, "id": None, "split": None, "json": "[1]"}
    assert set(third.values()) == {None}


def test_tars_come_in_order_also_by_ranges_and_patterns(tmp_path: Path):
    for number in range(12):
        (tmp_path / f"t-{number:03}.tar").write_bytes(tarred([("a.jpg", b"%d" % number), ("a.jpg", b"again")]))
    expected = [content for number in range(12) for content in (b"%d" % number, b"again")]
    assert list(contents(opened(tmp_path / "t-{000..011}.tar")).values()) == expected
    assert list(contents(opened(tmp_path / "t-*.tar")).values()) == expected
    assert list(contents(opened(tmp_path / "t-{010..011}.tar", tmp_path / "t-003.tar")).values()) == [
        b"10", b"again", b"11", b"again", b"3", b"again",
    ]  # fmt: skip


@pytest.mark.slow
def test_tars_of_a_bucket_are_read_by_parts_behind_the_faults(bucket: Bucket):
    large = [(f"{number}.jpg", bytes([number]) * 200_000) for number in range(8)]
    for name in ("1", "2"):
        bucket.put(f"{name}.tar", tarred(large))
    bucket.proxy.reset(seed=4, rates=Rates(fail=0.05, hang=0.02))
    source = open_source([f"{bucket.where}/*.tar"], SourceOptions(patience_s=1.0, tries=8))
    items = list(source.items())
    bucket.proxy.reset()
    assert [source.read(item.place) for item in items] == [content for _, content in large] * 2
    assert bucket.proxy.counts["GET"] == 16, "each image by one request of its own"


@pytest.mark.parametrize("cut", [700, 1024 * 2 + 100, 512 * 5 + 256])
def test_a_tar_that_is_cut_short_keeps_its_images_and_has_one_more_row(tmp_path: Path, cut: int):
    (tmp_path / "a.tar").write_bytes(tarred([(f"{number}.jpg", b"1" * 512) for number in range(9)])[:cut])
    (tmp_path / "b.tar").write_bytes(tarred([("b.jpg", b"b")]))
    read = contents(opened(tmp_path / "a.tar", tmp_path / "b.tar"))
    whole = [content for content in read.values() if content == b"1" * 512]
    assert len(whole) == cut // 1024
    assert read[f"{tmp_path}/a.tar/"] is ImageError
    assert read[f"{tmp_path}/b.tar/b.jpg"] == b"b"


def test_a_damaged_header_in_the_middle_is_no_end(tmp_path: Path):
    content = bytearray(tarred([(f"{number}.jpg", b"1" * 512) for number in range(9)]))
    content[1024 * 4 : 1024 * 4 + 512] = b"\x07" * 512
    (tmp_path / "a.tar").write_bytes(content)
    source = opened(tmp_path / "a.tar")
    items = list(source.items())
    assert len(items) == 5
    with pytest.raises(ImageError, match="is damaged, and images may be missing from here on"):
        source.read(items[-1].place)


def test_a_compressed_tar_says_that_it_must_be_unpacked(tmp_path: Path):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz"):
        pass
    source = opened(tmp_path / "a.tar.gz")
    (item,) = source.items()
    with pytest.raises(ImageError, match=r"is compressed, .* unpack it to a \.tar"):
        source.read(item.place)


def test_a_member_too_large_for_an_image_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIGHTPOSE_MAX_PIXELS", "100")
    (tmp_path / "a.tar").write_bytes(tarred([("a.jpg", b"1" * 400), ("b.jpg", b"1" * 401)]))
    assert list(contents(opened(tmp_path / "a.tar")).values()) == [b"1" * 400, ImageTooLargeError]


def test_json_that_is_broken_or_deep_keeps_nothing_and_stops_nothing(tmp_path: Path):
    deep = b"[" * 100_000
    (tmp_path / "a.tar").write_bytes(tarred([("1.jpg", b"1"), ("1.json", deep), ("2.jpg", b"2"), ("2.json", b"\xff")]))
    assert [item.kept for item in opened(tmp_path / "a.tar", keep=("id",)).items()] == [{"id": None}] * 2


def test_a_field_that_is_no_text_is_kept_as_json(tmp_path: Path):
    fields = {"a": [1, "é"], "b": None, "c": True, "d": 1.5}
    (tmp_path / "a.tar").write_bytes(tarred([("1.jpg", b"1"), ("1.json", json.dumps(fields).encode())]))
    (item,) = opened(tmp_path / "a.tar", keep=("a", "b", "c", "d")).items()
    assert item.kept == {"a": '[1, "é"]', "b": None, "c": "true", "d": "1.5"}


def test_a_table_that_cannot_be_reached_for_a_moment_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rows = [random.Random(number).randbytes(400_000) for number in range(12)]
    parquet.write_table(pyarrow.table({"image": rows}), tmp_path / "t.parquet", use_dictionary=False)
    source = opened(tmp_path / "t.parquet")
    places = [item.place for item in source.items()]
    read_range, asked = Fetcher.read_range, iter([False, False, True])

    def sometimes(*given: Any) -> bytes:
        if next(asked, False):
            raise UnreachableError("503")
        return read_range(*given)

    monkeypatch.setattr(Fetcher, "read_range", sometimes)
    failures = 0
    found = []
    while len(found) < len(places):
        try:
            found.append(source.read(places[len(found)]))
        except UnreachableError:
            failures += 1
    assert (found, failures) == (rows, 1)


def test_a_table_that_is_named_twice_counts_once_and_results_are_no_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    for place in ("a.parquet", "spark.parquet/part-0.parquet", "rows/part-00000.parquet"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        parquet.write_table(pyarrow.table({"image": [b"x", b"y"]}), place)
    inputs = ["*.parquet", "a.parquet", "./a.parquet", str(tmp_path / "a.parquet"), "**/*.parquet"]
    source = open_source(inputs, SourceOptions("image", out="./rows"))
    assert [item.source for item in source.items()] == [
        "a.parquet#0", "a.parquet#1", "spark.parquet/part-0.parquet#0", "spark.parquet/part-0.parquet#1",
    ]  # fmt: skip


def test_the_second_name_of_an_image_in_a_tar_is_an_image_too(tmp_path: Path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "1.jpg").write_bytes(b"one")
    (folder / "2.jpg").hardlink_to(folder / "1.jpg")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name in ("1.jpg", "2.jpg"):
            tar.add(folder / name, name)
    with tarfile.open(tmp_path / "a.tar") as tar:
        assert tar.getmember("2.jpg").islnk()
    assert list(contents(opened(tmp_path / "a.tar")).values()) == [b"one", b"one"]
