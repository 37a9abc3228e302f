"""Names in any script are drawn with the fonts of the machine, and told is what none of them has."""

import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import pytest
from matplotlib import font_manager
from matplotlib.figure import Figure

from classifier.figures.style import FIRST, fonts_for, save_png, styled

OWN = Path(matplotlib.get_data_path()) / "fonts/ttf"
STIX, LETTER = "STIXGeneral.ttf", "\u2312"
"""Of matplotlib's own fonts, which stand in for those of a machine; DejaVu Sans lacks this letter (⌒)."""
CJK = "Noto Sans CJK SC"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all the fonts that the machine has: none yet."""
    folder = tmp_path / "fonts"
    folder.mkdir()
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(path) for path in folder.iterdir()])
    return folder


def pixels(path: Path, words: str, names: Sequence[str], families: Sequence[str] = ()) -> bytes:
    """A figure of `words`, in `families` or else in those that are found for `names`."""
    with warnings.catch_warnings(), styled(names):
        warnings.simplefilter("error")
        figure = Figure(figsize=(2, 1))
        text = figure.text(0.1, 0.4, words, fontsize=20)
        if families:
            text.set_fontfamily(list(families))
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        save_png(figure, path)
    return path.read_bytes()


def test_most_names_need_no_font_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(font_manager, "findSystemFonts", None)
    fonts = fonts_for(["T-shirt/top → bag …", "Hündchen", "собака", "γάτα", "قطة", "חתול", "❤\ufe0f", "a\nb\x07"])
    assert (fonts.families, fonts.lacking, fonts.remark) == ([FIRST], "", None)


def test_a_letter_that_the_first_font_lacks_is_drawn_with_one_of_the_machine(tmp_path: Path, machine: Path) -> None:
    without = pixels(tmp_path / "without.png", LETTER, [LETTER])
    shutil.copy(OWN / STIX, machine)
    (machine / "damaged.ttf").write_bytes((OWN / STIX).read_bytes()[:1000])
    (machine / "empty.otf").touch()
    (machine / "link.ttf").symlink_to("nowhere.ttf")
    with_it = pixels(tmp_path / "with.png", LETTER, [LETTER])
    assert with_it != without
    assert with_it == pixels(tmp_path / "asked.png", LETTER, [], families=[FIRST, "STIXGeneral"])
    assert fonts_for([LETTER]).remark is None


def test_what_no_font_has_is_told_once_and_in_one_line(machine: Path) -> None:
    shutil.copy(OWN / STIX, machine)
    fonts = fonts_for([LETTER, "猫", "狗猫"])
    assert fonts.families == [FIRST, "STIXGeneral"]
    assert fonts.lacking == "狗猫"
    assert fonts.remark is not None
    assert fonts.remark.startswith("no font on this machine has 狗猫, drawn as boxes; install one, such as Noto Sans")
    many = fonts_for([chr(0x4E00 + number) for number in range(100)]).remark
    assert many is not None and " and 80 more, drawn as boxes" in many


def test_a_font_that_has_none_of_them_or_boxes_for_all_is_not_taken(machine: Path) -> None:
    for name in ("cmr10.ttf", "LastResortHE-Regular.ttf"):
        shutil.copy(OWN / name, machine)
    assert fonts_for(["猫"]).families == [FIRST]


def test_the_font_with_most_of_the_letters_comes_first(machine: Path) -> None:
    """Of these five letters STIX General has the first three, STIX Size One the last three; DejaVu Sans has none."""
    for name in (STIX, "STIXSizOneSymReg.ttf"):
        shutil.copy(OWN / name, machine)
    both, one_alone, general_alone = "\u2a03", "\u23b0\u23b1", "\u2312\u2313"
    assert fonts_for([general_alone, both, one_alone[0]]).families == [FIRST, "STIXGeneral", "STIXSizeOneSym"]
    assert fonts_for([general_alone[0], both, one_alone]).families == [FIRST, "STIXSizeOneSym", "STIXGeneral"]
    assert fonts_for([both]).families == [FIRST, "STIXGeneral"], "the same number: by name"


def test_the_same_bytes_as_without_names_where_the_first_font_has_all(tmp_path: Path) -> None:
    assert pixels(tmp_path / "a.png", "Bag → Sandal", ["Bag"]) == pixels(tmp_path / "b.png", "Bag → Sandal", [])


def test_chinese_on_this_machine(tmp_path: Path) -> None:
    """Of a collection the plain face with the simplified shapes, and not that with serifs or a bold one."""
    fonts = fonts_for(["猫", "한국어"])
    if not any(Path(path).name == "NotoSansCJK-Regular.ttc" for path in font_manager.findSystemFonts()):
        pytest.skip(f"no {CJK} here")
    assert fonts.families == [FIRST, CJK]
    assert pixels(tmp_path / "a.png", "猫", ["猫"]) != pixels(tmp_path / "b.png", "猫", [])
