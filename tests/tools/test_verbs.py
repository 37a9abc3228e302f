"""`python -m tools` lists what a person runs by hand."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tools.__main__ import verbs
from tools.command import Parser
from tools.reference import parser_of

REPOSITORY = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


def test_each_tool_of_the_makefile_stands_in_the_list_with_a_line() -> None:
    listed = {line.split()[0]: line.split()[1:] for line in run().stdout.partition("\n\n")[0].splitlines()}
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    assert {name for name in listed if f"-m tools.{name}" in makefile} >= {"doctor", "fresh", "review", "verify", "share"}
    assert {"check", "data", "experiments", "export", "predict", "quickstart", "report", "tensorboard"} < set(listed)
    assert all(len(words) > 3 for words in listed.values())
    assert not {"half_installed", "uv"} & set(listed)


@pytest.mark.parametrize("verb", verbs())
def test_each_tells_an_example_that_it_takes(verb: str) -> None:
    parser = parser_of(verb)
    assert parser is None or isinstance(parser, Parser), "says where its help cannot be written"
    if parser is None:  # as gc, which hands its options on
        done = run(verb, "--help")
        assert f"\nexample: python -m tools.{verb} " in done.stdout
        return
    example = " ".join((parser.epilog or "").split()).rpartition("example: ")[2]
    if example != f"make {verb}":
        assert example.startswith(f"{parser.prog}") and parser.prog == f"python -m tools.{verb}"
        assert parser.parse_args(shlex.split(example.removeprefix(parser.prog)))


def test_a_misspelt_one_gets_the_nearest() -> None:
    done = run("reviw", "main")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: no tool is called 'reviw'; did you mean 'review'?\n"


def test_one_that_is_named_runs_with_its_arguments() -> None:
    done = run("data", "nowhere")
    assert (done.returncode, done.stderr) == (1, "error: nowhere: no such file or folder\n")


def test_asked_for_help_it_lists_them() -> None:
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == run().stdout
