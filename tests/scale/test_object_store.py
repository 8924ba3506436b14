"""Results in a bucket of a real S3 server, behind a proxy that fails, hangs and lies."""

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from lightpose.errors import ConfigError, StoreError
from lightpose.scale.buckets import Buckets, CredentialsError, ObjectAddress
from lightpose.scale.object_store import ObjectStore
from tests.scale.flaky import Rates
from tests.scale.s3 import Bucket


@pytest.fixture
def store(bucket: Bucket) -> ObjectStore:
    return ObjectStore(f"{bucket.where}/out")


def test_what_is_put_is_read_in_the_folder_of_the_address(store: ObjectStore, bucket: Bucket):
    store.put("a #1?.json", b"1")
    store.put("a #1?.json", b"2")
    assert store.read("a #1?.json") == bucket.get("out/a #1?.json") == b"2"


@pytest.mark.parametrize(("count", "end"), [(1, b"3"), (3, b"123"), (9, b"123")])
def test_the_end_of_an_object_is_read_alone(store: ObjectStore, count: int, end: bytes):
    store.put("a", b"123")
    assert store.read_end("a", count) == end


def test_the_first_put_once_wins_and_leaves_its_bytes(store: ObjectStore):
    assert store.put_once("part", b"first")
    assert not store.put_once("part", b"second")
    assert not store.put_once("part", b"first"), "the same bytes from another writer are another's too"
    assert store.read("part") == b"first"


def test_names_are_those_with_the_prefix_and_no_others(store: ObjectStore, bucket: Bucket):
    for name in ("part-2", "part-10", "_manifest/a", "_report.json"):
        store.put(name, b"")
    bucket.put("out2/part-3", b"")
    bucket.put("outpart-4", b"")
    assert store.names() == ["_manifest/a", "_report.json", "part-10", "part-2"]
    assert store.names("part-") == ["part-10", "part-2"]
    assert store.names("_manifest/") == ["_manifest/a"]
    assert store.names("nothing") == ObjectStore(f"{bucket.where}/elsewhere").names() == []


def test_a_deleted_object_is_gone_and_may_be_deleted_again(store: ObjectStore):
    store.put("a", b"")
    store.delete("a")
    store.delete("a")
    assert store.names() == []


def test_what_is_not_there_is_told_in_one_sentence(store: ObjectStore):
    with pytest.raises(StoreError, match=r"there is no s3://.*/out/none"):
        store.read("none")
    with pytest.raises(StoreError, match="there is no bucket s3://no-such-bucket; make it first"):
        ObjectStore("s3://no-such-bucket/out").put("a", b"")


@pytest.mark.parametrize("act", ["put_once", "put", "read", "names", "delete"])
@pytest.mark.parametrize("fault", ["fail", "hang"])
def test_a_request_that_fails_or_hangs_is_given_again(store: ObjectStore, bucket: Bucket, act: str, fault: str):
    if act not in ("put_once",):
        store.put("a", b"1")
    bucket.proxy.next(fault)
    more = (b"1",) if act.startswith("put") else ()
    result = getattr(store, act)("a", *more)
    assert bucket.proxy.counts[fault] == 1
    assert result == {"put_once": True, "read": b"1", "names": ["a"]}.get(act)


@pytest.mark.parametrize("faults", [("lie",), ("lie", "fail"), ("lie", "hang"), ("lie", "fail", "fail", "hang")])
def test_a_put_that_was_carried_out_and_told_as_an_error_is_known_as_ones_own(
    store: ObjectStore, bucket: Bucket, faults: tuple[str, ...]
):
    bucket.proxy.next(*faults)
    assert store.put_once("part", b"mine")
    assert bucket.proxy.counts["lie"] == 1
    assert bucket.get("out/part") == b"mine"


def test_a_put_that_fails_while_another_wins_has_lost(store: ObjectStore, bucket: Bucket):
    store.put_once("part", b"theirs")
    bucket.proxy.next("fail", "hang", "pass", "fail")
    assert not store.put_once("part", b"mine")
    assert store.read("part") == b"theirs"


def test_an_object_without_a_token_is_ones_own_by_its_bytes(store: ObjectStore, bucket: Bucket):
    bucket.put("out/part", b"mine")
    assert store.put_once("part", b"mine")
    assert not store.put_once("part", b"other")


@pytest.mark.slow
def test_of_many_writers_at_once_behind_the_faults_exactly_one_wins_each_name(store: ObjectStore, bucket: Bucket):
    bucket.proxy.reset(seed=5, rates=Rates(fail=0.05, hang=0.02, lie=0.05))
    tasks = [(f"part-{number:03}", b"%d by %d" % (number, writer)) for number in range(60) for writer in range(3)]
    with ThreadPoolExecutor(12) as pool:
        won = [
            task for task, mine in zip(tasks, pool.map(lambda task: store.put_once(*task), tasks), strict=True) if mine
        ]
    assert len(won) == len(dict(won)) == 60
    assert min(bucket.proxy.counts[act] for act in ("fail", "hang", "lie")) > 0
    bucket.proxy.reset()
    assert dict(won) == {name: store.read(name) for name in store.names()}


def test_a_store_that_stays_away_is_told_in_one_sentence(store: ObjectStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("LIGHTPOSE_REQUEST_TIMEOUT", "0.05")
    with pytest.raises(StoreError, match=r"/out/a cannot be written: .*; try again when the store answers"):
        store.put_once("a", b"")


def test_missing_credentials_say_what_to_set(bucket: Bucket, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("LIGHTPOSE_REQUEST_TIMEOUT", "0.05")
    with pytest.raises(CredentialsError, match=r"no credentials for s3://.*AWS_ACCESS_KEY_ID, .*~/\.aws .*boto3"):
        ObjectStore(bucket.where).names()


def test_keys_of_a_profile_are_read_by_boto3(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path):
    pytest.importorskip("boto3")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id = key\naws_secret_access_key = secret\n"
    )
    ObjectStore(bucket.where).put("a", b"1")
    assert bucket.proxy.counts["PUT"] == 2, "the bucket's own and this one"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"<Error><Code>ExpiredToken</Code></Error>", "the credentials have expired; renew them, then go on"),
        (b"<Error><Code>InvalidAccessKeyId</Code></Error>", "does not know these credentials: set AWS_ACCESS_KEY_ID"),
    ],
)
def test_credentials_that_expire_or_are_wrong_are_told_apart(bucket: Bucket, answer: bytes, told: str):
    bucket.proxy.next_answer(400, answer)
    with pytest.raises(CredentialsError, match=told):
        ObjectStore(bucket.where).put_once("a", b"1")


def test_a_forbidden_object_is_no_matter_of_trying_again(bucket: Bucket):
    bucket.proxy.next_answer(403, b"<Error><Code>AccessDenied</Code></Error>")
    with pytest.raises(StoreError, match="these credentials may not; ask who owns s3://"):
        ObjectStore(bucket.where).read("a")
    assert bucket.proxy.counts["GET"] == 1


def test_a_store_goes_to_another_process_as_its_address(store: ObjectStore):
    store.put("a", b"1")
    content = pickle.dumps(store)
    code = "import pickle, sys; print(pickle.loads(sys.stdin.buffer.read()).read('a'))"
    done = subprocess.run([sys.executable, "-c", code], input=content, capture_output=True, check=True)
    assert done.stdout.strip() == b"b'1'"
    assert pickle.loads(content) == store


@pytest.mark.parametrize("where", ["s3://", "s3:///out", "out", "https://a/b", "ftp://a/b"])
def test_an_address_of_no_bucket_is_refused(where: str):
    with pytest.raises(ConfigError, match="is no address of a bucket; give one such as s3://BUCKET/FOLDER"):
        ObjectStore(where)


def test_a_time_that_is_no_number_is_refused(store: ObjectStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIGHTPOSE_REQUEST_TIMEOUT", "long")
    with pytest.raises(ConfigError, match="LIGHTPOSE_REQUEST_TIMEOUT must be a number of seconds above 0, not long"):
        store.read("a")


def test_azure_without_an_account_says_what_to_set(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(CredentialsError, match="no credentials for az://photos: set AZURE_STORAGE_ACCOUNT_NAME"):
        Buckets().of(ObjectAddress.of("az://photos/a"))
