"""List the tools, or run one: `python -m tools`, `python -m tools review main`."""

import ast
import difflib
import runpy
import sys
from pathlib import Path

from classifier.common.errors import UserError, short_repr
from tools.command import run_command

FOLDER = Path(__file__).parent
OF_SETUP = ("half_installed", "uv")
"""What tools/setup.sh runs, and no person."""


def verbs() -> dict[str, str]:
    """By its name, the first line of what each tool says of itself; no tool is imported for it."""
    found = {}
    for path in sorted([*FOLDER.glob("*.py"), *FOLDER.glob("*/__main__.py")]):
        source = path.read_text(encoding="utf-8")
        name = path.stem if path.parent == FOLDER else path.parent.name
        if name not in ("__main__", *OF_SETUP) and '__name__ == "__main__"' in source:
            found[name] = (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
    return found


def main() -> None:
    """List the tools, or run the one that is named. Raises UserError for an unknown name, with the nearest."""
    known = verbs()
    if not sys.argv[1:] or sys.argv[1] in ("-h", "--help"):
        width = max(map(len, known))
        for name, line in known.items():
            print(f"{name:{width}}  {line}")
        print("\npython -m tools.NAME --help says more")
        return
    verb = sys.argv[1]
    if verb not in known:
        nearest = difflib.get_close_matches(verb, known, n=1)
        hint = f"did you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(known)}"
        raise UserError(f"no tool is called {short_repr(verb)}; {hint}")
    del sys.argv[1]
    runpy.run_module(f"tools.{verb}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    run_command(main)
