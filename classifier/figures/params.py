"""Parameters of the stage `plot`: none; its pictures depend on its input files alone."""

from classifier.common.params import Params


class PlotParams(Params):
    """No fields."""
