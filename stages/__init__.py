"""What DVC runs: one module a stage. Fixed paths live here and nowhere else."""

import _signal  # type: ignore[import-not-found]
import os
import sys
import time

STARTED_NS = time.time_ns()
"""When this was imported, before all other code of a stage: what is edited later may not be what runs."""

# With `python -m stages.NAME` this runs first, while Python still looks for NAME (then sys.argv[0] is "-m"): before the imports
# of the stage, which can take seconds. Until they are done, a Ctrl-C ends the process without the traceback of a half-made
# import; then stages.runner takes over. `signal` itself imports more for some milliseconds: hence what it stands on, _signal.
# Whether dvc still runs, or torchrun, is watched from here on. The libraries, which come later, read the environment once.
# Where there is too little memory for these imports, that is a line and no traceback.


def _say_uncaught(kind: type[BaseException], error: BaseException, _: object) -> None:
    try:
        from classifier.common.errors import say_uncaught

        say_uncaught(kind, error, _)
    except MemoryError:  # not even for that there is enough
        os.write(sys.stderr.fileno(), b"error: out of memory: free some, and run it again\n")


if sys.argv[:1] == ["-m"]:
    sys.excepthook = _say_uncaught
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    from classifier.common.environment import remove_unused

    if removed := remove_unused():
        print(f"environment: not used, as bytes would depend on it: {', '.join(removed)}", file=sys.stderr)
    if "DVC_STAGE" in os.environ or "TORCHELASTIC_RUN_ID" in os.environ:
        from classifier.common.process import end_with_parent

        end_with_parent()
