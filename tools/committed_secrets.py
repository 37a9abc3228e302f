"""Whether .dvc/config, which git keeps, holds a secret. Only the standard library: `tools.check` is quick."""

import re
from collections.abc import Iterator
from pathlib import Path

CONFIG = Path(".dvc/config")
SECRETS = {
    *("access_key_id", "secret_access_key", "session_token", "sse_customer_key"),
    *("password", "passphrase", "token"),
    *("connection_string", "sas_token", "account_key", "client_secret"),
    *("oss_key_id", "oss_key_secret", "gdrive_client_secret"),
}
"""Settings of remotes that are secrets, or the names that go with them (REMOTE_SCHEMAS in dvc/config_schema.py)."""
KNOWN_NOW = "where it has been committed, others know it: have a new one made"
_SECTION = re.compile(r"""\s*\[\s*'?remote\s+"(.+?)"'?\s*\]""")
_SETTING = re.compile(r"""\s*(\w+)\s*=\s*["']?(.+?)["']?\s*$""")
_ADDRESS_WITH_PASSWORD = re.compile(r"\w+://[^/@:\s]*:[^/@\s]+@")


def committed_secrets(root: Path) -> Iterator[str]:
    """One line for each secret, with the commands that move it to .dvc/config.local, which git ignores; never its value."""
    path = root / CONFIG
    remote = ""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
        if section := _SECTION.match(line):
            remote = section[1]
        elif line.lstrip().startswith("["):
            remote = ""
        elif remote and (setting := _SETTING.match(line)):
            yield from _problem(path, remote, setting[1].lower(), setting[2])


def _problem(path: Path, remote: str, name: str, value: str) -> Iterator[str]:
    if name in SECRETS:
        unset, local = f"`dvc remote modify --unset {remote} {name}`", f"`dvc remote modify --local {remote} {name} …`"
        yield f"{path}: {name} of the remote {remote} is a secret, and git keeps this file; {unset} and {local}; {KNOWN_NOW}"
    elif _ADDRESS_WITH_PASSWORD.match(value):
        change, local = f"`dvc remote modify {remote} {name} …` without it", f"`dvc remote modify --local {remote} password …`"
        yield f"{path}: {name} of the remote {remote} holds a password, and git keeps it; {change} and {local}; {KNOWN_NOW}"
