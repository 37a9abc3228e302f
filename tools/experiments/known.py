"""Which experiments have their result already, judged by what they read."""

from collections.abc import Collection
from typing import Any

from classifier.common.errors import UserError
from tools.experiments.recorded import difference
from tools.experiments.telling import say
from tools.review.revisions import Held, held_experiments

_SHORT = 7


def find_result(
    name: str, params: dict[str, Any], commit: str, *, if_taken: str, passing_over: Collection[str] = ()
) -> Held | None:
    """An experiment `name` that read what one with `params` begun from `commit` would read, but for the params passed over.

    Raises UserError when another experiment begun from `commit` has the name; `if_taken` tells what to do then.
    """
    found = [held for held in held_experiments() if held.name == name]
    held = sorted(found, key=lambda one: one.baseline != commit)
    differences = [difference(one, params, commit, passing_over) for one in held]
    for one, differs in zip(held, differences, strict=True):
        if differs is None:
            say(f"{name}: has its result already ({one.commit[:_SHORT]}, begun from {one.baseline[:_SHORT]})")
            return one
    for one, differs in zip(held, differences, strict=True):
        if one.baseline == commit:
            raise UserError(f"the name is taken by another experiment ({differs}); {if_taken}")
        say(f"{name}: the one begun from {one.baseline[:_SHORT]} stays, but is another ({differs})")
    return None
