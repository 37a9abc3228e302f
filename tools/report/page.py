"""The report as one HTML file that needs nothing else: no script, no network; dark and light, small screens, print."""

from tools.report import sections
from tools.report.calibration import Figures, work_out
from tools.report.confusions import (
    LONGEST_SIDE,
    MAX_BYTES,
    MAX_IMAGES,
    Cell,
    fair_order,
    find_cells,
    surest_mistakes,
    thumbnails,
)
from tools.report.matrix import cell_dialogs, confusion_matrix, tiles
from tools.report.run import Run
from tools.review.html import BASE_STYLE, document, own_text

STYLE = (
    BASE_STYLE
    + """
:root { --page: #ffffff; --text: #1a1a1a; --quiet: #5c5c5c; --blue: #0072b2; --orange: #b84f00;
  --wrong0: #fdf3ea; --wrong1: #fbdcc0; --wrong2: #f6b482; --wrong3: #b84f00; --wrong4: #7a3500;
  --right0: #eaf3fa; --right1: #c5e0f2; --right2: #8cc4e8; --right3: #0072b2; --right4: #004a75;
  --on2: #1a1a1a; --on3: #ffffff; --on4: #ffffff; }
@media screen and (prefers-color-scheme: dark) { :root { --page: #121212; --text: #ececec; --quiet: #a8a8a8; --blue: #6cc0f5;
  --orange: #ff9a5c;
  --wrong0: #2a1c10; --wrong1: #43290f; --wrong2: #6b3a0b; --wrong3: #b84f00; --wrong4: #ffb27a;
  --right0: #101f2a; --right1: #0f2f45; --right2: #0b4a70; --right3: #0072b2; --right4: #8cc9f0;
  --on2: #ffffff; --on3: #ffffff; --on4: #1a1a1a; } }
html { scroll-behavior: smooth; } @media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body { background: var(--page); color: var(--text); }
a { color: var(--blue); } :focus-visible { outline: 3px solid var(--orange); outline-offset: 2px; }
h1 { margin-bottom: .2rem; } h2 { border-top: 1px solid var(--line); padding-top: 1rem; } h3 { font-size: 1rem; }
.small { font-size: .85rem; color: var(--quiet); } svg .small { font-size: 10px; }
.skip { position: absolute; left: -99rem; } .skip:focus { position: static; }
nav ul, .keys, .tiles { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; }
.figures { display: grid; grid-template-columns: repeat(4, 1fr); gap: .8rem; margin: 1rem 0; }
@media (max-width: 60rem) { .figures { grid-template-columns: repeat(2, 1fr); } }
@media (max-width: 24rem) { .figures { grid-template-columns: 1fr; } }
.figures div { background: var(--soft); border-radius: .4rem; padding: .6rem 1rem; }
.figures dt { font-size: .9rem; color: var(--quiet); } .figures dd { margin: 0; font-size: 1.5rem; }
.figures dd span { display: block; }
.note { background: var(--soft); border-left: .3rem solid var(--orange); padding: .5rem 1rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 1rem; }
figure { margin: 0; break-inside: avoid; } figcaption { font-size: .92rem; } .charts figcaption { font-weight: bold; }
.chart { width: 100%; height: auto; max-width: 36rem; display: block; }
svg text { fill: var(--text); font-size: 12px; font-family: system-ui, sans-serif; }
.grid { stroke: var(--line); } .axis { stroke: var(--quiet); } .kept { stroke: var(--quiet); stroke-dasharray: 2 3; }
path.training, path.validation { fill: none; stroke-width: 2; } path.training { stroke: var(--blue); }
path.validation { stroke: var(--orange); stroke-dasharray: 6 3; }
circle.training { fill: var(--blue); } circle.validation { fill: var(--orange); }
.whisker { stroke: var(--blue); stroke-width: 2; } .ideal { stroke: var(--quiet); stroke-dasharray: 5 4; }
.bar { fill: var(--line); }
.stroke { display: inline-block; width: 1.6rem; border-top: 3px solid var(--blue); vertical-align: middle; }
.stroke.dashed { border-top: 3px dashed var(--orange); } .stroke.dotted { border-top: 3px dotted var(--quiet); }
.pipeline .files { fill: var(--soft); stroke: var(--line); } .pipeline .stage { fill: #0072b2; }
.pipeline .name, .pipeline .params { fill: #ffffff; } .pipeline { max-width: 100%; min-width: 52rem; height: auto; }
.pipeline .params { font-size: 13px; } .pipeline .name { font-size: 16px; font-weight: bold; }
.pipeline .file { font-size: 13px; } .arrow { fill: none; stroke: var(--quiet); stroke-width: 1.5; }
.head { fill: var(--quiet); }
.matrix { border-spacing: 2px; border-collapse: separate; }
.matrix th, .matrix td { border: 0; padding: 0; text-align: center; } .matrix td.none { color: var(--quiet); }
.matrix thead span { writing-mode: vertical-rl; transform: rotate(180deg); max-height: 9rem; }
.matrix tbody span { max-width: 9rem; padding-inline-end: .4rem; }
.matrix tbody th { text-align: end; position: sticky; inset-inline-start: 0; background: var(--page); }
.matrix th span { display: inline-block; overflow: hidden; text-overflow: ellipsis;
  vertical-align: bottom; font-weight: normal; }
.matrix button { font: inherit; color: inherit; background: none; border: 0; width: 100%; min-width: 2.9rem; height: 2.1rem;
  cursor: pointer; }
.matrix button:hover { text-decoration: underline; }
.matrix button:focus-visible { outline-offset: -3px; outline-color: currentColor; }
.confusions button { font: inherit; color: var(--blue); min-width: 3rem; cursor: pointer; }
.key { display: inline-block; width: 1.1rem; height: 1.1rem; vertical-align: text-bottom; }
.wrong0 { background: var(--wrong0); } .wrong1 { background: var(--wrong1); }
.wrong2 { background: var(--wrong2); color: var(--on2); } .wrong3 { background: var(--wrong3); color: var(--on3); }
.wrong4 { background: var(--wrong4); color: var(--on4); }
.right0 { background: var(--right0); } .right1 { background: var(--right1); }
.right2 { background: var(--right2); color: var(--on2); } .right3 { background: var(--right3); color: var(--on3); }
.right4 { background: var(--right4); color: var(--on4); }
.tiles { gap: .6rem; font-size: .85rem; line-height: 1.25; } .tiles li { width: 6.2rem; break-inside: avoid; }
.tiles img { display: block; width: 4.5rem; height: 4.5rem; object-fit: contain; background: white;
  border: 1px solid var(--line); }
.coarse img { image-rendering: pixelated; }
dialog { width: min(52rem, 100vw - 2rem); max-height: 85vh; box-sizing: border-box; overflow: auto; padding: 0 1rem 1rem;
  color: var(--text); background: var(--page); border: 1px solid var(--quiet); border-radius: .5rem; }
dialog::backdrop { background: rgb(0 0 0 / 55%); }
.top { display: flex; justify-content: space-between; align-items: center; gap: 1rem; position: sticky; top: 0;
  background: var(--page); }
.top button { white-space: nowrap; overflow-wrap: normal; font: inherit; padding: .3rem .9rem; }
summary { cursor: pointer; } code { font-size: .9em; }
.old { display: none; } @supports not selector(:popover-open) { .old { display: block; } }
@media print { nav, .skip { display: none; } h2 { break-after: avoid; }
  .matrix td, .key, .pipeline, .chart, .figures div { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .pipeline { min-width: 0; } .matrix { break-inside: avoid; }
  .matrix button { min-width: 2.4rem; height: 1.7rem; } }
"""
)


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
        f"{MAX_BYTES / 2**20:g} MiB ({MAX_IMAGES:,} pictures at most; those of more than {LONGEST_SIDE} pixels a side are "
        "reduced). Grey images are drawn dark on light. Images are counted from 0 in the order of the test split.</p></footer>"
    )
