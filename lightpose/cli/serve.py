"""`lightpose serve`: keypoints over HTTP."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

from tyro.conf import arg

from lightpose.cli.marks import ReadsNamed
from lightpose.weights import DEFAULT

__all__ = ["Serve"]

TOKEN = "LIGHTPOSE_TOKEN"
"""The environment variable with the token, which other users cannot read off the list of processes."""


@dataclass(frozen=True)
class Serve:
    """Answer requests for keypoints over HTTP, and show a page to try it.

    Nothing of a request is logged or written. Ctrl-C or SIGTERM ends it once the requests in work are answered.
    Example: lightpose serve
    Example: curl --data-binary @photo.jpg http://127.0.0.1:8000/v1/poses
    """

    host: str = "127.0.0.1"
    """Address to listen on; by default, only this computer can reach it. 0.0.0.0 is all."""
    port: int = 8000
    """Port to listen on; 0 takes a free one."""
    model: ReadsNamed = DEFAULT
    """As for lightpose predict: bundled or kept weights by name, or a file."""
    detector: ReadsNamed | None = None
    """As for lightpose predict: builtin, whole, or an .onnx detector."""
    engine: Literal["auto", "onnxruntime", "openvino", "torch"] = "auto"
    """What runs the network, as for lightpose predict."""
    precision: Literal["auto", "float32", "bf16", "int8"] = "auto"
    """As for lightpose predict."""
    device: Annotated[str, arg(metavar="NAME")] = "cpu"
    """As for lightpose predict: where the networks run."""
    threads: int = 0
    """Threads of the engine; 0 is one on each physical core that the process, or its container, may use. Workers share
    them."""
    workers: int = 1
    """Processes that share the port, each with its own network, queue and streams. One that dies is started again."""
    flip: bool = False
    """Average with the mirrored crop in all requests; without it, those that ask for it."""
    max_upload: Annotated[str, arg(metavar="BYTES")] = "20MB"
    """Refuse requests with more bytes, before any of them is looked at."""
    max_pixels: Annotated[str, arg(metavar="PIXELS")] = "50M"
    """Refuse larger images before they are decoded."""
    queue: int = 64
    """Images that may wait or be in work; more are refused with status 503."""
    max_wait: Annotated[float, arg(metavar="MILLISECONDS")] = 5.0
    """How long an image may wait for others while many come; one alone never waits."""
    timeout: Annotated[float, arg(metavar="SECONDS")] = 30.0
    """Give a request up after this time."""
    token: str | None = None
    """What clients must show, in the header Authorization: Bearer TOKEN. Or set the environment variable
    LIGHTPOSE_TOKEN, which no list of processes shows."""
    open: bool = False
    """Let others reach the server without a token."""
    allow_host: Annotated[str, arg(metavar="NAME,NAME")] = ""
    """Names that clients call the server by, beside localhost and its address in numbers."""
    page: bool = True
    """Show a page at /."""

    def run(self) -> int:
        """0 once it was asked to end."""
        from lightpose.errors import ConfigError
        from lightpose.serve import check_packages
        from lightpose.serve.settings import Settings, read_amount

        settings = Settings(
            host=self.host,
            port=self.port,
            max_upload=read_amount(self.max_upload, "--max-upload"),
            max_pixels=read_amount(self.max_pixels, "--max-pixels"),
            queue=self.queue,
            max_wait_ms=self.max_wait,
            workers=self.workers,
            timeout_s=self.timeout,
            token=self.token or os.environ.get(TOKEN) or None,
            open_to_all=self.open,
            allowed_hosts=tuple(name.strip() for name in self.allow_host.split(",") if name.strip()),
            page=self.page,
        )
        if self.detector is not None and self.detector.lower().endswith(".json"):
            raise ConfigError(
                "a file of boxes goes by names of images, and those of requests have none; take a detector"
            )
        check_packages()
        from lightpose.inference.estimator import PoseEstimator
        from lightpose.runtime import notes_of
        from lightpose.serve.run import serve, serve_in_workers
        from lightpose.serve.supervisor import share_of_threads

        make = partial(
            PoseEstimator,
            self.model,
            self.detector,
            flip=self.flip,
            threads=self.threads if self.workers == 1 else share_of_threads(self.threads, self.workers),
            engine=self.engine,
            precision=self.precision,
            device=self.device,
        )
        if self.workers > 1:
            serve_in_workers(make, settings, _tell)
            return 0
        estimator = make()
        serve(estimator, settings, lambda address: _tell(address, notes_of(estimator.runtime)))
        return 0


def _tell(address: str, notes: tuple[str, ...]) -> None:
    """Say what is assumed of the network, and where the server is."""
    for note in notes:
        print(f"lightpose: {note}", file=sys.stderr)
    print(f"lightpose serves at {address}", flush=True)
