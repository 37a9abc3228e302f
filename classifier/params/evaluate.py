"""Parameters of the stage `evaluate`."""

from classifier.params.compute import ComputeParams


class EvaluateParams(ComputeParams):
    """How to compute; what to compute stands in models/model.json."""

    flip_tta: bool
