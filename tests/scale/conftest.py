"""Fixtures of the object store."""

from tests.scale.s3 import bucket, flaky_proxy, moto_port

__all__ = ["bucket", "flaky_proxy", "moto_port"]
