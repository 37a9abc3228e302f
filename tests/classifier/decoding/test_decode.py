"""Pictures of every kind become the same upright 8-bit arrays; what cannot be read says why."""

import io
import struct
import warnings
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from classifier.decoding.pictures import UnreadableError, decoded, quiet_pillow

RNG = np.random.default_rng(0)
COLOUR_HWC = RNG.integers(0, 256, (12, 12, 3), dtype=np.uint8)
GREY_HW = RNG.integers(0, 256, (12, 12), dtype=np.uint8)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def read(content: bytes, size: int = 12, grey: bool = False) -> NDArray[np.uint8]:
    with quiet_pillow():
        return decoded(content, size, "crop", grey)


@pytest.mark.parametrize(("format", "options"), [("PNG", {}), ("BMP", {}), ("WEBP", {"lossless": True})])
def test_lossless_formats_keep_every_pixel(format: str, options: dict[str, Any]) -> None:
    found = read(encoded(Image.fromarray(COLOUR_HWC), format, **options))
    assert (found.shape, found.dtype) == ((3, 12, 12), np.uint8)
    np.testing.assert_array_equal(found, COLOUR_HWC.transpose(2, 0, 1))


def test_jpeg_is_near() -> None:
    flat = np.full((16, 16, 3), (200, 30, 90), dtype=np.uint8)
    found = read(encoded(Image.fromarray(flat), "JPEG", quality=95), 16)
    assert np.abs(found.astype(int) - np.reshape([200, 30, 90], (3, 1, 1))).max() <= 3


def test_grey_and_colour_as_asked() -> None:
    grey = encoded(Image.fromarray(GREY_HW), "PNG")
    np.testing.assert_array_equal(read(grey, grey=True), [GREY_HW])
    np.testing.assert_array_equal(read(grey), [GREY_HW] * 3)
    weights = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
    found = read(encoded(Image.fromarray(COLOUR_HWC), "PNG"), grey=True)
    assert found.shape == (1, 12, 12)
    assert np.abs(found[0] - COLOUR_HWC @ weights).max() <= 0.51


def test_what_is_transparent_shows_white() -> None:
    alpha = np.zeros((12, 12, 1), dtype=np.uint8)
    alpha[6:] = 255
    rgba = encoded(Image.fromarray(np.dstack([COLOUR_HWC, alpha])), "PNG")
    np.testing.assert_array_equal(read(rgba)[:, :6], 255)
    np.testing.assert_array_equal(read(rgba)[:, 6:], COLOUR_HWC.transpose(2, 0, 1)[:, 6:])
    la = encoded(Image.fromarray(np.dstack([GREY_HW, alpha])), "PNG")
    np.testing.assert_array_equal(read(la, grey=True)[0, 6:], GREY_HW[6:])
    assert (read(la, grey=True)[0, :6] == 255).all()
    half = Image.new("RGBA", (12, 12), (0, 0, 0, 128))
    assert np.abs(read(encoded(half, "PNG")).astype(int) - 127).max() <= 1


def test_palettes_with_and_without_a_transparent_colour() -> None:
    image = Image.new("P", (12, 12), 1)
    image.putpalette([1, 2, 3, 10, 20, 30])
    assert np.unique(read(encoded(image, "PNG")).reshape(3, -1), axis=1).ravel().tolist() == [10, 20, 30]
    assert np.unique(read(encoded(image, "PNG", transparency=1))).tolist() == [255]


def test_black_and_white_and_print_colours() -> None:
    assert np.unique(read(encoded(Image.new("1", (12, 12), 1), "PNG"), grey=True)).tolist() == [255]
    red = read(encoded(Image.new("CMYK", (12, 12), (0, 255, 255, 0)), "JPEG"))
    assert np.abs(red.astype(int) - np.reshape([255, 0, 0], (3, 1, 1))).max() <= 3


def test_of_sixteen_bits_the_upper_eight_stay() -> None:
    deep = RNG.integers(0, 2**16, (12, 12), dtype=np.uint16)
    np.testing.assert_array_equal(read(encoded(Image.fromarray(deep), "PNG"), grey=True), [deep // 256])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "I;16"])
def test_pictures_are_turned_upright(orientation: int, mode: str) -> None:
    """By the table of the EXIF standard (CIPA DC-008): which edges of the stored picture row 0 and column 0 are on show."""
    if mode == "I;16":
        stored = Image.fromarray(RNG.integers(0, 2**16, (12, 12), dtype=np.uint16))
        array = np.asarray(stored)[..., np.newaxis] // 256 * np.ones(3, dtype=np.uint16)
    else:
        stored = Image.fromarray(COLOUR_HWC).convert(mode)
        array = COLOUR_HWC
    upright = {
        1: array,
        2: array[:, ::-1],
        3: array[::-1, ::-1],
        4: array[::-1],
        5: array.transpose(1, 0, 2),
        6: np.rot90(array, -1),
        7: array[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(array),
    }[orientation]
    exif = Image.Exif()
    exif[0x112] = orientation
    np.testing.assert_array_equal(read(encoded(stored, "PNG", exif=exif)), upright.transpose(2, 0, 1))


def test_the_middle_of_an_oblong_picture() -> None:
    wide = np.zeros((4, 10, 3), dtype=np.uint8)
    wide[:, 3:7] = 200
    with quiet_pillow():
        cropped, padded, stretched = (decoded(encoded(Image.fromarray(wide), "PNG"), 4, fit, True)[0] for fit in FITS)
    assert (cropped == 200).all()
    assert (padded[0] == 0).all()
    assert (padded[3] == 0).all()
    assert padded[1:3].mean() > 50
    assert stretched[:, 0].max() < 20 < stretched[:, 1].min()


FITS: tuple[Any, ...] = ("crop", "pad", "stretch")
PNG = encoded(Image.fromarray(COLOUR_HWC), "PNG")
JPEG = encoded(Image.fromarray(np.tile(COLOUR_HWC, (20, 20, 1))), "JPEG")
BAD = {
    "empty": (b"", "no picture of the formats JPEG, PNG, WEBP, BMP"),
    "text": (b"hello\n" * 100, "no picture of the formats"),
    "another format": (encoded(Image.fromarray(GREY_HW), "GIF"), "no picture of the formats"),
    "a program for a printer": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no picture of the formats"),
    "a truncated JPEG": (JPEG[: len(JPEG) // 2], "image file is truncated"),
    "a truncated PNG": (PNG[:-60], "truncated|broken"),
    "a bomb": (encoded(Image.new("1", (9_500, 9_500)), "PNG"), "more than 89478485 pixels"),
    "a larger bomb": (encoded(Image.new("1", (14_000, 14_000)), "PNG"), "more than 89478485 pixels"),
}


@pytest.mark.parametrize(("content", "reason"), BAD.values(), ids=BAD)
def test_what_cannot_be_read_says_why(content: bytes, reason: str) -> None:
    with warnings.catch_warnings(record=True) as warned, pytest.raises(UnreadableError, match=reason):
        read(content)
    assert not warned


def test_damage_is_never_anything_else() -> None:
    rng = np.random.default_rng(1)
    good = [PNG, JPEG, encoded(Image.fromarray(COLOUR_HWC), "WEBP"), encoded(Image.fromarray(COLOUR_HWC), "BMP")]
    unreadable = 0
    for number in range(400):
        content = bytearray(good[number % 4])
        for _ in range(rng.integers(1, 5)):
            content[rng.integers(min(len(content), 200))] = rng.integers(256)
        try:
            assert read(bytes(content)).shape == (3, 12, 12)
        except UnreadableError as error:
            unreadable += 1
            assert len(str(error).splitlines()) == 1
    assert unreadable > 50


def test_a_row_that_is_too_wide_is_the_fault_of_the_picture() -> None:
    """Pillow raises MemoryError of it, in no time and however much memory there is. A PNG, written by hand."""
    header = struct.pack(">IIBBBBB", 70_000_000, 1, 8, 6, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", b""), (b"IEND", b"")]
    packed = [struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks]
    with pytest.raises(UnreadableError, match="more than 16777216 pixels in a row"):
        read(b"\x89PNG\r\n\x1a\n" + b"".join(packed))
