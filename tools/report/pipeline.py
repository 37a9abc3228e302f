"""A picture of the stages that dvc.lock records, with the files between them."""

from dataclasses import dataclass
from html import escape

from record.lock_file import Lock, LockedStage
from tools.report.charts import text

_BOX, _GAP, _MARGIN = 186, 28, 8
_HEAD, _ROW = 46, 19
_MAX_OUTS = 5
_LONGEST = 25
_LIFT = 19
"""How much higher an arrow is for each further stage that it passes over."""


@dataclass(frozen=True)
class _Arrow:
    start: int
    end: int
    """Positions of two stages."""
    names: list[str]
    """What the one makes and the other reads."""


def pipeline_picture(lock: Lock) -> str:
    """The stages, each behind those that it reads from; an arrow for what one makes and another one reads."""
    lock = Lock(stages=_in_order(lock.stages))
    names, arrows = list(lock.stages), _arrows(lock)
    sky = max((arrow.end - arrow.start for arrow in arrows), default=1) * _LIFT + 16
    most_outs = max(min(len(stage.outs), _MAX_OUTS + 1) for stage in lock.stages.values())
    width = len(names) * (_BOX + _GAP) - _GAP + 2 * _MARGIN
    height = sky + _HEAD + most_outs * _ROW + 20
    parts = [_box(index, name, lock.stages[name], sky) for index, name in enumerate(names)]
    parts += [_drawn(arrow, sky) for arrow in arrows]
    reads = "; ".join(f"{names[arrow.end]} reads {', '.join(arrow.names)} of {names[arrow.start]}" for arrow in arrows)
    label = escape(f"Stages: {', '.join(names)}. {reads}.")
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    lines = [
        f'<svg class="pipeline" {size} role="img" aria-label="{label}">',
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path class="head" d="M0 0L8 4L0 8z"/></marker></defs>',
        *parts,
        "</svg>",
    ]
    return "\n".join(lines)


def _in_order(stages: dict[str, LockedStage]) -> dict[str, LockedStage]:
    """DVC appends a stage that is new in dvc.yaml to dvc.lock. What reads in a circle, as no pipeline does, stays as it is."""
    left, ordered = dict(stages), {}
    while left:
        waiting = {name for name, stage in left.items() if any(_read(stage, left[other]) for other in left if other != name)}
        name = next((name for name in left if name not in waiting), next(iter(left)))
        ordered[name] = left.pop(name)
    return ordered


def _read(reader: LockedStage, maker: LockedStage) -> list[str]:
    """Paths that the one makes and the other reads."""
    outs = [out.path for out in maker.outs]
    return [path for path in reader.dep_hashes if any(path == out or path.startswith(f"{out}/") for out in outs)]


def _arrows(lock: Lock) -> list[_Arrow]:
    stages = list(lock.stages.values())
    found = []
    for end, reader in enumerate(stages):
        for start, maker in enumerate(stages):
            read = _read(reader, maker)
            if read and start < end:
                found.append(_Arrow(start, end, read))
    return found


def _box(index: int, name: str, stage: LockedStage, top: int) -> str:
    left, middle = _left(index), _left(index) + _BOX / 2
    shown = [out.path for out in stage.outs]
    if len(shown) > _MAX_OUTS + 1:
        shown = [*shown[:_MAX_OUTS], f"and {len(shown) - _MAX_OUTS} more"]
    height = _HEAD + len(shown) * _ROW + 8
    params = f"{len(stage.param_values)} params" if len(stage.param_values) != 1 else "1 param"
    rows = [
        text((middle, top + _HEAD + 12 + number * _ROW), _short(path), "middle", "file") for number, path in enumerate(shown)
    ]
    return (
        f'<rect class="files" x="{left}" y="{top}" width="{_BOX}" height="{height}" rx="7"/>'
        f'<rect class="stage" x="{left}" y="{top}" width="{_BOX}" height="{_HEAD - 4}" rx="7"/>'
        f"{text((middle, top + 17), _short(name), 'middle', 'name')}{text((middle, top + 33), params, 'middle', 'params')}"
        + "".join(rows)
    )


def _drawn(arrow: _Arrow, top: int) -> str:
    """Neighbours are joined straight, others by a bow above those between."""
    title = f"<title>{escape(', '.join(arrow.names))}</title>"
    if arrow.end == arrow.start + 1:
        path = f"M{_left(arrow.start) + _BOX} {top + _HEAD / 2:g}H{_left(arrow.end) - 1}"
    else:
        start, end = _left(arrow.start) + 0.7 * _BOX, _left(arrow.end) + 0.3 * _BOX
        peak = top - _LIFT * (arrow.end - arrow.start) * 4 / 3
        path = f"M{start:g} {top}C{start:g} {peak:g} {end:g} {peak:g} {end:g} {top - 2}"
    return f'<path class="arrow" marker-end="url(#head)" d="{path}">{title}</path>'


def _left(index: int) -> int:
    return _MARGIN + index * (_BOX + _GAP)


def _short(words: str) -> str:
    return words if len(words) <= _LONGEST else f"{words[: _LONGEST - 1]}…"
