"""How the learning rate moves over the steps of a run: a multiplier of `lr`, known from the number of the step alone."""

import math

ONECYCLE_START = 1 / 25
ONECYCLE_END = ONECYCLE_START / 1e4


def lr_factor(schedule: str, step: int, num_steps: int, warmup_fraction: float) -> float:
    """Multiplier of the peak learning rate in step `step`, 0 <= step < num_steps.

    - constant: 1;
    - linear: to 0 in a straight line;
    - cosine: to 0 in half a cosine (Loshchilov & Hutter 2017, without restarts);
    - onecycle: half a cosine up from 1/25 and another down to 1/250,000 (Smith & Topin 2018; torch's OneCycleLR with
      `pct_start=warmup_fraction` and its momentum left alone).

    Before that, the first `warmup_fraction` of the steps rise to 1 in a straight line.
    """
    if schedule == "onecycle":
        return _onecycle(step, num_steps, warmup_fraction)
    num_warmup_steps = warmup_fraction * num_steps
    if step < num_warmup_steps:
        return min((step + 1) / num_warmup_steps, 1.0)
    fallen = (step - num_warmup_steps) / (num_steps - num_warmup_steps)
    return {"constant": 1.0, "linear": 1 - fallen, "cosine": _half_cosine(1, 0, fallen)}[schedule]


def _onecycle(step: int, num_steps: int, warmup_fraction: float) -> float:
    peak, last = warmup_fraction * num_steps - 1, num_steps - 1
    if step < peak:
        return _half_cosine(ONECYCLE_START, 1, step / peak)
    return _half_cosine(1, ONECYCLE_END, (step - peak) / (last - peak))


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
