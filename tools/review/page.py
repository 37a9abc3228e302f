"""The review as one HTML file that needs nothing else: no script, no network; dark and light, small screens, print."""

import base64
from collections.abc import Mapping, Sequence
from html import escape

from record.verdicts import BETTER, WORSE
from tools.review import wording
from tools.review.html import BASE_STYLE, document, table
from tools.review.markdown import METHODS
from tools.review.review import Review

STYLE = (
    BASE_STYLE
    + """
.verdict { font-size: 1.15rem; padding: .75rem 1rem; background: var(--soft); border-left: .3rem solid var(--line); }
.better { color: var(--good); font-weight: bold; } .worse { color: var(--bad); font-weight: bold; }
.verdict.better, .verdict.worse { color: inherit; font-weight: inherit; }
.verdict.better { border-color: var(--good); } .verdict.worse { border-color: var(--bad); }
img { max-width: 100%; height: auto; background: white; border-radius: .3rem; }
figure { margin: 1rem 0; break-inside: avoid; } figcaption { font-size: .9rem; }
"""
)


def as_page(review: Review, pictures: Mapping[str, bytes], missing: str | None) -> str:
    """The page; `pictures` are PNGs by caption, `missing` says why those of the images are not among them."""
    title = f"Review: {wording.revision_words(review.before)} → {wording.revision_words(review.after)}"
    parts = [f"<h1>{escape(title)}</h1>", _verdict(review), _metrics(review), _changes(review)]
    if review.flips and not review.identical:
        parts += [_classes(review), _flips(review)]
    parts += [*_pictures(pictures, missing), _other_metrics(review)]
    if review.flips and not review.identical:
        parts += ["<h2>How this is judged</h2>", f"<p>{escape(METHODS)}</p>"]
    return document(title, STYLE, "\n".join(parts))


def _verdict(review: Review) -> str:
    verdict, sentence = wording.headline(review)
    more = " ".join(wording.further_verdicts(review))
    stale = "".join(
        f"<p><strong>Stale.</strong> {escape(line)}. Run <code>dvc repro</code>.</p>"
        for line in wording.stale_sentences(review)
    )
    return (
        f'<p class="verdict {_class(verdict.lower())}"><strong>{verdict}</strong>{escape(sentence)} {escape(more)}</p>{stale}'
    )


def _metrics(review: Review) -> str:
    rows = [[wording.metric_words(metric.name), *wording.metric_cells(metric)] for metric in review.metrics]
    return _table("Test metrics", ["metric", "before", "after", "difference", "95 % interval", "verdict"], rows, "hnnnnv")


def _changes(review: Review) -> str:
    rows = [
        [f"{change.kind} {change.name}", change.before, change.after, ", ".join(change.stages)] for change in review.changes
    ]
    heads = ["what changed", "before", "after", "read by"]
    listed = _table("What changed", heads, rows, "httt") if rows else "<h2>What changed</h2><p>Nothing that a stage reads.</p>"
    return f"{listed}<p>{escape(wording.touched_sentence(review))}</p>"


def _classes(review: Review) -> str:
    rows = [
        [
            one.name,
            f"{one.num_images:,}",
            wording.figure(one.recall_before),
            wording.figure(one.recall_after),
            wording.signed(one.recall_after - one.recall_before),
            f"{one.gained}",
            f"{one.lost}",
            f"{one.p_value:.3g}",
            one.verdict,
        ]
        for one in review.classes
    ]
    heads = ["class", "images", "recall before", "after", "difference", "gained", "lost", "p (Holm)", "verdict"]
    return _table("By class", heads, rows, "hnnnnnnnv")


def _flips(review: Review) -> str:
    items = [
        f"<li><strong>{escape(sentence)}</strong>{escape(': ' * bool(mistakes) + '; '.join(mistakes))}</li>"
        for sentence, mistakes in wording.flip_sentences(review)
    ]
    return f"<h2>Images that changed sides</h2><ul>{''.join(items)}</ul>"


def _pictures(pictures: Mapping[str, bytes], missing: str | None) -> list[str]:
    figures = [
        f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for caption, png in pictures.items()
    ]
    note = [f"<p>{escape(missing[:1].upper() + missing[1:])}.</p>"] if missing else []
    return ["<h2>Pictures</h2>", *figures, *note]


def _other_metrics(review: Review) -> str:
    rows = [[name, *wording.other_metric_cells(*pair)] for name, pair in review.other_metrics.items()]
    return _table("Other metrics, which nothing can be tested for", ["metric", "before", "after", "difference"], rows, "hnnn")


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], kinds: str) -> str:
    return f"<h2>{escape(title)}</h2>{table(title, heads, rows, kinds)}"


def _class(verdict: str) -> str:
    return verdict if verdict in (BETTER, WORSE) else ""
