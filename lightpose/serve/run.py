"""A server from its start to its end."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from lightpose.errors import ConfigError
from lightpose.inference.estimator import PoseEstimator
from lightpose.serve.app import make_app
from lightpose.serve.metrics import shared_folder
from lightpose.serve.service import Service
from lightpose.serve.settings import Settings
from lightpose.serve.supervisor import Supervisor
from lightpose.serve.wire import Server, configured
from lightpose.serve.worker import Plan

__all__ = ["serve", "serve_in_workers"]

_BACKLOG = 2048
_FILES = 16_384


def serve(estimator: PoseEstimator, settings: Settings, told: Callable[[str], None] = lambda _: None) -> None:
    """Answer requests until SIGTERM or Ctrl-C, in this process; requests in work are answered first.

    told: called with the address once requests can come. Raises ConfigError if the host and port cannot be had,
    LightposeError if the network cannot be run.
    """
    service = Service(estimator, settings)
    with _listening(settings.host, settings.port) as listener:
        _raise_limit()
        Server(configured(make_app(service), service), service, lambda: told(_address(listener))).run([listener])
    if service.batcher.failure is not None:
        raise service.batcher.failure


def serve_in_workers(
    make: Callable[[], PoseEstimator], settings: Settings, told: Callable[[str, tuple[str, ...]], None]
) -> None:
    """The same in `settings.workers` processes, which share the port. One that dies is started again.

    make: makes the estimator of each; it can be pickled. told: called with the address, and what the runtime notes.
    Raises as `serve` does, and LightposeError if workers die again and again.
    """
    with _listening(settings.host, settings.port) as listener, shared_folder() as folder:
        _raise_limit()
        Supervisor(Plan(make, settings, folder), listener, partial(told, _address(listener))).run()


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _listening(host: str, port: int) -> socket.socket:
    """A socket that takes connections. Raises ConfigError if there can be none."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"--host {host} is no address of this computer; 127.0.0.1 is one") from error
    try:
        with suppress(AttributeError):  # elsewhere it would let two servers have one port
            listener.setsockopt(socket.SOL_SOCKET, _reuse(), 1)
        listener.bind(place)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(f"port {port} is in use; choose another with --port, or 0 for a free one") from error
        raise ConfigError(f"cannot listen on {host}, port {port}: {error.strerror or error}") from error
    return listener


def _reuse() -> int:
    """The option by which a port can be had again at once after its server has ended, on POSIX."""
    import os

    if os.name != "posix":
        raise AttributeError
    return socket.SO_REUSEADDR


def _raise_limit() -> None:
    """Let the process have as many connections as the system lets it: often 1024 files are the limit at first."""
    try:
        import resource
    except ImportError:  # on Windows there is none
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
