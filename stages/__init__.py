"""What DVC runs: one module a stage. Fixed paths live here and nowhere else."""

import os
import signal
import sys
import time

STARTED_NS = time.time_ns()
"""When this was imported, before all other code of a stage: what is edited later may not be what runs."""

# With `python -m stages.NAME` this runs first, while Python still looks for NAME (then sys.argv[0] is "-m"): before the imports
# of the stage, which can take seconds. Until they are done, a Ctrl-C ends the process without the traceback of a half-made
# import; then stages.runner takes over. Whether dvc still runs, or torchrun, is watched from here on.
if sys.argv[:1] == ["-m"]:
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if "DVC_STAGE" in os.environ or "TORCHELASTIC_RUN_ID" in os.environ:
        from classifier.common.lifeline import end_with_caller

        end_with_caller()
