"""Text of others on the screen: what a terminal would obey instead of showing is written out."""

from classifier.schema import JOINERS

_KEPT = frozenset(f"{JOINERS}\n\N{NO-BREAK SPACE}\N{WORD JOINER}")
"""Python does not count them as printable. The last two are our own: between a figure and its unit, and behind an @."""


def visible(text: str) -> str:
    r"""`text` with the code of each character that cannot be seen, as `\x1b`: colours, turned writing, half characters."""
    return "".join(
        letter if letter.isprintable() or letter in _KEPT else letter.encode("unicode_escape").decode() for letter in text
    )
