"""README.zh-CN.md says what README.md says: the same commands, the same messages in the table of errors, no other figures."""

import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1]
ENGLISH, CHINESE = ((SOURCE / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md"))
SECTIONS = {
    "开始": "Start",
    "改一个数，再比较": "Change a number and compare",
    "命名的实验": "Named experiments",
    "许多设置": "Many settings",
    "在 TensorBoard 中查看": "In TensorBoard",
    "分享结果": "Share the results",
    "真的变好了吗？": "Is it better?",
    "在拉取请求上": "On a pull request",
    "一页报告": "A page to look at",
    "交付模型": "Hand the model on",
    "dvc.lock 可信吗？": "Can I trust dvc.lock?",
    "其他数据集和镜像": "Another data set, and a mirror",
    "用自己的图像": "Your own images",
    "torchvision 的网络": "Networks of torchvision",
    "这张图片里是什么？": "What is in my picture?",
    "只用 CPU 或其他 CUDA 版本的 PyTorch": "A CPU-only or another CUDA build of PyTorch",
    "出错的时候": "When something goes wrong",
}
"""Every section of the Chinese page, and the one of README.md that it tells again."""


def sections(text: str) -> dict[str, str]:
    """The text below each heading of the second and third level, up to the next heading."""
    parts = re.split(r"^#{2,3} (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def commands(text: str) -> list[str]:
    """The lines of the blocks of shell code, without comments and blank lines."""
    lines = [
        line for block in re.findall(r"^```bash\n(.*?)^```$", text, re.DOTALL | re.MULTILINE) for line in block.split("\n")
    ]
    return [command for line in lines if (command := re.sub(r"(^|\s)#.*", "", line).strip())]


def error_rows(text: str) -> list[list[str]]:
    """Of each row of the table of errors, all that is set as code: messages and commands, in the order of its cells."""
    rows = re.findall(r"^\| .* \|$", text, re.MULTILINE)[1:]
    return [[double or single for double, single in re.findall(r"``(.+?)``(?!`)|`([^`]+)`", row)] for row in rows]


def figures(text: str) -> set[str]:
    return set(re.findall(r"\d[\d.,]*\d", text))


def test_the_sections_stand_in_the_order_of_readme() -> None:
    assert list(sections(CHINESE)) == list(SECTIONS)
    english = list(sections(ENGLISH))
    places = [english.index(title) for title in SECTIONS.values()]
    assert places == sorted(places)


@pytest.mark.parametrize(("chinese", "english"), SECTIONS.items())
def test_a_section_has_the_same_commands(chinese: str, english: str) -> None:
    assert commands(sections(CHINESE)[chinese]) == commands(sections(ENGLISH)[english])


def test_every_section_with_commands_is_told_again() -> None:
    with_commands = [title for title, text in sections(ENGLISH).items() if commands(text)]
    assert [title for title in with_commands if title not in SECTIONS.values()] == []
    assert commands(CHINESE) == commands(ENGLISH)


def test_there_are_commands_to_compare() -> None:
    found = commands(CHINESE)
    assert found[0] == "make quickstart"
    assert {"dvc exp run -S lr=0.003", "git checkout HEAD -- . && dvc checkout"} < set(found)
    assert len(found) > 20


def test_the_errors_have_the_same_messages_and_commands() -> None:
    last = list(SECTIONS)[-1]
    chinese, english = error_rows(sections(CHINESE)[last]), error_rows(sections(ENGLISH)[SECTIONS[last]])
    assert len(chinese) > 10
    assert [row for row in chinese if row not in english] == []
    assert chinese == [row for row in english if row in chinese], "another order"


def test_no_figure_stands_in_it_that_readme_does_not_have() -> None:
    (accuracy,) = re.findall(r"(\d+\.\d) % of the 10,000 test images", ENGLISH)
    assert {accuracy, "10,000"} < figures(CHINESE) <= figures(ENGLISH)


def test_the_picture_of_the_pipeline_names_the_same_stages() -> None:
    english, chinese = (re.findall(r"^!\[(.*)\]\(docs/pipeline", text, re.MULTILINE)[0] for text in (ENGLISH, CHINESE))
    assert re.findall(r"[a-z]+", chinese) == [word for word in re.findall(r"[a-z]+", english) if word in chinese]
    assert len(re.findall(r"[a-z]+", chinese)) == 7
    assert "in seven stages" in ENGLISH
    assert CHINESE.count("七个阶段") == 3


def test_each_page_links_to_the_other_and_its_links_lead_somewhere() -> None:
    assert "](README.zh-CN.md)" in ENGLISH
    anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in sections(ENGLISH)}
    for link in re.findall(r"\]\(([^)]+)\)", CHINESE):
        name, _, anchor = link.partition("#")
        assert (SOURCE / name).is_file(), link
        assert not anchor or (name == "README.md" and anchor in anchors), link
    assert "](README.md)" in CHINESE
