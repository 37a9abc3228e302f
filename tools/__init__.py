"""What a person runs by hand."""

import os
import sys
from contextlib import suppress

# With `python -m tools.NAME` this runs first, while Python still looks for NAME: before the imports of the tool.
if sys.argv[:1] == ["-m"]:
    from classifier.common.environment import remove_unused
    from classifier.common.errors import say_uncaught

    sys.excepthook = say_uncaught
    remove_unused()  # as each stage does: a tool that computes, computes the same
    os.environ |= {
        "MPLBACKEND": "agg",
        "MATPLOTLIBRC": os.devnull,
    }  # a person's settings, or those of a notebook, may be broken
    if os.path.isfile("matplotlibrc"):  # noqa: PTH113  # which matplotlib reads before that
        with suppress(ImportError):
            import classifier.figures  # noqa: F401  # it imports matplotlib without it
    if not any(name in os.environ for name in ("LOGNAME", "USER", "LNAME", "USERNAME")):
        os.environ["USER"] = str(os.getuid())  # DVC asks for a name, which the user of a container may lack
