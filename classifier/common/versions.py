"""Which installed versions differ from those that requirements.txt pins."""

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

REQUIREMENTS_FILE = Path("requirements.txt")


_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;#]+)", re.MULTILINE)


def differing_versions(requirements: Path) -> dict[str, tuple[str, str]]:
    """Name to (installed, pinned) of each `name==version` line that is not met; a local part (`+cpu`) does not count.

    A package that is not installed has the installed version "none".
    """
    pins = dict(_PIN.findall(requirements.read_text(encoding="utf-8")))
    installed = {name: installed_version(name) for name in pins}
    return {name: (installed[name], pin) for name, pin in pins.items() if installed[name].partition("+")[0] != pin}


def installed_version(name: str) -> str:
    """It is "none" of what is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"
