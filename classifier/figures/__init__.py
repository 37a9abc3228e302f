"""Pictures of results and of images. The stage `plot`."""

import os
from contextlib import chdir, nullcontext
from importlib.util import find_spec
from pathlib import Path

# matplotlib reads a person's settings when it is imported, first those in the working folder, and stops at broken ones. Here it
# finds its own in their place. A notebook names a backend of its own for all that it starts.
_matplotlib = find_spec("matplotlib")
_backend = os.environ.pop("MPLBACKEND", None)
with chdir(Path(_matplotlib.origin).parent / "mpl-data") if _matplotlib and _matplotlib.origin else nullcontext():
    import matplotlib  # noqa: F401
if _backend is not None:
    os.environ["MPLBACKEND"] = _backend
