"""The review as Markdown, for a comment on a pull request, and as an HTML page that needs nothing else: the verdict first."""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence

from record.verdicts import NO_EVIDENCE
from tools.page import render
from tools.review import wording
from tools.review.review import Review

MARK = "<!-- tools.review -->"
"""The first line, by which a program finds its own comment again."""
MAX_ROWS_NAMED = 30
MAX_CHANGES_OPEN = 10
_LONGEST = 100
_SPECIAL = re.compile(r"([!#$&'*<>@\[-`{-~])")
"""Punctuation that means something in Markdown, in HTML or to the platform, within a line."""


def as_markdown(review: Review, pictures: Sequence[str] = ()) -> str:
    """The whole comment; `pictures` are links to those that were drawn."""
    blocks = [MARK, *_verdict(review), _table_of_metrics(review), *_changes(review)]
    if review.flips and not review.identical:
        blocks += _classes(review)
        blocks += _flips(review)
    blocks += _other_metrics(review)
    if pictures:
        blocks += _folded("Pictures", *(f"![]({link})" for link in pictures))
    if review.flips and not review.identical:
        blocks += _folded(wording.METHODS_TITLE, wording.METHODS)
    return "\n\n".join(blocks) + "\n"


def text(words: str) -> str:
    """`words` as they are: no character of them is Markdown or HTML, nor do they call a person's name."""
    short = " ".join(words.split())
    short = short if len(short) <= _LONGEST else f"{short[: _LONGEST - 1]}…"
    return _SPECIAL.sub(r"\\\1", short).replace("@", "@\u2060")


def code(words: str) -> str:
    """`words` in code type, also in a cell of a table."""
    short = " ".join(words.split()).replace("`", "'").replace("|", "\\|")
    return f"`{short if len(short) <= _LONGEST else short[: _LONGEST - 1] + '…'}`" if short else ""


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> str:
    """A table of cells that are Markdown; `align` has `l`, `r` or `c` for each column."""
    rules = {"l": ":--", "r": "--:", "c": ":-:"}
    lines = [heads, [rules[letter] for letter in align], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _verdict(review: Review) -> Iterator[str]:
    yield f"### Review: {_name(review, 'before')} → {_name(review, 'after')}"
    verdict, sentence = wording.headline(review)
    yield " ".join([f"**{verdict}**{text_of_sentence(sentence)}", *map(text_of_sentence, wording.further_verdicts(review))])
    for line in wording.guessing_sentences(review):
        yield f"> **No better than guessing.** {text_of_sentence(line)}."
    for line in wording.stale_sentences(review):
        yield f"> **Stale.** {text_of_sentence(line)}. Run `dvc repro` and commit its results."


def text_of_sentence(sentence: str) -> str:
    """A sentence of any length as it is."""
    return " ".join(text(word) for word in sentence.split(" "))


def _name(review: Review, side: str) -> str:
    return code(wording.revision_words(review.before if side == "before" else review.after))


def _verdict_cell(verdict: str) -> str:
    return verdict if verdict == NO_EVIDENCE else f"**{verdict}**"


def _table_of_metrics(review: Review) -> str:
    rows = []
    for metric in review.metrics:
        rows.append([wording.metric_words(metric.name), *wording.metric_cells(metric), _verdict_cell(metric.verdict)])
    return table(["metric", "before", "after", "difference", "95 % interval", "verdict"], rows, "lrrrcl")


def _changes(review: Review) -> Iterator[str]:
    rows = [
        [f"{change.kind} {code(change.name)}", code(change.before), code(change.after), ", ".join(map(text, change.stages))]
        for change in review.changes
    ]
    sentence = text_of_sentence(wording.touched_sentence(review))
    if not rows:
        yield f"**What changed:** nothing that a stage reads. {sentence}"
        return
    changed = table(["what changed", "before", "after", "read by"], rows, "llll")
    if len(rows) <= MAX_CHANGES_OPEN:
        yield changed
        yield sentence
    else:
        yield from _folded(f"What changed: {len(rows)} params and files", changed, sentence)


def _classes(review: Review) -> Iterator[str]:
    rows = [[text(one.name), *wording.class_cells(one), _verdict_cell(one.verdict)] for one in wording.listed_classes(review)]
    heads = ["class", *wording.CLASS_HEADS, "verdict"]
    changed = sum(one.verdict != NO_EVIDENCE for one in review.classes)
    differ = f"{changed} of {len(review.classes)} differ"
    summary = f"By class: {differ if changed else 'no evidence of a difference in any'}"
    yield from _folded(summary, table(heads, rows, "lrrrrrrrl"), *wording.left_out_sentences(review))


def _flips(review: Review) -> Iterator[str]:
    assert review.flips is not None
    lines = []
    for (sentence, mistakes), rows in zip(
        wording.flip_sentences(review), (review.flips.lost, review.flips.gained), strict=True
    ):
        line = f"**{sentence}**" + (f" ({'; '.join(map(text, mistakes))})" if mistakes else "")
        if len(rows):
            more = f" and {len(rows) - MAX_ROWS_NAMED:,} more" if len(rows) > MAX_ROWS_NAMED else ""
            line += f". Images {', '.join(str(row) for row in rows[:MAX_ROWS_NAMED])}{more}"
        lines.append(f"{line}.")
    summary = f"Changed images: {len(review.flips.lost):,} right → wrong, {len(review.flips.gained):,} wrong → right"
    yield from _folded(summary, *lines, "Images are counted from 0 in the order of the test split.")


def _other_metrics(review: Review) -> Iterator[str]:
    rows = [[code(name), *wording.other_metric_cells(*pair)] for name, pair in review.other_metrics.items()]
    heads = ["metric", "before", "after", "difference"]
    yield from _folded(wording.OTHER_METRICS, table(heads, rows, "lrrr"))


def _folded(summary: str, *blocks: str) -> Iterator[str]:
    """The empty lines around the content make a platform read it as Markdown."""
    yield f"<details><summary>{summary}</summary>"
    yield from blocks
    yield "</details>"


def as_page(review: Review, pictures: Mapping[str, bytes], missing: str | None) -> str:
    """The page; `pictures` are PNGs by caption, `missing` says why those of the images are not among them."""
    return render(
        "review/review",
        title=f"Review: {wording.revision_words(review.before)} → {wording.revision_words(review.after)}",
        review=review,
        wording=wording,
        pictures={name: f"data:image/png;base64,{base64.b64encode(png).decode()}" for name, png in pictures.items()},
        missing=missing,
        rows={
            "metrics": [
                [wording.metric_words(metric.name), metric.verdict, *wording.metric_cells(metric)] for metric in review.metrics
            ],
            "changes": [
                [f"{change.kind} {change.name}", change.before, change.after, ", ".join(change.stages)]
                for change in review.changes
            ],
            "classes": [[one.name, one.verdict, *wording.class_cells(one)] for one in wording.listed_classes(review)],
            "other_metrics": [[name, *wording.other_metric_cells(*values)] for name, values in review.other_metrics.items()],
        },
    )
