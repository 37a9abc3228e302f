"""The import closure on a hand-made tree. tests/stages/test_imports.py compares it with what Python really imports."""

from pathlib import Path

from tools.check import import_closure


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
