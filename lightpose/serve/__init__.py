"""Keypoints over HTTP: the server behind `lightpose serve`, and its client."""

from __future__ import annotations

from importlib.util import find_spec

from lightpose.errors import MissingPackageError

__all__ = ["check_packages"]

_PACKAGES = {
    "fastapi": "fastapi",
    "uvicorn": "uvicorn",
    "websockets": "websockets",
    "prometheus_client": "prometheus-client",
    "python_multipart": "python-multipart",
}


def check_packages() -> None:
    """Raise MissingPackageError unless all that a server needs is installed."""
    for module, package in _PACKAGES.items():
        if find_spec(module) is None:
            raise MissingPackageError(package, "serve")
