"""One look for every figure, and the same bytes every time: no settings of the user's, no clock or version in the file."""

import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib.style
from matplotlib.figure import Figure

from classifier.common.files import replacing
from classifier.figures.fonts import fonts_for

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
