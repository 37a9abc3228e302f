"""Packages of Node.js for the tests that have a page or a model used by software that we did not write."""

import shutil
import subprocess
from pathlib import Path

import pytest

NO_INDEX = ("ENOTFOUND", "ECONNREFUSED", "EAI_AGAIN", "ETIMEDOUT")
needs_node = pytest.mark.skipif(shutil.which("npm") is None, reason="needs Node.js")


def install(folder: Path, *packages: str) -> None:
    """Of one version each, `name@1.2.3`, into `node_modules` of the folder. Skips the test where no index can be reached."""
    npm = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *packages]
    installed = subprocess.run(npm, cwd=folder, capture_output=True, text=True, check=False)
    if any(code in installed.stderr for code in NO_INDEX):
        pytest.skip("no package index can be reached from here")
    assert installed.returncode == 0, installed.stderr
