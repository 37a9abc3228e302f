"""Whether a model is better than no model at all."""


def no_better_than_guessing(accuracy: float, low: float, high: float, baseline: float) -> str | None:
    """A sentence where the interval `low` to `high` of the accuracy does not lie above the baseline; None where it does.

    The baseline is the share of the largest class.
    """
    if low > baseline:
        return None
    return (
        f"not significantly better than always guessing the largest class, which is right for {baseline:.1%} of the test "
        f"images: the accuracy is {accuracy:.1%}, its 95 % interval {low:.1%} to {high:.1%}"
    )
