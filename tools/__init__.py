"""What a person runs by hand."""

import os
import sys

# With `python -m tools.NAME` this runs first, while Python still looks for NAME: before the imports of the tool.
if sys.argv[:1] == ["-m"]:
    from classifier.common.errors import speak_of_shortages

    speak_of_shortages()
    os.environ |= {
        "MPLBACKEND": "agg",
        "MATPLOTLIBRC": os.devnull,
    }  # a person's settings, or those of a notebook, may be broken
