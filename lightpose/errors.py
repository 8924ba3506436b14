"""Every error lightpose raises on purpose, as one tree: catch `LightposeError` to catch them all; and a warning."""

__all__ = [
    "BoxesError",
    "ConfigError",
    "DataError",
    "ImageError",
    "ImageMissingError",
    "ImageTooLargeError",
    "LightposeError",
    "MissingPackageError",
    "RenamedWarning",
    "ServiceError",
    "ShapeError",
    "SkeletonError",
    "StoreError",
    "TrainingError",
    "UnreachableError",
    "WeightsError",
    "brief",
]


class LightposeError(Exception):
    """Base of all errors below; its text is one sentence that says what to do."""


class ImageError(LightposeError):
    """An image is missing, empty, broken or of a kind that cannot be read."""


class ImageMissingError(ImageError):
    """There is no image of that name, or address."""


class ImageTooLargeError(ImageError):
    """An image has more pixels or bytes than the limits allow."""


class UnreachableError(LightposeError):
    """Something cannot be had now, and may be had later: a server is busy, or a connection broke. Ask again."""


class StoreError(LightposeError):
    """A folder or bucket does not hold what it should, or takes nothing more."""


class BoxesError(LightposeError):
    """Person boxes are malformed: wrong shape, NaN, zero size or outside the image."""


class ShapeError(LightposeError):
    """An array has the wrong shape or type for the call."""


class SkeletonError(LightposeError):
    """A skeleton is malformed, unknown, or does not fit the joints it is used with."""


class WeightsError(LightposeError):
    """A weights file is missing, broken, carries no `ModelSpec`, or does not fit its network."""


class DataError(LightposeError):
    """An annotation file is missing, is not what it should be, or contradicts itself."""


class ConfigError(LightposeError):
    """A setting has a value it cannot take."""


class TrainingError(LightposeError):
    """Training went wrong on its way: the loss is no number any more."""


class MissingPackageError(LightposeError):
    """An optional package is needed; the text names the extra that installs it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"this needs the package {package}; install it with: pip install 'lightpose[{extra}]'")
        self._given = package, extra

    def __reduce__(self) -> tuple[type["MissingPackageError"], tuple[str, str]]:
        return MissingPackageError, self._given  # else it could not come back from another process


class ServiceError(LightposeError):
    """A server refused a request, or cannot be reached. status: of HTTP, 0 if there was no answer."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


def brief(error: Exception) -> str:
    """What a library's error says, in at most 160 letters of its first line: it may hold half of a damaged file."""
    line = str(error).partition("\n")[0]
    return line if len(line) <= 160 else f"{line[:157]}..."


class RenamedWarning(FutureWarning):
    """A name of the release before was used; the text has the new one. The old one goes in a later version."""
