"""The import closure on a hand-made tree, and against what Python really imports."""

import subprocess
import sys
from pathlib import Path

import pytest

from tools.check import import_closure

REPOSITORY = Path(__file__).parents[2]
STAGES = ["download", "convert", "build", "weights", "train", "evaluate", "plot"]


def test_a_tree_made_by_hand(tmp_path: Path) -> None:
    files = {
        "app/__init__.py": "",
        "app/start.py": "import os\nimport lib.one as first\nfrom lib import two\nfrom . import near\n",
        "app/near.py": "def f():\n    from lib.deep import late\n",
        "app/unused.py": "import lib.never\n",
        "lib/__init__.py": "",
        "lib/one.py": "from lib.two import name\nimport numpy\n",
        "lib/two.py": "import lib.one\nname = 1\n",
        "lib/never.py": "",
        "lib/deep/__init__.py": "from ..three import x\n",
        "lib/deep/late.py": "",
        "lib/three.py": "x = 1\n",
        "lib/deep.py": "import lib.never  # Python takes the package",
    }
    for name, source in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source)
    expected = set(files) - {"app/unused.py", "lib/never.py", "lib/deep.py"}
    assert {path.as_posix() for path in import_closure("app.start", tmp_path)} == expected


@pytest.mark.parametrize("stage", STAGES)
def test_all_that_python_really_imports_is_in_the_closure(stage: str) -> None:
    program = f"import sys, stages.{stage}\nfor m in list(sys.modules.values()): print(getattr(m, '__file__', None) or '')"
    output = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    files = {Path(line) for line in output.splitlines()}
    packages = [REPOSITORY / name for name in ("stages", "classifier", "tools", "benchmarks", "tests")]
    imported = {file.relative_to(REPOSITORY) for file in files if any(file.is_relative_to(folder) for folder in packages)}
    assert len(imported) > 5
    assert imported <= import_closure(f"stages.{stage}", REPOSITORY)
