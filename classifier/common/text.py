"""What of a text a screen can show."""

JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
"""Part of how words are written in Persian and in the scripts of India; Python does not count them as printable."""
_KEPT = frozenset(f"{JOINERS}\n\N{NO-BREAK SPACE}\N{WORD JOINER}")
"""Python does not count them as printable either. The last two are our own: between a figure and its unit, and behind an @."""


def is_printable(name: str) -> bool:
    """Whether `name` can stand in tables and pictures, and in lines on the screen; joiners may stand between its letters."""
    return name == name.strip(JOINERS) and all(letter.isprintable() or letter in JOINERS for letter in name)


def visible(text: str) -> str:
    r"""`text` with the code of each character that cannot be seen, as `\x1b`: colours, turned writing, half characters."""
    return "".join(
        letter if letter.isprintable() or letter in _KEPT else letter.encode("unicode_escape").decode() for letter in text
    )
