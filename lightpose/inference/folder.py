"""From image files to result files: the work of the command `lightpose predict`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightpose.errors import LightposeError
from lightpose.inference.estimator import PoseEstimator
from lightpose.inference.resume import KEYPOINTS, PARTIAL, POSES, ResultFiles
from lightpose.inference.sinks import Drawings, Sink, drawing_name
from lightpose.io.files import check_place, clear_asides, finish_replacing
from lightpose.io.places import Place, alone_in, check_apart, with_bin
from lightpose.io.prefetch import behind
from lightpose.io.sources import HELD_BYTES, ImageFile, read_frames
from lightpose.results import Poses
from lightpose.types import Frame
from lightpose.weights import file_sha256

__all__ = ["FolderResults", "checksums", "describe_run", "predict_images"]

LOCK = ".lightpose.lock"
_LARGEST_NUMBER = 2**53


@dataclass
class FolderResults:
    """What a run found. about: model, detector and settings, as in poses.json. nobody: the names of images without
    people.

    failed: path and reason of each image that could not be used, in order. resumed: the number of images that an
    interrupted run had already done; they count in `images` too.
    """

    about: dict[str, Any]
    images: int = 0
    people: int = 0
    resumed: int = 0
    nobody: list[str] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)


def predict_images(
    files: Sequence[ImageFile],
    estimator: PoseEstimator,
    out: Path,
    draw: bool = True,
    restart: bool = False,
    progress: Callable[[int], None] = lambda _: None,
    sinks: Sequence[Sink] = (),
) -> FolderResults:
    """Find the poses in images, and write keypoints.json, poses.json and the drawn images.

    Results are appended as they come. The same call continues a killed run; `restart` begins anew. progress: called
    with the number of images done. sinks: further sinks; a continued run gives them only the images not done yet.
    The results list each image that cannot be used. If no image can be used, nothing is written.

    One thread reads the next images while the network runs, and another draws the last ones. Each holds at most a batch
    of images and `HELD_BYTES`. Raises ConfigError if an output is a link, or an image, the weights or the
    boxes; if another run is writing to `out`; or if `out` holds part of a run with other settings.
    """
    _check_outputs(files, estimator, out, draw)
    with _alone_in(out):
        finish_replacing(out / KEYPOINTS, out / POSES)
        about = describe_run(estimator)
        names = [file.name.as_posix() for file in files]
        numbers = dict(zip(names, _image_ids(files, estimator), strict=True))
        stamps = dict(zip(names, (file.stamp() for file in files), strict=True))
        for place in {(out / name).parent for name in names}:
            clear_asides(place)
        results = ResultFiles(
            out, {**about, **checksums(estimator), "draw": draw, "images": names}, numbers, stamps, restart
        )
        run = _Run(files, estimator, results, [*([Drawings(out)] if draw else []), *sinks], progress)
        try:
            run.finish_all()
        except BaseException:
            results.leave()
            raise
        failed = [(files[number].path, reason) for number, reason in sorted(run.failed.items())]
        found = FolderResults(about, len(results), results.people, run.resumed, results.nobody, failed)
        if found.images:
            results.close(about, {str(path): reason for path, reason in failed})
        else:
            results.discard()
        return found


class _Run:
    """The images that are still to be done: read ahead, through the stream, and written behind it."""

    def __init__(
        self,
        files: Sequence[ImageFile],
        estimator: PoseEstimator,
        results: ResultFiles,
        sinks: Sequence[Sink],
        progress: Callable[[int], None],
    ) -> None:
        self._files, self._estimator, self._results = files, estimator, results
        self._sinks, self._progress = sinks, progress
        self.failed: dict[int, str] = {}
        self.resumed = self._done = len(results)

    def finish_all(self) -> None:
        """Do them all, in order."""
        left = [(n, file) for n, file in enumerate(self._files) if file.name.as_posix() not in self._results]
        self._tell()
        count = self._estimator.options.batch  # so that one batch is read, and one drawn, while another is run
        with closing(read_frames(left, count, self._fail)) as frames:
            found = self._estimator.stream(frames, lambda frame, error: self._fail(frame.index, error))
            with closing(behind(self._write, found, count, HELD_BYTES, _held)) as written:
                for _ in written:
                    self._done += 1
                    self._tell()
        for sink in self._sinks:
            sink.close()

    def _write(self, found: tuple[Frame, Poses]) -> None:
        """Write to the results last, so that every image in the results has reached all sinks."""
        for sink in self._sinks:
            sink.write(*found)
        self._results.write(*found)

    def _fail(self, number: int, error: LightposeError) -> None:
        self.failed[number] = str(error)
        self._tell()

    def _tell(self) -> None:
        self._progress(self._done + len(self.failed))


def _held(found: tuple[Frame, Poses]) -> int:
    """Bytes of a frame's pixels."""
    return found[0].image.nbytes


@contextmanager
def _alone_in(out: Path) -> Iterator[None]:
    """Keep other runs out of the folder. It is made if need be, and removed if it stays empty."""
    made = not out.exists()
    try:
        with alone_in(out, LOCK, "--out"):
            yield
    finally:
        if made and [path.name for path in out.iterdir()] == [LOCK]:
            (out / LOCK).unlink()
            out.rmdir()


def _check_outputs(files: Sequence[ImageFile], estimator: PoseEstimator, out: Path, draw: bool) -> None:
    """Raise ConfigError if what is to be written would overwrite a file that is read, or is no place for a file."""
    reads = [Place("", file.path) for file in files if file.content is None]
    for path in (estimator.path, estimator.detector.path):
        reads += [] if path is None else with_bin(Place("", path))
    drawn = [Place("the drawn image", out / drawing_name(file.name)) for file in files if draw]
    fixed = [Place("the result", out / name) for name in (KEYPOINTS, POSES, PARTIAL, LOCK)]
    check_apart(reads, [*fixed, *drawn])
    check_apart(reads, [Place(name, path.with_name(f"{path.name}.png")) for name, path in drawn])  # of too large ones
    for place in (*fixed, *drawn):
        if os.path.lexists(place.path):
            check_place(place.path)


def describe_run(estimator: PoseEstimator) -> dict[str, Any]:
    """What a reader of poses.json must know to judge its figures."""
    spec, options = estimator.runtime.spec, estimator.options
    crops = spec.family != "people"
    return {
        "model": spec.model,
        "engine": estimator.runtime.name,
        "precision": estimator.runtime.precision,
        "boxes": estimator.detector.name,
        "box_threshold": estimator.detector_threshold,
        "min_person_score": estimator.min_person_score,
        "padding": options.crop_padding(spec) if crops else None,
        "decoder": options.decoder or spec.decoder if crops else None,
        "flip": options.flip,
        "joints": list(spec.skeleton.joints),
    }


def checksums(estimator: PoseEstimator) -> dict[str, Any]:
    """The checksums of the network and the boxes or detector, and β: the results depend on these too."""
    boxes, spec = estimator.detector.path, estimator.runtime.spec
    return {
        "model_sha256": file_sha256(estimator.path),
        "boxes_sha256": None if boxes is None else file_sha256(boxes),
        "beta": estimator.options.decoding(spec).beta,
    }


def _image_ids(files: Sequence[ImageFile], estimator: PoseEstimator) -> list[int]:
    """A number for each image: the box file's or the one it is named by, if all have different ones, else 1, 2…

    Names that are longer numbers than JSON readers keep exactly, such as time stamps, count as none.
    """
    most = float("inf") if estimator.detector.given else _LARGEST_NUMBER
    whole = [number for number, file in enumerate(files, start=1) if not file.fault]
    named = [(number, estimator.detector.image_id(files[number - 1].path.absolute())) for number in whole]
    numbers = {number: found for number, found in named if found is not None and found <= most}
    if len(set(numbers.values())) < len(whole):
        numbers = {number: number for number in whole}
    return [numbers.get(number, 0) for number in range(1, len(files) + 1)]
