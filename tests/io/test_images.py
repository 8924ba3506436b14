"""Pictures in and out: every usual kind, EXIF, broken files, and files written whole or not at all."""

import os
import struct
import time
import zlib

import cv2
import numpy as np
import pytest

from lightpose.errors import ConfigError, ImageError
from lightpose.io.files import write_aside
from lightpose.io.headers import image_header
from lightpose.io.images import MAX_PIXELS, decode_image, encode_image, read_image


def picture(height=24, width=40, seed=0):
    """A smooth random RGB picture, so that JPEG keeps it nearly as it is."""
    small = np.random.default_rng(seed).integers(0, 256, (3, 5, 3), dtype=np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def opencv_file(array, suffix, *options):
    """A picture file straight from OpenCV, whose channels are BGR(A)."""
    return cv2.imencode(suffix, array, options)[1].tobytes()


def exif_segment(orientation, order=">"):
    """A JPEG APP1 segment with nothing but the orientation tag."""
    start = b"MM\0*" if order == ">" else b"II*\0"
    tag = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    tiff = start + struct.pack(order + "IH", 8, 1) + tag + bytes(4)
    return app_segment(0xE1, b"Exif\0\0" + tiff)


def app_segment(number, content):
    return struct.pack(">BBH", 0xFF, number, len(content) + 2) + content


def palette_png(indices, palette):
    """A PNG of color type 3, chunk by chunk."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width = indices.shape
    lines = b"".join(b"\0" + line.tobytes() for line in indices.astype(np.uint8))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0))
    data = chunk(b"PLTE", palette.astype(np.uint8).tobytes()) + chunk(b"IDAT", zlib.compress(lines))
    return b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b"")


UPRIGHT = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: np.rot90(stored, 1),
}
"""How the EXIF standard's eight orientations bring the stored rows and columns upright."""


@pytest.mark.parametrize("order", [">", "<"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_is_honoured_or_ignored_as_asked(orientation, order):
    plain = encode_image(picture(), ".jpg")
    turned = plain[:2] + exif_segment(orientation, order) + plain[2:]
    stored = decode_image(plain)
    np.testing.assert_array_equal(decode_image(turned), UPRIGHT[orientation](stored))
    np.testing.assert_array_equal(decode_image(turned, exif=False), stored)


@pytest.mark.parametrize(("exif", "shape"), [(True, (40, 24, 3)), (False, (24, 40, 3))])
def test_reading_a_file_honours_exif_like_decoding_its_bytes(tmp_path, exif, shape):
    plain = encode_image(picture(), ".jpg")
    path = tmp_path / "portrait.jpg"
    path.write_bytes(plain[:2] + exif_segment(6) + plain[2:])
    assert read_image(path, exif=exif).shape == shape
    np.testing.assert_array_equal(read_image(str(path)), decode_image(path.read_bytes()))


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".ppm"])
def test_a_picture_survives_a_lossless_format_exactly(suffix):
    image = np.random.default_rng(1).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    given = image.copy()
    np.testing.assert_array_equal(decode_image(encode_image(image, suffix)), given)
    np.testing.assert_array_equal(image, given)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".webp", ".bmp"])
def test_red_green_and_blue_stay_in_that_order(suffix):
    image = np.zeros((16, 48, 3), np.uint8)
    image[:, :16, 0], image[:, 16:32, 1], image[:, 32:, 2] = 255, 255, 255
    found = decode_image(encode_image(image, suffix))
    assert found[8, [8, 24, 40]].argmax(-1).tolist() == [0, 1, 2]


def test_a_png_of_one_red_pixel_made_by_hand_is_red():
    red = palette_png(np.zeros((1, 1)), np.array([[255, 0, 0]]))
    assert decode_image(red).tolist() == [[[255, 0, 0]]]


def test_a_palette_png_becomes_rgb():
    rng = np.random.default_rng(2)
    palette, indices = rng.integers(0, 256, (9, 3)), rng.integers(0, 9, (6, 5))
    np.testing.assert_array_equal(decode_image(palette_png(indices, palette)), palette[indices])


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".pgm", ".webp"])
def test_a_grey_picture_becomes_three_equal_channels(suffix):
    grey = picture()[..., 0]
    found = decode_image(opencv_file(grey, suffix)).astype(int)
    assert found.shape == (24, 40, 3)
    assert np.ptp(found, axis=-1).max() <= (2 if suffix == ".webp" else 0)
    assert np.abs(found - grey[..., None]).mean() < 3


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_alpha_is_dropped(suffix):
    image = picture()
    alpha = np.random.default_rng(3).integers(0, 256, (24, 40, 1), dtype=np.uint8)
    np.testing.assert_array_equal(decode_image(opencv_file(np.dstack([image[..., ::-1], alpha]), suffix)), image)


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_16_bit_picture_keeps_its_upper_8_bits(suffix, grey):
    deep = np.random.default_rng(4).integers(0, 65536, (11, 13) if grey else (11, 13, 3)).astype(np.uint16)
    expected = np.dstack([deep] * 3) if grey else deep[..., ::-1]
    found = decode_image(opencv_file(deep, suffix))
    assert found.dtype == np.uint8
    np.testing.assert_allclose(found, expected / 257, atol=1)


def test_a_cmyk_jpeg_becomes_rgb(tmp_path):
    pillow = pytest.importorskip("PIL.Image", reason="only Pillow writes CMYK JPEGs")
    image = picture()
    pillow.fromarray(image).convert("CMYK").save(tmp_path / "print.jpg", quality=100)
    assert np.abs(read_image(tmp_path / "print.jpg").astype(int) - image).mean() < 3


@pytest.mark.parametrize("progressive", [0, 1])
def test_a_jpeg_may_be_progressive_have_fill_bytes_before_a_marker_and_bytes_after_its_end(progressive):
    """Any marker may be preceded by bytes 0xFF (ITU T.81, B.1.1.2)."""
    plain = opencv_file(picture(), ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
    tables = plain.index(b"\xff\xdb")
    expected = decode_image(plain)
    np.testing.assert_array_equal(decode_image(plain + b"\0" * 9), expected)
    np.testing.assert_array_equal(decode_image(plain[:tables] + b"\xff" + plain[tables:]), expected)
    np.testing.assert_array_equal(decode_image(plain[:tables] + b"\xff\xff" + plain[tables:]), expected)


def with_thumbnail(jpeg):
    """The same JPEG with a whole small JPEG, end mark included, in its EXIF segment."""
    return jpeg[:2] + app_segment(0xE1, b"Exif\0\0" + encode_image(picture(8, 8), ".jpg")) + jpeg[2:]


def test_a_whole_jpeg_with_a_thumbnail_is_read():
    plain = encode_image(picture(), ".jpg")
    np.testing.assert_array_equal(decode_image(with_thumbnail(plain)), decode_image(plain))


@pytest.mark.parametrize("kept", [0.02, 0.1, 0.3, 0.5, 0.8, 0.95, 0.999])
@pytest.mark.parametrize("progressive", [0, 1])
@pytest.mark.parametrize("prepare", [bytes, with_thumbnail])
def test_a_jpeg_cut_anywhere_is_called_cut_short(prepare, progressive, kept):
    whole = prepare(opencv_file(picture(120, 160), ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, progressive))
    with pytest.raises(ImageError, match=r"holiday\.jpg is cut short; copy or download it again"):
        decode_image(whole[: int(len(whole) * kept)], "holiday.jpg")


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.9, 0.99])
def test_a_png_cut_anywhere_is_called_cut_short(kept):
    whole = encode_image(picture(120, 160), ".png")
    with pytest.raises(ImageError, match="the image is cut short"):
        decode_image(whole[: int(len(whole) * kept)])


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("suffix", [".webp", ".tif", ".bmp", ".ppm"])
def test_other_formats_cut_short_are_refused_too(suffix, kept):
    whole = encode_image(picture(120, 160), suffix)
    with pytest.raises(ImageError, match="odd"):
        decode_image(whole[: int(len(whole) * kept)], "odd")


def test_every_single_cut_of_a_small_jpeg_is_refused():
    whole = with_thumbnail(encode_image(picture(8, 8), ".jpg"))
    for kept in range(len(whole)):
        with pytest.raises(ImageError):
            decode_image(whole[:kept])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ImageError, match=r"cannot read .*none\.jpg: No such file"):
        read_image(tmp_path / "none.jpg")


def test_a_folder_is_not_read_as_a_picture(tmp_path):
    with pytest.raises(ImageError, match="cannot read"):
        read_image(tmp_path)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "is empty"),
        (b"just some words\n" * 20, "is not an image that can be read"),
        (b"\0", "is not an image that can be read"),
        (b"\xff\xd8", "is not an image that can be read"),
        (b"\xff\xd8\xff" + b"\0" * 50 + b"\xff\xd9", "is cut short"),
    ],
)
def test_a_file_that_is_no_picture_is_named_with_the_reason(tmp_path, content, text):
    path = tmp_path / "holiday.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=rf"holiday\.jpg {text}"):
        read_image(path)


@pytest.mark.parametrize("suffix", [".xyz", "png", "", ".txt"])
def test_an_unknown_suffix_is_named_with_what_to_use(suffix):
    with pytest.raises(ImageError, match=rf"kind '{suffix}'; use \.jpg or \.png"):
        encode_image(picture(), suffix)


@pytest.mark.parametrize(("suffix", "width"), [(".jpg", 70_000), (".webp", 17_000)])
def test_a_picture_too_wide_for_its_format_is_refused(suffix, width):
    with pytest.raises(ImageError, match=suffix):
        encode_image(np.zeros((1, width, 3), np.uint8), suffix)


def test_a_picture_without_pixels_cannot_be_written():
    with pytest.raises(ImageError):
        encode_image(np.zeros((0, 0, 3), np.uint8), ".png")


def test_write_aside_replaces_the_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "out.bin"
    write_aside(path, b"first")
    write_aside(str(path), b"second")
    assert path.read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_half_way_keeps_the_old_file_and_leaves_no_part(tmp_path):
    resource = pytest.importorskip("resource", reason="file size limits exist on Unix only")
    path = tmp_path / "out.bin"
    write_aside(path, b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    failure = None
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        write_aside(path, bytes(5000))
    except OSError as error:
        failure = error
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert failure is not None
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_onto_a_folder_is_refused(tmp_path):
    folder = tmp_path / "out"
    (folder / "inner").mkdir(parents=True)
    with pytest.raises(ConfigError, match="out is a folder; name a file in it"):
        write_aside(folder, b"new")
    assert list(tmp_path.iterdir()) == [folder]
    assert [entry.name for entry in folder.iterdir()] == ["inner"]


def test_a_name_as_long_as_names_can_be_is_written(tmp_path):
    path = tmp_path / ("a" * 251 + ".jpg")
    write_aside(path, b"content")
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [(path.name, b"content")]


def test_a_write_that_fails_names_the_file_that_was_wanted(tmp_path):
    with pytest.raises(OSError, match="No such file") as failure:
        write_aside(tmp_path / "none" / "a.jpg", b"content")
    assert failure.value.filename == str(tmp_path / "none" / "a.jpg")


def test_a_name_that_no_file_can_have_is_a_picture_that_cannot_be_read():
    with pytest.raises(ImageError, match="cannot read"):
        read_image("a\0b.jpg")


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_of(width: int, height: int, extra: bytes = b"") -> bytes:
    """A PNG whose header tells that size, with the data of one black pixel."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(bytes(4))) + chunk(b"IEND", b"")


def with_size(content: bytes, place: int, *values: int, form: str) -> bytes:
    size = struct.pack(form, *values)
    return content[:place] + size + content[place + len(size) :]


def bombs() -> dict[str, bytes]:
    """Small files that say that they hold 2.5 thousand million pixels, or as many as their format can say."""
    pixel = np.zeros((16, 16, 3), np.uint8)
    jpeg, bmp = (opencv_file(pixel, suffix) for suffix in (".jpg", ".bmp"))
    webp = opencv_file(pixel, ".webp", cv2.IMWRITE_WEBP_QUALITY, 50)
    lossless = opencv_file(pixel, ".webp", cv2.IMWRITE_WEBP_QUALITY, 101)
    tile = struct.pack("<4sIH", b"II*\0", 8, 4) + b"".join(
        struct.pack("<HHII", tag, 4, 1, value) for tag, value in ((256, 16), (257, 16), (322, 50000), (323, 50000))
    )
    deep = opencv_file(np.zeros((64, 64, 3), np.uint8), ".jp2")
    return {
        "png": png_of(50000, 50000),
        "jpeg": with_size(jpeg, jpeg.index(b"\xff\xc0") + 5, 50000, 50000, form=">HH"),
        "bmp": with_size(bmp, 18, 50000, -50000, form="<ii"),
        "lowest bmp": with_size(bmp, 18, 1, -(2**31), form="<ii"),
        "webp": with_size(webp, 26, 16383, 16383, form="<HH"),
        "lossless webp": with_size(lossless, 21, 0x0FFFFFFF, form="<I"),
        "gif": b"GIF89a" + struct.pack("<HHBBB", 50000, 50000, 0, 0, 0) + b",\0\0\0\0\1\0\1\0\0\2\2D\1\0;",
        "tile": tile + bytes(4),
        "ppm": b"P6 50000 # wide\n50000 255\n",
        "pam": b"P7\nWIDTH 10000\nHEIGHT 10000\nDEPTH 500\nMAXVAL 255\nENDHDR\n",
        "jpeg 2000": with_size(deep, deep.index(b"\xff\x4f\xff\x51") + 8, 8000, 8000, form=">II"),
        "avif": b"\0\0\0\x14ftypavif\0\0\0\0avif"
        + struct.pack(">I4sI", 32, b"meta", 0)
        + struct.pack(">I4sIII", 20, b"ispe", 0, 50000, 50000),
    }


@pytest.mark.parametrize("kind", bombs())
def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(kind: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cv2, "imdecode", None)
    with pytest.raises(
        ImageError, match=r"bomb (has|takes) .*pixels, more than the 120,000,000 .*LIGHTPOSE_MAX_PIXELS"
    ):
        decode_image(bombs()[kind], "bomb")


def test_the_limit_of_pixels_and_bytes_is_an_argument_or_in_the_environment(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(encode_image(picture(20, 50), ".png"))
    assert read_image(path, max_pixels=1000).shape == (20, 50, 3)
    with pytest.raises(ImageError, match=r"has 50 x 20 pixels, more than the 999 that are decoded"):
        read_image(path, max_pixels=999)
    monkeypatch.setenv("LIGHTPOSE_MAX_PIXELS", "999")
    with pytest.raises(ImageError, match="more than the 999"):
        read_image(path)
    with pytest.raises(ImageError, match="has more than the 40 bytes that are read"):
        read_image(path, max_pixels=10)
    for wrong in ("many", "0", "-5", ""):
        monkeypatch.setenv("LIGHTPOSE_MAX_PIXELS", wrong)
        with pytest.raises(ConfigError, match="whole number above 0"):
            read_image(path)


def test_photos_of_108_megapixels_are_within_the_limit():
    assert 12032 * 9024 <= MAX_PIXELS < 30000 * 30000


def test_a_png_chunk_longer_than_its_file_is_not_decoded(monkeypatch):
    """Decoders make room for what the length says: four thousand million bytes."""
    whole = encode_image(picture(), ".png")
    place = whole.index(b"IDAT") - 4
    monkeypatch.setattr(cv2, "imdecode", None)
    with pytest.raises(ImageError, match="cut short"):
        decode_image(whole[:place] + b"\xff\xff\xf0\x00" + whole[place + 4 :])


def test_a_pngs_texts_and_profiles_are_not_unpacked():
    """A hundred texts of 8 MB each, packed to a thousandth, would take seconds."""
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**23), 9))
    plain = encode_image(picture(), ".png")
    begun = time.perf_counter()
    found = decode_image(plain[:33] + 100 * text + plain[33:])
    assert time.perf_counter() - begun < 2
    np.testing.assert_array_equal(found, decode_image(plain))


@pytest.mark.parametrize("kind", [b"gAMA", b"sRGB", b"iCCP", b"bKGD", b"pHYs", b"cHRM", b"tEXt", b"acTL"])
def test_the_chunks_that_are_left_out_do_not_change_pixels(kind: bytes):
    contents = {
        b"gAMA": struct.pack(">I", 100000), b"sRGB": b"\0", b"bKGD": bytes(6), b"pHYs": struct.pack(">IIB", 9, 5, 1),
        b"cHRM": struct.pack(">8I", *range(30000, 38000, 1000)), b"tEXt": b"a\0b",
        b"iCCP": b"a\0\0" + zlib.compress(b""), b"acTL": struct.pack(">II", 1, 0),
    }  # fmt: skip
    plain = encode_image(picture(), ".png")
    np.testing.assert_array_equal(decode_image(plain[:33] + chunk(kind, contents[kind]) + plain[33:]), picture())


def test_a_pngs_orientation_is_honoured_or_ignored_as_asked():
    turned = exif_segment(6)[10:]
    content = encode_image(picture(), ".png")
    content = content[:33] + chunk(b"eXIf", turned) + chunk(b"tEXt", b"a\0b") + content[33:]
    np.testing.assert_array_equal(decode_image(content, exif=False), picture())
    assert image_header(content).orientation == 6
    found = decode_image(content)
    if found.shape == picture().shape:
        pytest.skip("this OpenCV reads no EXIF in PNG")
    np.testing.assert_array_equal(found, UPRIGHT[6](picture()))


def test_a_jpeg_of_many_scans_is_refused():
    """Each takes time for the whole picture, and 10 bytes of the file."""
    plain = opencv_file(picture(), ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    last = plain[plain.rindex(b"\xff\xda") : -2]
    assert decode_image(plain[:-2] + 3 * last + plain[-2:]).shape == (24, 40, 3)
    with pytest.raises(ImageError, match="more than 50 scans"):
        decode_image(plain[:-2] + 60 * last + plain[-2:])


@pytest.mark.parametrize("error", [MemoryError, cv2.error])
def test_a_decoder_that_fails_is_an_error_of_ours(monkeypatch, error):
    def failing(*_):
        raise error

    monkeypatch.setattr(cv2, "imdecode", failing)
    with pytest.raises(ImageError, match=r"a\.png (needs more memory|cannot be decoded)"):
        decode_image(encode_image(picture(), ".png"), "a.png")


@pytest.mark.parametrize("suffix", [".tif", ".gif", ".webp", ".png"])
def test_of_several_frames_or_pages_the_first_is_read(tmp_path, suffix):
    pillow = pytest.importorskip("PIL.Image", reason="only Pillow writes several frames")
    first, second = (pillow.new("RGB", (40, 24), color) for color in ((200, 0, 0), (0, 0, 200)))
    first.save(
        tmp_path / f"a{suffix}",
        save_all=True,
        append_images=[second],
        **({"lossless": True} if suffix == ".webp" else {}),
    )
    found = read_image(tmp_path / f"a{suffix}")
    assert found.shape == (24, 40, 3)
    assert np.abs(found.astype(int) - (200, 0, 0)).max() <= 4


def test_a_kind_that_cannot_be_decoded_is_named_with_what_to_do():
    with pytest.raises(ImageError, match=r"a\.jpg cannot be read: it is a HEIC file; save it as JPEG or PNG"):
        decode_image(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a.jpg")


def test_what_is_no_regular_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", "/dev/zero"):
        with pytest.raises(ImageError, match="a pipe or device"):
            read_image(path)
    with pytest.raises(ImageError, match="a folder, not a file"):
        read_image(tmp_path)


def test_a_file_that_memory_has_no_room_for_is_an_error_of_ours(tmp_path, monkeypatch):
    def failing(*_, **__):
        raise MemoryError

    (tmp_path / "a.png").write_bytes(encode_image(picture(), ".png"))
    monkeypatch.setattr(os, "fdopen", failing)
    with pytest.raises(ImageError, match=r"a\.png needs more memory than there is"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "settings",
    [
        (),
        (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
        (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411),
        (cv2.IMWRITE_JPEG_QUALITY, 30, cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
    ],
)
def test_jpegs_have_the_pixels_that_opencv_gives(channels, settings):
    """Whole ones are decoded by another library; damaged ones are not."""
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (53, 71, channels), dtype=np.uint8), (5, 5), 0)
    content = cv2.imencode(".jpg", image, settings)[1].tobytes()
    middle = len(content) // 2
    for each in (content, content[:middle] + bytes(40) + content[middle + 40 :]):
        expected = cv2.imdecode(np.frombuffer(each, np.uint8), cv2.IMREAD_COLOR_RGB)
        np.testing.assert_array_equal(decode_image(each), expected)
