"""The layout of a CSV table of images, which is Kaggle's: a header, then one line per image.

    label,pixel1,pixel2,…,pixelP

P = C·H·W; the pixels of an image come channel by channel, each row by row. Every cell is a whole number in plain digits.
"""


def column_names(num_pixels: int) -> list[str]:
    """`label`, then `pixel1` to `pixel<num_pixels>`."""
    return ["label", *(f"pixel{number}" for number in range(1, num_pixels + 1))]


def header(num_pixels: int) -> bytes:
    """The first line, without its line end."""
    return ",".join(column_names(num_pixels)).encode()
