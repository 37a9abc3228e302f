"""The confusion matrix whose cells open their images, without a script: each cell is a button for a popover of the browser."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from record.results import Results
from tools.report.confusions import MAX_CLASSES, MAX_PER_CELL, Cell, data_address
from tools.review.html import own_text
from tools.review.wording import percent

SHADES = (0.01, 0.05, 0.2, 0.6)
"""Shares of the actual class at which the colour of a cell deepens."""
LAZY = ' loading="lazy"'
"""What lies in a closed cell need not be decoded before it is opened; what is printed must be there."""
SHADE_WORDS = ("under 1 %", "1 to 5 %", "5 to 20 %", "20 to 60 %", "60 % and more")


def confusion_matrix(results: Results, cells: Sequence[Cell]) -> str:
    """Of MAX_CLASSES classes at most: actual classes down, predicted ones across. With more, the commonest confusions."""
    return _matrix(results, cells) if len(results.classes) <= MAX_CLASSES else _list(results, cells)


def _matrix(results: Results, cells: Sequence[Cell]) -> str:
    by_place = {(cell.actual, cell.predicted): cell for cell in cells}
    heads = "".join(f'<th scope="col">{_clipped(name)}</th>' for name in results.classes)
    rows = []
    for actual, name in enumerate(results.classes):
        row = "".join(_place(results, by_place.get((actual, other))) for other in range(len(results.classes)))
        rows.append(f'<tr><th scope="row">{_clipped(name)}</th>{row}</tr>')
    keys = "".join(
        f'<li><span class="key wrong{shade}"></span><span class="key right{shade}"></span> {words}</li>'
        for shade, words in enumerate(SHADE_WORDS)
    )
    return (
        "<p>Actual class down, predicted class across; in the cells the number of test images.</p>"
        '<div class="wide" role="region" aria-label="Confusion matrix"><table class="matrix">'
        f"<thead><tr><td></td>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        f'<ul class="keys"><li>Share of the actual class (mistakes, right answers):</li>{keys}</ul>'
    )


def _clipped(name: str) -> str:
    """A long name is cut off by the style sheet; pointing at it shows the whole."""
    return f'<span title="{escape(name)}">{own_text(name)}</span>'


def _place(results: Results, cell: Cell | None) -> str:
    if cell is None:
        return '<td class="none">0</td>'
    kind = f"{'right' if cell.is_right else 'wrong'}{int(np.searchsorted(SHADES, cell.share, side='right'))}"
    return f'<td class="{kind}">{_button(results, cell)}</td>'


def _list(results: Results, cells: Sequence[Cell]) -> str:
    rows = "".join(
        f"<tr><td>{own_text(results.classes[cell.actual])}</td><td>{own_text(results.classes[cell.predicted])}</td>"
        f'<td class="number">{_button(results, cell)}</td><td class="number">{percent(cell.share)}</td></tr>'
        for cell in cells
    )
    return (
        f"<p>{len(results.classes):,} classes are too many for a matrix; here are the {len(cells)} commonest confusions.</p>"
        '<div class="wide" role="region" aria-label="Commonest confusions"><table class="confusions"><thead><tr>'
        '<th scope="col">actual</th><th scope="col">predicted</th><th scope="col" class="number">images</th>'
        f'<th scope="col" class="number">share of actual</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _button(results: Results, cell: Cell) -> str:
    return (
        f'<button type="button" popovertarget="{cell.name}" aria-label="{escape(_words(results, cell))}: {_count(cell)}">'
        f"{len(cell.rows_N)}</button>"
    )


def _words(results: Results, cell: Cell) -> str:
    actual, predicted = results.classes[cell.actual], results.classes[cell.predicted]
    return f"{actual}, right" if cell.is_right else f"{actual} taken for {predicted}"


def _count(cell: Cell) -> str:
    return f"{len(cell.rows_N):,} image{'s' if len(cell.rows_N) > 1 else ''}, {percent(cell.share)} of the class"


def cell_dialogs(results: Results, cells: Sequence[Cell], pictures: Mapping[int, bytes] | None) -> str:
    """What the buttons open; without pictures, the numbers of the images."""
    return "".join(_dialog(results, cell, pictures) for cell in cells)


def _dialog(results: Results, cell: Cell, pictures: Mapping[int, bytes] | None) -> str:
    rows = cell.rows_N[:MAX_PER_CELL].tolist()
    rows = rows if pictures is None else [row for row in rows if row in pictures]
    actual, predicted = own_text(results.classes[cell.actual]), own_text(results.classes[cell.predicted])
    title = f"{actual}, right" if cell.is_right else f"{actual} taken for {predicted}"
    order = "least sure" if cell.is_right else "surest"
    shown = "" if len(rows) == len(cell.rows_N) else f" Here are {len(rows)}, those that the model was {order} of."
    content = tiles(results, rows, pictures) if rows else ""
    return (
        f'<dialog popover id="{cell.name}" aria-labelledby="{cell.name}-title"><div class="top">'
        f'<h3 id="{cell.name}-title">{title}</h3>'
        f'<button type="button" autofocus popovertarget="{cell.name}" popovertargetaction="hide">Close</button></div>'
        f"<p>{_count(cell)}.{shown}</p>{content}</dialog>"
    )


def tiles(results: Results, rows: Sequence[int], pictures: Mapping[int, bytes] | None, named: bool = False) -> str:
    """A picture of each row with its number and the model's confidence; `named` adds actual and predicted class."""
    return f'<ul class="tiles">{"".join(_tile(results, row, pictures, named) for row in rows)}</ul>'


def _tile(results: Results, row: int, pictures: Mapping[int, bytes] | None, named: bool) -> str:
    actual, predicted = (results.classes[labels_N[row]] for labels_N in (results.actual_N, results.predicted_N))
    picture = ""
    if pictures is not None and row in pictures:
        alt = escape(f"Test image {row}: {actual}")
        picture = f'<img{"" if named else LAZY} alt="{alt}" src="{data_address(pictures[row])}">'
    names = f"{own_text(actual)}<br>→ {own_text(predicted)}<br>" if named else ""
    confidence = percent(results.predictions["confidence"].iloc[row])
    return f'<li>{picture}{names}<span class="small">{confidence}<br>image {row}</span></li>'
