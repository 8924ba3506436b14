"""Who may ask, how much, and how slowly: a server with a token and short times."""

import socket
import time

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.serve.conftest import with_settings

pytestmark = pytest.mark.slow

TOKEN = "correct-horse-battery"
SHOWN = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def strict():
    short = {"head_s": 0.5, "body_s": 0.5, "write_s": 1.0, "idle_s": 1.0}
    with with_settings(token=TOKEN, allowed_hosts=["pose.example"], sessions=2, max_pixels=10**6, **short) as running:
        yield running


@pytest.fixture
def guarded(strict):
    with httpx.Client(base_url=strict.url, timeout=30) as client:
        yield client


def ask(server, *parts: bytes, wait_s: float = 0.0) -> bytes:
    """All that comes back for the parts of a request, sent with a wait between them, until the server cuts."""
    found = b""
    with socket.create_connection((server.host, server.port), timeout=20) as connection:
        try:
            for part in parts:
                connection.sendall(part)
                time.sleep(wait_s)
            while more := connection.recv(65536):
                found += more
        except (ConnectionResetError, BrokenPipeError):
            pass
    return found


def test_without_its_token_only_health_page_and_description_are_answered(guarded, photo):
    for path in ("/health/live", "/health/ready", "/", "/docs", "/openapi.json"):
        assert guarded.get(path).status_code == 200
    for headers in (
        {},
        {"authorization": "Bearer wrong-token"},
        {"authorization": TOKEN},
    ):
        answer = guarded.post("/v1/poses", content=photo, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert "Authorization: Bearer" in answer.json()["detail"]
        assert guarded.get("/metrics", headers=headers).status_code == 401
        assert guarded.get("/v1/models", headers=headers).status_code == 401
    assert guarded.post("/v1/poses", content=photo, headers=SHOWN).status_code == 200
    assert guarded.get("/metrics", headers=SHOWN).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200), ("localhost:8000", 200), ("[::1]:8000", 200), ("192.168.1.7", 200), ("pose.example", 200),
        ("evil.example", 403), ("localhost.evil.example", 403), ("", 403), ("127.0.0.1.evil.example", 403),
        ("pose.example@evil.example", 403), ("127.0.0.1/evil", 403), ("127.0.0.1:port", 403), ("[::1", 403),
    ],
)  # fmt: skip
def test_a_name_that_was_bound_to_this_address_is_refused(strict, host, status):
    answer = ask(strict, f"GET /health/live HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode())
    assert answer.startswith(f"HTTP/1.1 {status}".encode()), answer


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://{host}"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:1"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
    ],
)
def test_pages_of_other_sites_cannot_use_it(guarded, strict, photo, headers, status):
    told = {name: value.format(host=f"{strict.host}:{strict.port}") for name, value in headers.items()}
    answer = guarded.post("/v1/poses", content=photo, headers={**SHOWN, **told})
    assert answer.status_code == status
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_streams_are_checked_as_requests_are(strict):
    url = f"ws://{strict.host}:{strict.port}/v1/stream"

    def status(**more) -> int:
        try:
            with connect(url, **more):
                return 101
        except InvalidStatus as error:
            return error.response.status_code

    assert status() == 401
    assert status(additional_headers={"Authorization": "Bearer no"}) == 401
    assert status(subprotocols=["lightpose", "token.no"]) == 401
    assert status(additional_headers=SHOWN) == 101
    assert status(subprotocols=["lightpose", f"token.{TOKEN}"]) == 101
    assert status(additional_headers=SHOWN, origin="http://evil.example") == 403
    assert status(additional_headers=SHOWN, origin=f"http://{strict.host}:{strict.port}") == 101
    with connect(url, additional_headers=SHOWN) as opened:
        assert not opened.protocol.extensions  # no compression, which a small message could blow up


def test_no_more_streams_than_it_has_and_wrong_options(strict):
    url = f"ws://{strict.host}:{strict.port}/v1/stream"
    with connect(url, additional_headers=SHOWN), connect(url, additional_headers=SHOWN):
        with pytest.raises(InvalidStatus) as refused:
            connect(url, additional_headers=SHOWN)
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["retry-after"]
    for options in ("?smooth=much", "?x=1", "?track=false"):
        with pytest.raises(InvalidStatus) as refused:
            connect(url + options, additional_headers=SHOWN)
        assert refused.value.response.status_code == 422


def test_a_stream_without_frames_is_closed(strict):
    with connect(f"ws://{strict.host}:{strict.port}/v1/stream", additional_headers=SHOWN) as silent:
        with pytest.raises(ConnectionClosed):
            silent.recv(timeout=20)
        assert silent.close_code == 1001


def test_headers_that_do_not_end_and_silence_are_cut(strict):
    assert ask(strict) == b""
    assert ask(strict, *[b"G", b"E", b"T", b" "], wait_s=0.3) == b""
    whole = b"GET /health/live HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
    answered = ask(strict, whole, b"GET /hea", b"l", b"t", wait_s=0.3)  # the second request of a connection too
    assert answered.count(b"HTTP/1.1 200") == 1


def test_a_body_that_stops_or_drips_is_cut_with_a_sentence(strict):
    head = f"POST /v1/poses HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {TOKEN}\r\n".encode()
    stops = ask(strict, head + b"content-length: 1000\r\n\r\nabc")
    drips = ask(strict, head + b"content-length: 1000\r\n\r\n", *[b"a"] * 12, wait_s=0.1)
    for answer in (stops, drips):
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"too slowly" in answer
        assert b"connection: close" in answer


def test_an_answer_that_nobody_reads_is_cut(strict, photo):
    """Many large drawings are asked for on one connection, and none is read."""
    head = f"POST /v1/poses?draw=png HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {TOKEN}\r\n".encode()
    request = head + f"content-length: {len(photo)}\r\n\r\n".encode() + photo
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(30)
        connection.connect((strict.host, strict.port))
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            connection.sendall(request * 200)


def test_every_answer_has_the_headers_that_keep_other_sites_out(guarded):
    for path in ("/", "/docs", "/health/live", "/v1/models", "/nothing"):
        headers = guarded.get(path).headers
        assert "script-src 'self'" in headers["content-security-policy"]
        for unsafe in ("'unsafe-inline'", "'unsafe-eval'"):
            assert unsafe not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert "server" not in headers


def test_the_limit_of_pixels_is_the_servers(guarded):
    import numpy as np

    from lightpose.io.images import encode_image

    large = encode_image(np.zeros((1001, 1000, 3), np.uint8), ".png")
    answer = guarded.post("/v1/poses", content=large, headers=SHOWN)
    assert answer.status_code == 413
    assert "1,000,000 pixels" in answer.json()["detail"]


def test_hundreds_of_slow_clients_leave_room_for_others(strict, guarded, photo):
    head = f"POST /v1/poses HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {TOKEN}\r\n".encode()
    slow = [socket.create_connection((strict.host, strict.port), timeout=20) for _ in range(300)]
    try:
        for number, connection in enumerate(slow):
            connection.sendall(head[:20] if number % 2 else head + b"content-length: 9999\r\n\r\na")
        assert guarded.post("/v1/poses", content=photo, headers=SHOWN).status_code == 200
    finally:
        for connection in slow:
            connection.close()


def test_a_stream_that_pings_and_never_reads_is_cut_before_it_fills_the_memory(strict):
    key = b"MDAwMDAwMDAwMDAwMDAwMA=="
    head = (
        f"GET /v1/stream HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {TOKEN}\r\nupgrade: websocket\r\n"
        "connection: Upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: "
    )
    pings = (b"\x89\xfd" + bytes(4) + bytes(125)) * 2000
    sent, begun_s = 0, time.monotonic()
    with socket.create_connection((strict.host, strict.port), timeout=20) as connection:
        connection.sendall(head.encode() + key + b"\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 101")
        cut = False
        try:
            while time.monotonic() - begun_s < 15:
                connection.sendall(pings)
                sent += len(pings)
        except (ConnectionResetError, BrokenPipeError):
            cut = True
    assert cut
    assert sent < 60_000_000, "what lies in the buffers of two sockets and of one connection"
