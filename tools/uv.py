"""`python -m tools.uv FILE` has uv install FILE into this Python, with the settings that a person made for pip.

Exits with another status than 0 where uv fails, and where pip has a setting that uv cannot be given: pip does it then. Only the
standard library: this runs before anything else is installed.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Iterable

OURS = {"UV_INDEX_STRATEGY": "unsafe-best-match"}
"""As pip, which takes the best version of all indexes."""
ENVIRONMENT = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "no-index": "UV_NO_INDEX",
    "find-links": "UV_FIND_LINKS",
    "constraint": "UV_CONSTRAINT",
    "cert": "SSL_CERT_FILE",
    "no-cache-dir": "UV_NO_CACHE",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "retries": "UV_HTTP_RETRIES",
}
WITHOUT_EFFECT = {
    "break-system-packages",
    "cache-dir",
    "config-file",
    "disable-pip-version-check",
    "no-color",
    "no-input",
    "no-python-version-warning",
    "no-warn-script-location",
    "progress-bar",
    "quiet",
    "require-virtualenv",
    "root-user-action",
    "user",
    "verbose",
}
"""On what is installed into .venv."""


def uv_environment(settings: Iterable[str]) -> dict[str, str]:
    """Environment variables for uv by the lines of `pip config list`. Raises ValueError for a setting that uv does not have."""
    found: dict[str, str] = {}
    by_section = [line.partition("=")[::2] for line in settings if "=" in line]
    for section in ("global", "install", ":env:"):  # the later one wins, as in pip
        for key, value in by_section:
            if key.startswith(f"{section}."):
                found[key.removeprefix(f"{section}.")] = str(ast.literal_eval(value))
    if unknown := sorted(found.keys() - ENVIRONMENT.keys() - WITHOUT_EFFECT):
        raise ValueError(f"pip is set to {unknown[0]} {found[unknown[0]]}, which uv has otherwise")
    joined = {name: ("," if name == "find-links" else " ").join(value.split()) for name, value in found.items()}
    return OURS | {ENVIRONMENT[name]: value for name, value in joined.items() if name in ENVIRONMENT}


def main(requirements: str) -> int:
    """The exit status."""
    settings = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    try:
        environment = uv_environment(settings.stdout.splitlines())
    except ValueError as error:
        print(f"setup: {error}; pip installs", file=sys.stderr)
        return 1
    command = [sys.executable, "-m", "uv", "pip", "install", "--python", sys.executable, "-r", requirements]
    return subprocess.run(command, env=os.environ | environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
