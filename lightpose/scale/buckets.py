"""Addresses of objects, and obstore's handles on the buckets that they are in."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightpose.errors import ConfigError, MissingPackageError, StoreError, brief

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Handle

__all__ = [
    "BUCKETS",
    "Buckets",
    "CredentialsError",
    "ObjectAddress",
    "credentials_error",
    "is_bucket",
    "request_timeout_s",
]

BUCKETS = {
    "s3": "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION, or AWS_SKIP_SIGNATURE=true for public ones",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS to the file of a key",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
"""The kinds of object stores, and how each gets its credentials."""

TIMEOUT_SETTING = "LIGHTPOSE_REQUEST_TIMEOUT"
_TIMEOUT_S = 60.0
_LONGEST = timedelta(minutes=4)
"""Beyond this obstore should not repeat a request, whose signature is then too old."""
_EXPIRED = ("ExpiredToken", "TokenRefreshRequired", "RequestTimeTooSkewed", "RequestExpired")
_WRONG = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "AuthenticationFailed", "InvalidSecurity")
_MISSING = ("/latest/api/token", "/latest/meta-data", "/metadata/identity", "/computeMetadata", "token request",
            "Account must be specified", "ambient credentials", "Error getting credentials")  # fmt: skip
"""What the stores and obstore write in their errors, by what is wrong with the credentials."""


class CredentialsError(StoreError):
    """The credentials of a store are missing, wrong or have expired: nothing else in it can be read either."""


@dataclass(frozen=True)
class ObjectAddress:
    """An object in a bucket. key: as it is, not quoted as in a URL: "#", "?" and "%" stand for themselves.

    >>> ObjectAddress.of("s3://photos/2026/a #1.jpg").key
    '2026/a #1.jpg'
    """

    scheme: str
    bucket: str
    key: str

    @classmethod
    def of(cls, text: str) -> ObjectAddress:
        """The parts of an address. Raises ConfigError if it names no bucket of a known kind."""
        scheme, _, rest = text.partition("://")
        bucket, _, key = rest.partition("/")
        if scheme not in BUCKETS or not bucket:
            raise ConfigError(f"{text} is no address of a bucket; give one such as s3://BUCKET/FOLDER, gs:// or az://")
        return cls(scheme, bucket, key)

    @property
    def root(self) -> str:
        return f"{self.scheme}://{self.bucket}"


def is_bucket(text: str) -> bool:
    """Whether a text is the address of an object or a folder in a bucket."""
    return text.partition("://")[0] in BUCKETS and "://" in text


def request_timeout_s() -> float:
    """Seconds that one request may take: LIGHTPOSE_REQUEST_TIMEOUT, or 60. Raises ConfigError if it is no such."""
    given = os.environ.get(TIMEOUT_SETTING, "")
    try:
        seconds = float(given or _TIMEOUT_S)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 86400:
        raise ConfigError(f"{TIMEOUT_SETTING} must be a number of seconds above 0, not {given}")
    return seconds


@dataclass
class Buckets:
    """obstore's handles, one a bucket: opened at first use, and anew in each process that gets this object.

    timeout_s: for one request; 0 for the one that holds. retries: of a request that the store or the network fails.
    """

    timeout_s: float = 0.0
    retries: int = 6
    _handles: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return {"timeout_s": self.timeout_s, "retries": self.retries, "_handles": {}}

    def of(self, address: ObjectAddress) -> Handle:
        """The handle of an address's bucket. Raises StoreError if the credentials are not there."""
        if address.root not in self._handles:
            self._handles[address.root] = _opened(address, self.timeout_s or request_timeout_s(), self.retries)
        handle: Handle = self._handles[address.root]
        return handle


def _opened(address: ObjectAddress, timeout_s: float, tries: int) -> Handle:
    try:
        from obstore.store import from_url
    except ImportError as error:
        raise MissingPackageError("obstore", "scale") from error
    timeout = timedelta(seconds=timeout_s)
    retries: Any = {
        "max_retries": tries,
        "retry_timeout": min(2 * (tries + 1) * timeout, _LONGEST),
        "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=10), "base": 2},
    }
    client: Any = {"timeout": timeout, "connect_timeout": min(timeout, timedelta(seconds=10)), "allow_http": _http()}
    try:
        more: Any = _profile() if address.scheme == "s3" else {}
        return from_url(address.root, client_options=client, retry_config=retries, **more)
    except (_errors(), ValueError) as error:
        told = credentials_error(error, address)
        raise told or ConfigError(f"{address.root} cannot be opened: {brief(error)}") from error


def _errors() -> type[Exception]:
    from obstore.exceptions import BaseError

    return BaseError


def _http() -> bool:
    """Whether the user has named an endpoint without TLS, as servers on one's own network have."""
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT")
    return any(os.environ.get(name, "").startswith("http://") for name in names)


def _profile() -> dict[str, Callable[[], Any]]:
    """boto3's reader of profiles, for a user who has a file of them and no keys in the environment."""
    places = (os.environ.get("AWS_SHARED_CREDENTIALS_FILE"), os.environ.get("AWS_CONFIG_FILE"))
    files = [Path(place).expanduser() for place in (*places, "~/.aws/credentials", "~/.aws/config") if place]
    given = any(os.environ.get(name) for name in ("AWS_ACCESS_KEY_ID", "AWS_SKIP_SIGNATURE", "AWS_ROLE_ARN"))
    if given or not any(file.is_file() for file in files):
        return {}
    try:
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError:
        return {}  # the error for missing credentials tells of boto3
    return {"credential_provider": Boto3CredentialProvider()}


def credentials_error(error: Exception, address: ObjectAddress) -> CredentialsError | None:
    """What to do about an error of obstore, if it comes of the credentials."""
    from obstore.exceptions import UnauthenticatedError

    text, how = str(error), BUCKETS[address.scheme]
    if address.scheme == "s3":
        how += "; profiles of ~/.aws are read if boto3 is installed"
    if any(word in text for word in _EXPIRED):
        return CredentialsError(f"{address.root}: the credentials have expired; renew them, then go on with --resume")
    if isinstance(error, UnauthenticatedError) or any(word in text for word in _WRONG):
        return CredentialsError(f"{address.root} does not know these credentials: {how}")
    if any(word in text for word in _MISSING) or "get_credentials" in text:
        return CredentialsError(f"there are no credentials for {address.root}: {how}")
    return None
