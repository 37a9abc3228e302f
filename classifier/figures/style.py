"""One look for every figure, and the same bytes every time; with fonts for names in any script."""

import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import matplotlib.style
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ft2font import FaceFlags, FT2Font, StyleFlags

from classifier.common.files import replacing

FIRST = "DejaVu Sans"
"""It has the letters of Latin, Greek, Cyrillic, Arabic, Hebrew and some more; no Chinese, Japanese, Korean or Indian ones."""
MAX_MESSAGE = 20


@dataclass(frozen=True)
class Fonts:
    """`families` are for matplotlib, which takes each letter from the first that has it; `lacking` are letters in none."""

    families: list[str]
    lacking: str

    @property
    def remark(self) -> str | None:
        """What a person should know, if something is lacking."""
        if not self.lacking:
            return None
        more = f" and {len(self.lacking) - MAX_MESSAGE} more" if len(self.lacking) > MAX_MESSAGE else ""
        return (
            f"no font on this machine has {self.lacking[:MAX_MESSAGE]}{more}, drawn as boxes; install one, such as Noto Sans "
            "(Debian, Ubuntu: fonts-noto), and draw again"
        )


@dataclass(frozen=True)
class _Installed:
    """A font file; of a collection, the family of the face that is to be preferred."""

    path: str
    family: str
    letters: frozenset[str]
    """Of those that are sought."""
    plainness: tuple[bool, bool, str]


def fonts_for(texts: Iterable[str]) -> Fonts:
    """The fonts that `texts` need. Only where FIRST does not do, the fonts of the machine are looked through.

    The same texts on a machine with the same fonts give the same answer.
    """
    first = FT2Font(font_manager.findfont(FIRST))
    lacking = {letter for text in texts for letter in text if letter.isprintable() and not _has(first, letter)}
    families = [FIRST]
    found = list(_installed(frozenset(lacking))) if lacking else []
    while lacking and found:
        best = min(found, key=lambda font: (-len(font.letters & lacking), font.plainness, font.path))
        if not best.letters & lacking:
            break
        font_manager.fontManager.addfont(best.path)
        families.append(best.family)
        lacking -= best.letters
    return Fonts(families, "".join(sorted(lacking)))


def _installed(sought: frozenset[str]) -> Iterator[_Installed]:
    """Asked anew: matplotlib's own list is of the day when it was first used."""
    for path in sorted(font_manager.findSystemFonts()):
        try:
            faces = [FT2Font(path)]
            if FaceFlags.SCALABLE not in faces[0].face_flags or _draws_boxes(faces[0]):
                continue  # coloured emoji, which matplotlib cannot draw, are not scalable
            faces += [FT2Font(path, face_index=index) for index in range(1, faces[0].num_faces)]
        except (OSError, RuntimeError, ValueError):  # damaged, or of a kind that FreeType does not read
            continue
        face = min(faces, key=_plainness)
        letters = frozenset(letter for letter in sought if _has(face, letter))
        yield _Installed(path, face.family_name, letters, _plainness(face))


def _draws_boxes(face: FT2Font) -> bool:
    """A Mac has Unicode's Last Resort, which has a box for each letter there is."""
    return face.family_name.replace(" ", "").lstrip(".").startswith("LastResort")


def _plainness(face: FT2Font) -> tuple[bool, bool, str]:
    """Smallest for what goes best beside FIRST: upright, neither bold nor with serifs.

    Faces of one collection for Chinese, Japanese and Korean differ in the shapes of characters: `SC` are the simplified ones.
    """
    name = face.family_name
    is_styled = bool(face.style_flags & (StyleFlags.BOLD | StyleFlags.ITALIC)) or "Serif" in name
    return is_styled, not name.endswith(" SC"), name


def _has(font: FT2Font, letter: str) -> bool:
    """Marks that choose between forms of the letter before them are left to the font of that letter."""
    return font.get_char_index(ord(letter)) != 0 or unicodedata.name(letter, "").startswith("VARIATION SELECTOR")


BLUE, VERMILION, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
"""From the colour-blind safe palette of Okabe & Ito (2008)."""

_STYLE = {
    "font.size": 10,
    "text.parse_math": False,  # a class may be called "$"
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E5E5E5",
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "savefig.dpi": 100,
}


@contextmanager
def styled(names: Iterable[str] = ()) -> Iterator[str | None]:
    """Context in which figures are drawn: matplotlib's defaults and our style, whatever the user's matplotlibrc says.

    `names` are texts of the figures that may be of any script. Yields what a person should know of letters in them that no
    font of the machine has, which are drawn as boxes.
    """
    fonts = fonts_for(names)
    style = {**_STYLE, "font.family": fonts.families}
    with matplotlib.style.context(["default", style]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a line for each letter and figure
        yield fonts.remark


def save_png(figure: Figure, path: Path) -> None:
    """Write `figure`, whole or not at all."""
    with replacing(path) as partial:
        figure.savefig(partial, format="png", metadata={"Software": None})


def isolated(name: str) -> str:
    """`name` for a line that has more than it: words that run from right to left leave the order of the rest alone (UAX #9)."""
    from_right = any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in name)
    return f"\N{FIRST STRONG ISOLATE}{name}\N{POP DIRECTIONAL ISOLATE}" if from_right else name


def shortened(name: str, longest: int = 14) -> str:
    """A name of `longest` characters at most, which leaves its neighbour room."""
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def short_names(names: Sequence[str], longest: int) -> list[str]:
    """Each name in at most `longest` characters, cut at its end; in its middle where that would leave two of them alike."""
    cut = [shortened(name, longest) for name in names]
    times = Counter(cut)
    tail = (longest - 1) // 2
    return [
        f"{name[: longest - 1 - tail]}…{name[-tail:]}" if len(name) > longest and times[short] > 1 else short
        for name, short in zip(names, cut, strict=True)
    ]
