"""Fixtures of the object store and of a web server."""

from tests.scale.s3 import bucket, flaky_proxy, moto_port
from tests.scale.site import site

__all__ = ["bucket", "flaky_proxy", "moto_port", "site"]
