"""Show the current run and others side by side in TensorBoard. Runs no stage; writes only runs/.

Exit status: 0; 1 when something cannot be read or the server ends by itself; 2 for a wrong command line; 130 after Ctrl-C.
"""

import argparse
import time
from contextlib import nullcontext
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from classifier.common.errors import UserError
from record.results import HISTORY
from record.revisions import WORKSPACE, Revision, find_revision
from tools.command import Parser, run_command
from tools.tensorboard.runs import RUNS, replacing_run
from tools.tensorboard.server import Watch, check_port, serve

PORT = 6006
LARGEST_PORT = 65535
SECONDS_BETWEEN_CHECKS = 1


def main(arguments: list[str] | None = None) -> int:
    """Write the runs, then serve and watch as asked for; return the exit status."""
    options = _options(arguments)
    if find_spec("tensorboard") is None:
        raise UserError("tensorboard: not installed; `make tensorboard` installs it from requirements-tensorboard.txt")
    if options.server:
        check_port(options.port)
    workspace = Revision(WORKSPACE, None)
    revisions = [find_revision(name) for name in dict.fromkeys(options.names) if name != WORKSPACE]
    for revision in revisions:
        _say(_write(revision))
    if not options.watch and (Path(HISTORY).is_file() or not revisions):
        _say(_write(workspace))
    watch = Watch(RUNS / WORKSPACE, partial(_write, workspace), _say) if options.watch else None
    return _stay(options, watch)


def _stay(options: argparse.Namespace, watch: Watch | None) -> int:
    """Until Ctrl-C, or until the server ends; not at all without server and watch."""
    with serve(RUNS, options.port) if options.server else nullcontext() as server:
        while server or watch:
            if watch:
                watch.look()
            if server and server.poll() is not None:
                raise UserError(f"tensorboard: ended with status {server.returncode}; see its messages above")
            time.sleep(SECONDS_BETWEEN_CHECKS)
    return 0


def _write(revision: Revision) -> list[str]:
    """What there is to say of it."""
    from tools.tensorboard.events import write_run  # torch takes seconds to import: not for --help
    from tools.tensorboard.runs import open_run

    with open_run(revision) as run:
        with replacing_run(RUNS / run.name) as folder:
            num_epochs = write_run(folder, run)
        said = [f"{num_epochs} epoch{'s' if num_epochs > 1 else ''}", *run.notes]
        return [f"{RUNS / run.name}: {line}" for line in said]


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m tools.tensorboard",
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m tools.tensorboard --watch",
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="experiment, commit, branch or tag to show beside the workspace"
    )
    parser.add_argument("--watch", action="store_true", help="follow the current run, epoch by epoch")
    parser.add_argument("--port", type=_port, default=PORT, help=f"port of the server ({PORT}); 0 takes a free one")
    parser.add_argument("--no-server", dest="server", action="store_false", help=f"write {RUNS}/ and start no server")
    return parser.parse_args(arguments)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > LARGEST_PORT:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to {LARGEST_PORT}, got {text}")
    return int(text)


def _say(lines: list[str]) -> None:
    for line in lines:
        print(line, flush=True)


if __name__ == "__main__":
    run_command(main, tidy_when_ended=True)
