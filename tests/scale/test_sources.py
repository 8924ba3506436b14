"""Images from buckets, addresses and lists."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lightpose.errors import ConfigError, ImageError, ImageMissingError, ImageTooLargeError, UnreachableError
from lightpose.scale.buckets import CredentialsError
from lightpose.scale.fetch import Fetcher, referred
from lightpose.scale.object_store import ObjectStore
from lightpose.scale.source import SourceOptions, open_source
from tests.scale.flaky import Rates
from tests.scale.s3 import Bucket
from tests.scale.site import Dripped

OPTIONS = SourceOptions(patience_s=1.0, tries=5)


def places(*inputs: str, options: SourceOptions = OPTIONS) -> list[str]:
    return [item.place for item in open_source(inputs, options).items()]


def test_the_images_of_a_bucket_come_in_order_and_by_their_addresses(bucket: Bucket):
    names = [
        "b.JPG",
        "a/2.png",
        "a/10.jpg",
        "a #?%20.jpg",
        "é.webp",
        "a/notes.txt",
        ".hidden/1.jpg",
        "_tmp/1.jpg",
        "z.jpg",
    ]
    for name in names:
        bucket.put(name, name.encode())
    source = open_source([bucket.where], OPTIONS)
    items = list(source.items())
    expected = sorted({"b.JPG", "a/2.png", "a/10.jpg", "a #?%20.jpg", "é.webp", "z.jpg"}, key=str.encode)
    assert (
        [item.source for item in items]
        == [item.place for item in items]
        == [f"{bucket.where}/{name}" for name in expected]
    )
    assert [source.read(item.place) for item in items] == [name.encode() for name in expected]


def test_a_stamp_changes_when_the_object_does(bucket: Bucket):
    bucket.put("a.jpg", b"1")
    (before,) = open_source([bucket.where], OPTIONS).items()
    assert [before] == list(open_source([bucket.where], OPTIONS).items())
    bucket.put("a.jpg", b"2")
    (after,) = open_source([bucket.where], OPTIONS).items()
    assert (after.place, after.stamp != before.stamp) == (before.place, True)


def test_an_address_names_a_folder_an_object_or_a_pattern(bucket: Bucket):
    for name in ("in/1.jpg", "in/2.png", "in/sub/3.jpg", "inside/4.jpg"):
        bucket.put(name, b"")

    def found(*inputs: str) -> list[str]:
        return [
            place.removeprefix(f"{bucket.where}/") for place in places(*(f"{bucket.where}/{each}" for each in inputs))
        ]

    assert found("in") == found("in/") == ["in/1.jpg", "in/2.png", "in/sub/3.jpg"]
    assert found("in/2.png") == ["in/2.png"]
    assert found("in/*.jpg") == ["in/1.jpg"]
    assert found("in/**/*.jpg") == ["in/1.jpg", "in/sub/3.jpg"]
    assert found("in*/[!1-3].jpg") == ["inside/4.jpg"]
    assert found("in", "in/sub", "inside") == ["in/1.jpg", "in/2.png", "in/sub/3.jpg", "inside/4.jpg"]
    with pytest.raises(ImageError, match=r"there is no image in s3://.*/none; a table is named by a pattern"):
        found("none")


@pytest.mark.slow
def test_a_listing_of_more_than_a_page_behind_the_faults_is_whole(bucket: Bucket):
    names = [f"{number:04}.jpg" for number in range(1010)]
    with ThreadPoolExecutor(8) as pool:
        addresses = list(pool.map(lambda name: bucket.put(name, b""), names))
    bucket.proxy.reset(seed=2, rates=Rates(fail=0.3, hang=0.1))
    assert places(bucket.where) == addresses
    assert ObjectStore(bucket.where).names() == names
    assert bucket.proxy.counts["fail"] > 0


def test_an_object_that_is_gone_is_final_and_a_store_that_fails_is_not(bucket: Bucket):
    source = open_source([bucket.where], OPTIONS)
    with pytest.raises(ImageMissingError, match="there is no s3://"):
        source.read(f"{bucket.where}/gone.jpg")
    bucket.put("a.jpg", b"1")
    for fault in ("fail", "hang"):
        bucket.proxy.next(fault)
        with pytest.raises(UnreachableError, match=r"cannot be read: .*try again when the store answers"):
            source.read(f"{bucket.where}/a.jpg")
    bucket.proxy.next_answer(403, b"<Error><Code>AccessDenied</Code></Error>")
    with pytest.raises(ImageError, match="these credentials may not"):
        source.read(f"{bucket.where}/a.jpg")
    assert source.read(f"{bucket.where}/a.jpg") == b"1"


def test_credentials_that_expire_end_the_run_and_are_no_fault_of_an_image(bucket: Bucket):
    bucket.proxy.next_answer(400, b"<Error><Code>ExpiredToken</Code></Error>")
    with pytest.raises(CredentialsError, match="have expired; renew them, then go on with --resume"):
        open_source([bucket.where], OPTIONS).read(f"{bucket.where}/a.jpg")


def test_an_object_too_large_for_an_image_is_not_fetched(bucket: Bucket, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIGHTPOSE_MAX_PIXELS", "100")
    at, above = bucket.put("a.jpg", b"1" * 400), bucket.put("b.jpg", b"1" * 401)
    fetcher = Fetcher()
    assert len(fetcher.read(at)) == 400
    with pytest.raises(ImageTooLargeError, match=r"b\.jpg has 401 bytes, more than the 400 that are read"):
        fetcher.read(above)


def test_names_that_obstore_cannot_tell_are_refused_with_a_sentence(bucket: Bucket):
    boto3 = pytest.importorskip("boto3")
    boto3.client("s3").put_object(Bucket=bucket.where.removeprefix("s3://"), Key="a//b.jpg", Body=b"")
    with pytest.raises(Exception, match="cannot be listed: its name, or one beside it, has an empty part"):
        places(bucket.where)
    with pytest.raises(ImageError, match=r"a\\nb\.jpg cannot be read: its name|control character"):
        Fetcher().read(f"{bucket.where}/a\nb.jpg")


def test_a_source_goes_to_another_process(bucket: Bucket):
    bucket.put("a.jpg", b"1")
    source = open_source([bucket.where], OPTIONS)
    source.read(f"{bucket.where}/a.jpg")
    assert pickle.loads(pickle.dumps(source)).read(f"{bucket.where}/a.jpg") == b"1"


def test_a_list_names_files_objects_and_addresses(
    monkeypatch: pytest.MonkeyPatch, bucket: Bucket, tmp_path: Path, site: tuple[str, dict]
):
    url, pages = site
    pages["/a.jpg?w=1"] = (200, {}, b"web")
    (tmp_path / "b c.jpg").write_bytes(b"file")
    monkeypatch.chdir(tmp_path)
    address = bucket.put("a.jpg", b"object")
    lines = [
        address,
        f"{url}/a.jpg?w=1",
        "b c.jpg",
        "",
        "b c.jpg",
        str(tmp_path / "none.jpg"),
        "ftp://a/b",
    ]
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    source = open_source([str(tmp_path / "list.txt")], OPTIONS)
    read = {}
    for item in source.items():
        try:
            read[item.source] = source.read(item.place)
        except ImageError as error:
            read[item.source] = type(error)
    assert read == {
        address: b"object",
        f"{url}/a.jpg?w=1": b"web",
        "b c.jpg": b"file",
        "b c.jpg#2": b"file",
        str(tmp_path / "none.jpg"): ImageMissingError,
        "ftp://a/b": ImageError,
    }
    assert list(read) == [item.source for item in open_source([str(tmp_path / "list.txt")], OPTIONS).items()]


def test_a_list_in_a_bucket_opens_no_file_of_this_computer(bucket: Bucket, tmp_path: Path):
    (tmp_path / "a.jpg").write_bytes(b"private")
    bucket.put("in/b.jpg", b"theirs")
    lines = [
        str(tmp_path / "a.jpg"),
        f"file://{tmp_path}/a.jpg",
        "../../a.jpg",
        "http://127.0.0.1/a.jpg",
        "b.jpg",
        "./b.jpg",
    ]
    source = open_source([bucket.put("in/list.txt", "\n".join(lines).encode())], OPTIONS)
    read = {}
    for item in source.items():
        try:
            read[item.source] = source.read(item.place)
        except ImageError as error:
            read[item.source] = str(error)
    assert {name for name, content in read.items() if content == b"theirs"} == {"b.jpg", "./b.jpg"}
    refused = [content for content in read.values() if content != b"theirs"]
    assert len(refused) == 4
    assert all("is outside the folder of" in text or "is no address that is read" in text for text in refused)


@pytest.mark.parametrize(
    ("text", "table", "place"),
    [
        ("a/b.jpg", "/data/t.parquet", "/data/a/b.jpg"),
        ("/else/b.jpg", "/data/t.parquet", "/else/b.jpg"),
        ("a/b.jpg", "s3://bucket/t/1.parquet", "s3://bucket/t/a/b.jpg"),
        ("a/../b.jpg", "s3://bucket/t/1.parquet", "s3://bucket/t/b.jpg"),
        ("gs://x/b.jpg", "s3://bucket/t/1.parquet", "gs://x/b.jpg"),
        ("https://x/b.jpg?a://b", "/data/t.parquet", "https://x/b.jpg?a://b"),
    ],
)
def test_a_relative_path_counts_from_the_tables_folder(text: str, table: str, place: str):
    assert referred(text, table) == place


def test_an_address_that_is_missing_is_final_and_a_server_that_fails_is_not(site: tuple[str, dict]):
    url, pages = site
    pages |= {f"/{status}": (status, {}, b"") for status in (403, 410, 408, 429, 500, 503)}
    pages["/short"] = (200, {"Content-Length": "9"}, b"1")
    fetcher, told = Fetcher(timeout_s=0.3), {}
    for page in (*pages, "/404"):
        with pytest.raises((ImageError, UnreachableError)) as caught:
            fetcher.read(url + page)
        told[page] = caught.type
    assert told == {
        "/403": ImageError, "/410": ImageMissingError, "/404": ImageMissingError, "/408": UnreachableError,
        "/429": UnreachableError, "/500": UnreachableError, "/503": UnreachableError, "/short": UnreachableError,
    }  # fmt: skip
    with pytest.raises(UnreachableError, match="does not answer"):
        fetcher.read("http://127.0.0.1:1/a.jpg")


def test_a_server_that_hangs_is_left_after_the_time(bucket: Bucket):
    bucket.proxy.next("hang")
    with pytest.raises(UnreachableError, match="does not answer"):
        Fetcher(timeout_s=0.2).read(f"{bucket.proxy.url}/a.jpg")


def test_an_answer_that_drips_is_left_after_the_time(site: tuple[str, dict]):
    url, pages = site
    pages["/a.jpg"] = (200, {}, Dripped(b"1" * 100))
    with pytest.raises(UnreachableError, match=r"did not come within 0\.2 seconds"):
        Fetcher(timeout_s=0.2).read(f"{url}/a.jpg")


def test_an_address_with_more_bytes_than_an_image_may_have_is_left(
    site: tuple[str, dict], monkeypatch: pytest.MonkeyPatch
):
    url, pages = site
    monkeypatch.setenv("LIGHTPOSE_MAX_PIXELS", "100")
    pages |= {"/at": (200, {}, b"1" * 400), "/above": (200, {}, b"1" * 401)}
    pages["/untold"] = (200, {"Transfer-Encoding": "chunked"}, b"191\r\n" + b"1" * 401 + b"\r\n0\r\n\r\n")
    assert len(Fetcher().read(f"{url}/at")) == 400
    for page in ("/above", "/untold"):
        with pytest.raises(ImageTooLargeError, match="more than the 400 bytes that are read"):
            Fetcher().read(url + page)


def test_redirections_are_followed_but_not_to_other_kinds_of_addresses(site: tuple[str, dict]):
    url, pages = site
    pages |= {
        "/a": (302, {"Location": "/b"}, b""), "/b": (301, {"Location": f"{url}/c"}, b""), "/c": (200, {}, b"1"),
        "/file": (302, {"Location": "file:///etc/hostname"}, b""), "/out": (302, {"Location": "http://10.0.0.1/"}, b""),
        "/circle": (302, {"Location": "/circle"}, b""),
    }  # fmt: skip
    assert Fetcher().read(f"{url}/a") == b"1"
    for page in ("/file", "/out"):
        with pytest.raises(ImageError, match=r"leads to .*, which is no https address"):
            Fetcher().read(url + page)
    with pytest.raises(ImageError, match="leads on and on, more than 5 times"):
        Fetcher().read(f"{url}/circle")


def test_an_address_with_a_password_is_refused():
    with pytest.raises(ImageError, match="leave the password out"):
        Fetcher().read("https://user:secret@localhost/a.jpg")


def test_parts_of_a_web_address_are_read_alone_where_the_server_can(site: tuple[str, dict]):
    url, pages = site
    pages |= {"/a": (200, {"ETag": "x"}, b"0123456789"), "/whole": (200, {"Accept-Ranges": "none"}, b"0123456789")}
    fetcher = Fetcher()
    assert fetcher.size_and_stamp(f"{url}/a") == (10, "10 x")
    assert fetcher.read_range(f"{url}/a", 3, 4) == b"3456"
    assert fetcher.read_range(f"{url}/a", 10, 4) == b""
    with pytest.raises(ImageError, match="this server gives no parts of files"):
        fetcher.read_range(f"{url}/whole", 3, 4)


def test_web_addresses_are_inputs_themselves(site: tuple[str, dict]):
    url, pages = site
    pages["/a"] = (200, {}, b"1")
    source = open_source([f"{url}/a", f"{url}/a", f"{url}/b"], OPTIONS)
    items = list(source.items())
    assert [item.source for item in items] == [f"{url}/a", f"{url}/b"]
    assert source.read(items[0].place) == b"1"


def test_inputs_of_two_kinds_are_refused():
    with pytest.raises(ConfigError, match=r"s3://a is a bucket and b\.tar is a tar; give them to a run of their own"):
        open_source(["s3://a", "b.tar"], OPTIONS)
