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

from classifier.decoding import pictures
from classifier.decoding.pictures import UnreadableError, decoded, quiet_pillow, upright

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


@pytest.mark.parametrize(
    ("format", "options"), [("PNG", {}), ("BMP", {}), ("WEBP", {"lossless": True}), ("PPM", {}), ("TIFF", {})]
)
def test_lossless_formats_keep_every_pixel(format: str, options: dict[str, Any]) -> None:
    found = read(encoded(Image.fromarray(COLOUR_HWC), format, **options))
    assert (found.shape, found.dtype) == ((3, 12, 12), np.uint8)
    np.testing.assert_array_equal(found, COLOUR_HWC.transpose(2, 0, 1))


def test_the_first_frame_of_a_gif() -> None:
    frames = [Image.fromarray(GREY_HW), Image.fromarray(255 - GREY_HW)]
    found = read(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), grey=True)
    np.testing.assert_array_equal(found, [GREY_HW])


def test_a_portable_graymap() -> None:
    """Written by hand, as the specification of Netpbm has it."""
    np.testing.assert_array_equal(read(b"P5\n12 12\n255\n" + GREY_HW.tobytes(), grey=True), [GREY_HW])


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


def photograph(width: int, height: int) -> Image.Image:
    """Large and small shapes, edges and noise, the same every time."""
    rng = np.random.default_rng(0)
    layers = []
    for step in (4, 16, 64):
        small = rng.integers(0, 256, (height // step + 2, width // step + 2, 3), dtype=np.uint8)
        layers.append(np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC), dtype=float))
    return Image.fromarray((np.mean(layers, axis=0) + rng.normal(0, 5, (height, width, 3))).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8])
def test_a_jpeg_decoded_at_a_reduced_size_is_the_same_picture(monkeypatch: Any, orientation: int, fit: Any) -> None:
    """Sides that 2, 4 and 8 do not divide: where the part of a pixel at the edge went astray, levels differed by 19."""
    exif = Image.Exif()
    exif[0x112] = orientation
    content = encoded(photograph(517, 389), "JPEG", quality=90, exif=exif)
    with quiet_pillow():
        reduced = upright(content, False, 32, fit)
        found = decoded(content, 32, fit, grey=False).astype(int)
        monkeypatch.setattr(pictures, "REDUCING_GAP", 1000)
        whole = upright(content, False, 32, fit)
        exact = decoded(content, 32, fit, grey=False).astype(int)
    assert (whole.width, whole.height) == whole.image.size == (reduced.width, reduced.height)
    assert reduced.image.width * 4 < whole.image.width + 4
    assert np.abs(found - exact).max() <= 4
    assert np.abs(found - exact).mean() < 0.7


def test_a_jpeg_that_is_not_much_larger_is_decoded_whole() -> None:
    content = encoded(photograph(100, 80), "JPEG")
    with quiet_pillow():
        assert upright(content, False, 41, "crop").image.size == (100, 80)
        assert upright(content, False, 20, "crop").image.size == (50, 40)


@pytest.mark.parametrize("tag", [0x0132, 0x8769, 0x9286, 0xA005])
def test_only_the_orientation_is_read_of_exif(tag: int) -> None:
    """Cameras and programs write odd values into other fields."""
    exif = Image.Exif()
    exif[0x112] = 6
    body = bytearray(exif.tobytes())
    entry = struct.pack(">HHII" if b"MM" in body[:10] else "<HHII", tag, 13, 0xFFFFFFF0, 0xFFFFFFF0)
    start = 6 + 8  # after "Exif00" and the header of TIFF: the number of entries, then each of twelve bytes
    order = ">H" if b"MM" in body[:10] else "<H"
    body[start : start + 2] = struct.pack(order, 2)
    body[start + 14 : start + 14] = entry
    content = encoded(Image.fromarray(COLOUR_HWC), "PNG", exif=bytes(body))
    np.testing.assert_array_equal(read(content), np.rot90(COLOUR_HWC, -1).transpose(2, 0, 1))


def test_exif_that_ends_early_does_not_make_a_picture_unreadable() -> None:
    content = encoded(Image.fromarray(COLOUR_HWC), "PNG", exif=b"Exif\x00\x00MM\x00")
    np.testing.assert_array_equal(read(content), COLOUR_HWC.transpose(2, 0, 1))


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
    turned = {
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
    np.testing.assert_array_equal(read(encoded(stored, "PNG", exif=exif)), turned.transpose(2, 0, 1))


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
    "empty": (b"", "no picture of the formats JPEG, PNG, WEBP, BMP, PPM, TIFF, GIF"),
    "text": (b"hello\n" * 100, "no picture of the formats"),
    "another format": (encoded(Image.fromarray(GREY_HW), "TGA"), "no picture of the formats"),
    "a program for a printer": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no picture of the formats"),
    "a truncated JPEG": (JPEG[: len(JPEG) // 2], "image file is truncated"),
    "a truncated PNG": (PNG[:-60], "truncated|broken"),
    "floating-point pixels": (encoded(Image.new("F", (4, 4)), "TIFF"), "save it with 8 bits a channel"),
    "a bomb": (encoded(Image.new("1", (14_200, 14_200)), "PNG"), "more than 200000000 pixels"),
    "a larger bomb": (encoded(Image.new("1", (20_100, 20_100)), "PNG"), "more than 200000000 pixels"),
}


@pytest.mark.parametrize(("content", "reason"), BAD.values(), ids=BAD)
def test_what_cannot_be_read_says_why(content: bytes, reason: str) -> None:
    with warnings.catch_warnings(record=True) as warned, pytest.raises(UnreadableError, match=reason):
        read(content)
    assert not warned


def test_the_pictures_of_large_sensors_are_read() -> None:
    assert read(encoded(Image.new("1", (10_000, 10_000), 1), "PNG"), 2, grey=True).tolist() == [[[255] * 2] * 2]


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
