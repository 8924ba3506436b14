"""`Client`: poses from a server of `lightpose serve`, in the types of this package."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from lightpose.errors import MissingPackageError, ServiceError
from lightpose.inference.rows import read_row
from lightpose.io.images import encode_image
from lightpose.results import Boxes, Poses
from lightpose.skeletons import Skeleton
from lightpose.types import ImageArray

if TYPE_CHECKING:
    import httpx

__all__ = ["Client"]

_TRIES = 5


class Client:
    """Asks a server for poses.

        with Client("http://127.0.0.1:8000") as client:
            poses = client.predict("photo.jpg")

    url: where the server is. token: what it wants to be shown, if it does. timeout_s: how long an answer may take. A
    server that has no room is asked again, a few times. Every call raises ServiceError with the server's own sentence
    if it refuses, or if it cannot be reached; MissingPackageError if httpx is not installed.
    """

    def __init__(self, url: str = "http://127.0.0.1:8000", token: str | None = None, timeout_s: float = 60.0) -> None:
        try:
            import httpx
        except ImportError as error:
            raise MissingPackageError("httpx", "serve") from error
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._errors = (httpx.HTTPError, httpx.InvalidURL)
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout_s)
        self._known: Skeleton | None = None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def predict(
        self, image: str | Path | bytes | ImageArray, boxes: Boxes | ArrayLike | None = None, **options: Any
    ) -> Poses:
        """Find the poses in an image, as `PoseEstimator.predict` does; points are rounded to 1/100 pixel.

        image: a path, the bytes of an image file, or an RGB array (H, W, 3). boxes: (N, 4) left, top, width, height.
        options: flip, threshold and max_people, as docs/serve.md has them.
        """
        if boxes is not None:
            xywh = boxes.xywh if isinstance(boxes, Boxes) else np.asarray(boxes, np.float64).reshape(-1, 4)
            options["boxes"] = json.dumps(xywh.tolist())
        answer = self._call("POST", "/v1/poses", content=_bytes_of(image), params=_plain(options))
        return read_row({**answer.json(), "image": _name_of(image)}, self._skeleton())

    def predict_many(self, images: Sequence[str | Path | bytes | ImageArray], **options: Any) -> list[Poses]:
        """Find the poses in up to 64 images. Raises ServiceError if one of them cannot be used."""
        files = [("image", (_name_of(image) or f"{n}", _bytes_of(image))) for n, image in enumerate(images)]
        results = self._call("POST", "/v1/poses/batch", files=files, params=_plain(options)).json()["results"]
        for result in results:
            if result["status"] != 200:
                raise ServiceError(f"{result['name']}: {result['problem']['detail']}", result["status"])
        return [read_row(result["poses"], self._skeleton()) for result in results]

    def stream(self, clip: str | Path | bytes, **options: Any) -> Iterator[Poses]:
        """Yield the poses of each frame of a video file, as the server gets to it.

        options: flip, threshold, max_people, track and smooth.
        """
        content, skeleton = Path(clip).read_bytes() if isinstance(clip, str | Path) else clip, self._skeleton()
        with self._told(), self._http.stream("POST", "/v1/videos", content=content, params=_plain(options)) as answer:
            if answer.status_code != 200:
                answer.read()
                raise _refused(answer)
            for line in answer.iter_lines():
                row = json.loads(line)
                if "problem" in row:
                    raise ServiceError(row["problem"]["detail"], row["problem"]["status"])
                yield read_row(row, skeleton)

    def models(self) -> dict[str, Any]:
        """What the server says of its network and detector."""
        answer: dict[str, Any] = self._call("GET", "/v1/models").json()
        return answer

    def _skeleton(self) -> Skeleton:
        if self._known is None:
            given = self.models()["pose"]["skeleton"]
            limbs = tuple((first, second) for first, second in given["limbs"])
            self._known = Skeleton(given["name"], tuple(given["joints"]), limbs, tuple(given["sigmas"]))
        return self._known

    def _call(self, method: str, path: str, **more: Any) -> httpx.Response:
        """The answer to a request, which is made again while the server has no room."""
        for left in reversed(range(_TRIES)):
            with self._told():
                answer = self._http.request(method, path, **more)
            if answer.status_code == 200:
                return answer
            if answer.status_code != 503 or not left:
                break
            wait = answer.headers.get("retry-after", "1")
            time.sleep(min(int(wait) if wait.isdigit() else 1, 10))
        raise _refused(answer)

    def _told(self) -> _Told:
        return _Told(self._errors, str(self._http.base_url))


class _Told:
    """Turns what httpx raises into ServiceError."""

    def __init__(self, kinds: tuple[type[Exception], ...], url: str) -> None:
        self._kinds, self._url = kinds, url

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, self._kinds):
            why = str(error).partition("\n")[0] or type(error).__name__
            raise ServiceError(f"{self._url} does not answer ({why}); start it with lightpose serve") from error


def _refused(answer: httpx.Response) -> ServiceError:
    try:
        detail = str(answer.json()["detail"])
    except (ValueError, LookupError, TypeError):
        detail = f"{answer.url.host} is no server of lightpose: it answers with status {answer.status_code}"
    return ServiceError(detail, answer.status_code)


def _bytes_of(image: str | Path | bytes | ImageArray) -> bytes:
    """The bytes of an image file; of an array as PNG, which loses nothing."""
    if isinstance(image, np.ndarray):
        return encode_image(image, ".png")
    return Path(image).read_bytes() if isinstance(image, str | Path) else bytes(image)


def _name_of(image: object) -> str:
    return Path(image).name if isinstance(image, str | Path) else ""


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
