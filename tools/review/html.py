"""The frame of a page that needs nothing else, and its tables. Every text is escaped; no page has a script.

The policy names the one style sheet by its hash, so that not even a mistake in escaping could load, run or restyle anything.
"""

import base64
import hashlib
from collections.abc import Sequence
from html import escape

BASE_STYLE = """
:root { color-scheme: light; --line: #d0d0d0; --soft: #f4f4f4; --good: #0072b2; --bad: #b34700; }
@media screen and (prefers-color-scheme: dark) {
  :root { color-scheme: dark; --line: #444; --soft: #222; --good: #6cc0f5; --bad: #ff9a5c; }
}
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 66rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: start; white-space: nowrap; }
tbody th { font-weight: normal; }
.number { text-align: right; }
@media print { :root { font-size: 9pt; } body { max-width: none; padding: 0; } @page { margin: 1.5cm; }
  .wide { overflow: visible; } tr { break-inside: avoid; } }
"""


def document(title: str, style: str, body: str) -> str:
    """The page with `body`, which is HTML."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{escape(title)}</title><style>{style}</style>"
    )
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body><main>\n{body}\n</main></body></html>\n'


def table(label: str, heads: Sequence[str], rows: Sequence[Sequence[str]], kinds: str) -> str:
    """A table of plain text that a small screen scrolls sideways.

    `kinds` has a letter for each column: `h` names the row, `t` is text, `n` a number, `v` a verdict, which is coloured.
    """
    head = "".join(f'<th scope="col"{_number(kind)}>{escape(cell)}</th>' for cell, kind in zip(heads, kinds, strict=True))
    lines = "".join(f"<tr>{''.join(_cell(cell, kind) for cell, kind in zip(row, kinds, strict=True))}</tr>" for row in rows)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(label)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def own_text(words: str) -> str:
    """A name of any script, whose direction of writing does not spread to what stands around it."""
    return f"<bdi>{escape(words)}</bdi>"


def _cell(cell: str, kind: str) -> str:
    if kind == "h":
        return f'<th scope="row">{own_text(cell)}</th>'
    if kind == "v" and cell in ("better", "worse"):
        return f'<td class="{cell}">{escape(cell)}</td>'
    return f"<td{_number(kind)}>{own_text(cell) if kind == 't' else escape(cell)}</td>"


def _number(kind: str) -> str:
    return ' class="number"' if kind == "n" else ""
