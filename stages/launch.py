"""Starts a stage under the param `launcher`: `python -m stages.launch LAUNCHER... -m stages.train`.

A launcher takes the place of this process; the default, `python`, is simply what runs the stage. But torchrun runs in this
process, as the command of that name does, so that a failed training ends with one line instead of torchrun's own traceback.
"""

import io
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterable
from contextlib import redirect_stderr
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import TYPE_CHECKING, Any

from classifier.common.errors import UserError, short_message, short_repr
from classifier.common.process import ERROR_FILE_VARIABLE, LAUNCHED_VARIABLE, LAUNCHER_VARIABLE, PEER_LOST, identity

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

CPP_LOG_LEVEL = "TORCH_CPP_LOG_LEVEL"
"""In the environment: from what level on torch's C++ parts log. Of a lost or late machine they print their stack."""
REFUSALS = (ArithmeticError, AssertionError, ImportError, LookupError, OSError, RuntimeError, ValueError)
"""What torchrun raises of options that make no sense."""
OF_A_JOB = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", LAUNCHED_VARIABLE, ERROR_FILE_VARIABLE)
"""Variables that say which process of a job this is. Those that a batch system has left are not of a job that begins here;
another launcher, as `srun`, may need them.
"""
GOES_ON = "the same command goes on after the last whole epoch"


def main(arguments: list[str]) -> None:
    """Run the launcher, whose words come first in `arguments`, to its end. Raises UserError when it cannot, or fails."""
    program = arguments[0] if arguments else ""
    if not program or program.startswith("-"):
        raise UserError("launcher: needs a command that runs a Python module, got none; write `launcher: python`")
    own_job = Path(program).name.startswith(("python", "torchrun"))
    for name in OF_A_JOB if own_job else ():
        os.environ.pop(name, None)
    if Path(program).name == "torchrun":
        _run_torchrun(arguments[1:])
        return
    try:
        os.execvp(program, arguments)
    except OSError as error:
        raise UserError(
            f"launcher: {short_repr(program)} cannot be run ({error.strerror}); write `launcher: python`, or a program on PATH"
        ) from None


def _run_torchrun(arguments: list[str]) -> None:
    os.environ.setdefault(CPP_LOG_LEVEL, "FATAL")
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousError

    options = _parsed(run.get_args_parser(), arguments)
    os.environ[LAUNCHER_VARIABLE] = identity()
    logging.disable(logging.ERROR)  # what torchrun logs of a failed process is said below
    try:
        with TemporaryDirectory(prefix="torchrun-", ignore_cleanup_errors=True) as folder:
            if _is_on_one_machine(run, options):  # torchrun waits for ever where the machine's own name is not known
                options.local_addr = options.local_addr or "127.0.0.1"
            _print_unknown_host(run, options)
            options.log_dir = options.log_dir or folder  # torchrun leaves its own in the folder for temporary files
            run.run(options)
    except ChildFailedError as error:
        raise UserError(_why_failed(arguments[-1].removeprefix("stages."), error.failures.items())) from None
    except SignalException as ended:
        sys.exit(128 + ended.sigval)  # on Ctrl-C the first process has said so
    except (*REFUSALS, RendezvousError) as error:
        given = " ".join(arguments).rpartition(" -m ")[0]
        said = "" if isinstance(error, LookupError) else short_message(error)  # of which that is a key alone
        words = said or f"{type(error).__name__}, with the options {short_repr(given)}"
        raise UserError(f"launcher: torchrun cannot run the processes: {words}") from None


def _is_on_one_machine(run: ModuleType, options: Any) -> bool:
    """By the options from which torchrun itself makes it `--standalone`."""
    has_place = options.rdzv_backend != "static" or options.rdzv_endpoint or options.master_port is not None
    return bool(options.standalone or (not has_place and run.parse_min_max_nnodes(options.nnodes)[1] == 1))


def _print_unknown_host(run: ModuleType, options: Any) -> None:
    """The first of several machines may become known later, as a container that starts: torchrun goes on asking for it."""
    if run.parse_min_max_nnodes(options.nnodes)[1] == 1 or options.rdzv_backend not in ("static", "c10d"):
        return
    endpoint = run.get_rdzv_endpoint(options)
    host = (endpoint.rpartition(":")[0] or endpoint).strip("[]")
    if not host:
        return
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError) as error:
        print(
            f"launcher: waiting for {short_repr(host)}, which is not known here: {short_message(error)}",
            file=sys.stderr,
            flush=True,
        )


def _parsed(parser: Any, arguments: list[str]) -> Any:
    """The options, or the last line of what argparse says of wrong ones, whose first lines are all that there are."""
    parser.prog = "torchrun"
    with redirect_stderr(io.StringIO()) as said:
        try:
            return parser.parse_args(arguments)
        except SystemExit as wrong:
            if not wrong.code:
                raise
    raise UserError(f"launcher: {said.getvalue().strip().rpartition(chr(10))[2]}; see `torchrun --help`")


def _why_failed(name: str, failures: "Iterable[tuple[int, ProcessFailure]]") -> str:
    """One line on the process that began it. `failures` are by rank, in the order in which torchrun saw them."""
    rank, first = min(failures, key=lambda one: (_is_follower(one[1]), _is_follower(one[1]) or not _said(one[1])))
    if said := _said(first).get("message"):
        return str(said)
    if first.exitcode < 0:
        memory = ", as when memory runs out" if -first.exitcode == signal.SIGKILL else ""
        return f"{name}: process {rank} was ended by {first.signal_name()}{memory}; {GOES_ON}"
    return f"{name}: process {rank} ended with status {first.exitcode}"


def _is_follower(failure: "ProcessFailure") -> bool:
    """Whether it failed because another did: it lost the other, or was ended by torchrun before it had a word."""
    said = _said(failure)
    return bool(said[PEER_LOST]) if said else -failure.exitcode == signal.SIGTERM


def _said(failure: "ProcessFailure") -> dict[str, Any]:
    """What the process wrote into its file of errors (stages.runner); nothing if it did not come to that."""
    return dict(failure.error_file_data) if PEER_LOST in failure.error_file_data else {}


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(f"error: {error}")
