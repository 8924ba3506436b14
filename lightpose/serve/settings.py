"""What a server may be asked, by whom, and how much of it at a time."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from lightpose.errors import ConfigError
from lightpose.limits import check_range

__all__ = ["Settings", "read_amount"]

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
_TOKEN = re.compile(r"[A-Za-z0-9._~-]{8,256}")


def read_amount(text: str, name: str) -> int:
    """A number of bytes or pixels such as 20MB, 50M or 4096. Raises ConfigError if it is none."""
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,9})?)\s*([KMG]?)B?", text.strip(), re.IGNORECASE)
    amount = int(float(found[1]) * _UNITS[found[2].upper()]) if found else 0
    if amount < 1:
        raise ConfigError(f"{name} must be an amount such as 20MB, 50M or 4096, not {text!r}")
    return amount


@dataclass(frozen=True)
class Settings:
    """How a server listens, and its limits.

    max_upload: bytes of a request. max_pixels: of an image or frame. queue: images that are decoded, wait or are in
    work. max_wait_ms: how long an image waits for others, at most, while many come. workers: processes that share the
    port; queue, sessions and clips are those of each. token: what clients must show.
    open_to_all: whether a server that others can reach may do without one. page: whether there is a page at /.
    allowed_hosts: names by which clients may call it, beside localhost and addresses in numbers. timeout_s: until a
    request is answered, once it has been read. sessions, clips: streams and clips at a time.

    head_s: until the headers of a request are there. body_s: until a body that comes slower than 50 kB a second is cut.
    write_s: for how long nobody may read an answer. idle_s: until a stream without frames ends. clip_s: until a clip
    must be done. drain_s: from SIGTERM until no connection is taken any more.
    Raises ConfigError if a value is out of range, or if others could reach a server without a token.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    max_upload: int = 20_000_000
    max_pixels: int = 50_000_000
    queue: int = 64
    max_wait_ms: float = 5.0
    workers: int = 1
    token: str | None = None
    open_to_all: bool = False
    page: bool = True
    allowed_hosts: tuple[str, ...] = ()
    timeout_s: float = 30.0
    sessions: int = 64
    clips: int = 2
    head_s: float = 10.0
    body_s: float = 10.0
    write_s: float = 20.0
    idle_s: float = 60.0
    clip_s: float = 600.0
    drain_s: float = 1.0

    def __post_init__(self) -> None:
        check_range("port", self.port, 0, 65535)
        check_range("max_upload", self.max_upload, 1, 2**40)
        check_range("max_pixels", self.max_pixels, 1, 2**31)
        check_range("queue", self.queue, 1, 100_000)
        check_range("max_wait_ms", self.max_wait_ms, 0, 1000)
        check_range("workers", self.workers, 1, 256)
        check_range("timeout_s", self.timeout_s, 0.001, 86_400)
        for name in ("sessions", "clips"):
            check_range(name, getattr(self, name), 0, 100_000)
        for name in ("head_s", "body_s", "write_s", "idle_s", "clip_s", "drain_s"):
            check_range(name, getattr(self, name), 0.01, 86_400)
        if self.token is not None and not _TOKEN.fullmatch(self.token):
            raise ConfigError(
                "a token has 8 to 256 letters, digits and . _ ~ -; take, for example, openssl rand -hex 16"
            )
        if self.token is None and not self.open_to_all and not _is_loopback(self.host):
            raise ConfigError(
                f"others can reach {self.host}: give a --token that they must show, or --open to answer everybody"
            )


def _is_loopback(host: str) -> bool:
    """Whether only this computer reaches a host; a name other than localhost may be anywhere."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
