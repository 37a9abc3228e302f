"""The report as one HTML file that needs nothing else: no script, no network; dark and light, small screens, print."""

from tools.report import sections
from tools.report.confusions import Cell, fair_order, find_cells, surest_mistakes
from tools.report.figures import Figures, work_out
from tools.report.matrix import cell_dialogs, confusion_matrix, tiles
from tools.report.run import Run
from tools.report.style import STYLE
from tools.report.thumbnails import LONGEST_SIDE, MOST_BYTES, MOST_IMAGES, thumbnails
from tools.review.html import document, own_text

COARSE_SIDE = 48
"""Images up to this many pixels are enlarged with sharp edges."""
_TOO_OLD = "This browser is too old to open the cells (it lacks popovers, which all have since 2024)."


def as_page(run: Run) -> str:
    """The page; the same run gives the same text."""
    results = run.results
    cells, mistakes = find_cells(results), surest_mistakes(results).tolist()
    pictures = None if run.images_NCHW is None else thumbnails(run.images_NCHW, [*mistakes, *fair_order(cells)])
    found = work_out(results)
    parts = _sections(run, cells, mistakes, pictures, found)
    links = "".join(f'<li><a href="#{name}">{title}</a></li>' for name, title, _ in parts)
    body = [
        f"<h1>{own_text(run.title)}</h1>",
        sections.headline(run, found),
        sections.notices(run),
        f'<nav aria-label="Parts of the report"><ul>{links}</ul></nav>',
        *(sections.section(name, title, content) for name, title, content in parts),
        _footer(pictures),
    ]
    coarse = run.images_NCHW is not None and max(run.images_NCHW.shape[2:]) <= COARSE_SIDE
    dialogs = cell_dialogs(results, cells, pictures)
    kind = "coarse" if coarse else "smooth"
    return document(run.title, STYLE, "\n".join([f'<div class="{kind}">', *body, dialogs, "</div>"]))


def _sections(
    run: Run, cells: list[Cell], mistakes: list[int], pictures: dict[int, bytes] | None, found: Figures
) -> list[tuple[str, str, str]]:
    """Name, title and content of each part that there is something to tell of."""
    results = run.results
    matrix = (
        '<p>A cell opens its images. <a class="skip" href="#mistakes">Skip the cells</a></p>'
        f'<p class="note old">{_TOO_OLD}</p>{confusion_matrix(results, cells)}'
    )
    return [
        ("metrics", "Metrics", sections.metrics(run, found)),
        ("curves", "Learning curves", sections.curves(run)),
        ("confusion", "Confusion matrix", matrix),
        ("mistakes", "Most confident mistakes", _mistakes(run, mistakes, pictures)),
        ("calibration", "Calibration", sections.calibration(found.calibration)),
        ("classes", "By class", sections.classes(run)),
        *([("data", "Data", sections.data(run.data_report))] if run.data_report else []),
        ("params", "Params", sections.params(results.lock)),
        ("pipeline", "Pipeline", sections.pipeline(results.lock)),
        ("provenance", "Provenance", sections.provenance(run)),
    ]


def _mistakes(run: Run, mistakes: list[int], pictures: dict[int, bytes] | None) -> str:
    num_wrong = int((~run.results.right_N).sum())
    if not mistakes:
        return "<p>There is none.</p>"
    some = f"The {len(mistakes)} of {num_wrong:,} mistakes that the model was surest of"
    words = f"{some if len(mistakes) < num_wrong else 'All mistakes, the surest first'} (actual → predicted class)."
    return f"<p>{words}</p>{tiles(run.results, mistakes, pictures, named=True)}"


def _footer(pictures: dict[int, bytes] | None) -> str:
    if pictures is None:
        return ""
    size = sum(map(len, pictures.values())) / 2**20
    return (
        f'<footer class="small"><p>{len(pictures):,} pictures of test images take {size:.2f} MiB of at most '
        f"{MOST_BYTES / 2**20:g} MiB ({MOST_IMAGES:,} pictures at most; those of more than {LONGEST_SIDE} pixels a side are "
        "reduced). Grey images are drawn dark on light. Images are counted from 0 in the order of the test split.</p></footer>"
    )
