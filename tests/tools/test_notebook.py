"""A notebook that runs the pipeline and shows a picture, executed by Jupyter itself in an environment of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.pipeline import Repository

CELLS = ["!dvc repro", "from IPython.display import Image\nImage('plots/curves.png')"]


def notebook(cells: list[str]) -> dict[str, Any]:
    shared = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    written = [{**shared, "id": f"cell{number}", "source": source} for number, source in enumerate(cells)]
    return {"cells": written, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


@pytest.mark.slow
def test_it_trains_and_shows_the_curves(tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    pip = [environment / "bin/pip", "install", "--quiet", "nbconvert==7.17.2", "ipykernel==7.4.0"]
    installed = subprocess.run(pip, capture_output=True, text=True, check=False)
    if "(from versions: none)" in installed.stderr:
        pytest.skip("no package index can be reached from here")
    assert installed.returncode == 0, installed.stderr
    repository = Repository(tmp_path / "project")
    (repository.root / "try.ipynb").write_text(json.dumps(notebook(CELLS)), encoding="utf-8")
    command = [environment / "bin/python", "-m", "nbconvert", "--execute", "--to=notebook", "--output=done", "try.ipynb"]
    variables = repository.environment()
    done = subprocess.run(command, cwd=repository.root, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, second = (cell["outputs"] for cell in json.loads(repository.read("done.ipynb"))["cells"])
    said = "".join("".join(output["text"]) for output in first)
    assert "Running stage 'plot'" in said and "Traceback" not in said and "ERROR" not in said, said
    assert "image/png" in second[0]["data"]
