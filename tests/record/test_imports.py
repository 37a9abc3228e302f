"""Reading a run back loads no torch, and no pandas or DVC where neither is needed."""

import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[2]
ALL = sorted(path.stem for path in (SOURCE / "record").glob("*.py") if path.stem != "__init__")
OF_TABLES_OR_DVC = {"content", "experiments", "results", "verdicts"}


def loaded(modules: list[str], packages: set[str]) -> set[str]:
    """Those of `packages` that a Python has loaded after it has imported `modules` of record/."""
    names = ", ".join(f"record.{module}" for module in modules)
    program = f"import sys, {names}\nprint(*({packages!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], cwd=SOURCE, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_no_module_loads_torch() -> None:
    assert set(ALL) > OF_TABLES_OR_DVC
    assert loaded(ALL, {"torch", "torchvision", "dvc"}) == {"dvc"}


def test_only_what_reads_tables_loads_pandas_and_only_what_asks_dvc_loads_dvc() -> None:
    assert loaded([name for name in ALL if name not in OF_TABLES_OR_DVC], {"pandas", "dvc", "dvc_data"}) == set()
