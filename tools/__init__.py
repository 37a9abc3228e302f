"""What a person runs by hand."""

import os
import sys

# With `python -m tools.NAME` this runs first, while Python still looks for NAME: before the imports of the tool.
if sys.argv[:1] == ["-m"]:
    from classifier.common.errors import say_uncaught

    sys.excepthook = say_uncaught
    os.environ |= {
        "MPLBACKEND": "agg",
        "MATPLOTLIBRC": os.devnull,
    }  # a person's settings, or those of a notebook, may be broken
    if not any(name in os.environ for name in ("LOGNAME", "USER", "LNAME", "USERNAME")):
        os.environ["USER"] = str(os.getuid())  # DVC asks for a name, which the user of a container may lack
