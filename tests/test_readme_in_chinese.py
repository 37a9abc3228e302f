"""README.zh-CN.md is README.md, whole: the same sections, commands, tree, links, code and numbers, in the same order."""

import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1]
ENGLISH, CHINESE = ((SOURCE / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md"))


def sections(text: str) -> list[str]:
    """The text below each heading, up to the next."""
    return re.split(r"^#+ .+$", text, flags=re.MULTILINE)[1:]


def levels(text: str) -> list[str]:
    return re.findall(r"^(#+) ", text, re.MULTILINE)


def commands(text: str) -> list[str]:
    """The lines of the blocks of shell code, without comments."""
    blocks = re.findall(r"^```bash\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [re.sub(r"(^|\s)#.*", "", line).rstrip() for block in blocks for line in block.splitlines()]


def tree(text: str) -> list[str]:
    """The names that the tree explains."""
    blocks = [block for kind, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE) if not kind]
    return [line.split("  ")[0] if line[0] != " " else line.split()[0] for block in blocks for line in block.splitlines()]


def links(text: str) -> list[str]:
    return re.findall(r"\]\(([^)]+)\)", text)


def code(text: str) -> list[str]:
    """What is set as code within the prose."""
    return sorted(re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)))


def numbers(text: str) -> list[str]:
    return sorted(re.findall(r"\d[\d.,]*\d", text))


def test_the_sections_are_the_same() -> None:
    assert levels(CHINESE) == levels(ENGLISH)
    assert len(levels(ENGLISH)) > 5


PAIRS = [
    pytest.param(*pair, id=str(number)) for number, pair in enumerate(zip(sections(ENGLISH), sections(CHINESE), strict=False))
]


@pytest.mark.parametrize(("english", "chinese"), PAIRS)
def test_a_section_has_the_same_commands_tree_code_and_numbers(english: str, chinese: str) -> None:
    assert commands(chinese) == commands(english)
    assert tree(chinese) == tree(english)
    assert code(chinese) == code(english)
    assert numbers(chinese) == numbers(english)


def test_the_links_are_the_same_but_for_the_one_to_the_other_language() -> None:
    assert links(ENGLISH)[0] == "README.zh-CN.md"
    assert links(CHINESE)[0] == "README.md"
    assert links(CHINESE)[1:] == links(ENGLISH)[1:]


def test_there_is_something_to_compare() -> None:
    assert commands(ENGLISH)[0] == "make quickstart"
    assert tree(ENGLISH)[0] == "dvc.yaml"
    assert {"10,000", "93.8"} < set(numbers(ENGLISH))
    assert "`dvc.lock`" in ENGLISH


def test_the_picture_of_the_pipeline_names_the_same_stages() -> None:
    english, chinese = (re.findall(r"^!\[(.*)\]\(docs/pipeline", text, re.MULTILINE)[0] for text in (ENGLISH, CHINESE))
    assert re.findall(r"[a-z]+", chinese) == [word for word in re.findall(r"[a-z]+", english) if word in chinese]
    assert len(re.findall(r"[a-z]+", chinese)) == 7
    assert "in seven stages" in ENGLISH
    assert "七个阶段" in CHINESE
