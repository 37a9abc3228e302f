"""A secret in .dvc/config is named with the commands that take it out of git, and never shown."""

import re
import subprocess
from pathlib import Path

import pytest
from dvc.config_schema import REMOTE_SCHEMAS

from tests.support.pipeline import Repository
from tools.check import SECRETS, committed_secrets, problems

VALUE = "pLaNtEd/S3cret+="
URLS = {
    "secret_access_key": "s3://bucket/path",
    "password": "ssh://host/path",
    "sas_token": "azure://container/path",
    "oss_key_secret": "oss://bucket/path",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    dvc(tmp_path, "init", "--quiet")
    return tmp_path


def dvc(root: Path, *arguments: str) -> None:
    Repository.at(root).dvc(*arguments)


@pytest.mark.parametrize("name", URLS)
def test_the_commands_it_names_take_the_secret_out(root: Path, name: str) -> None:
    dvc(root, "remote", "add", "--default", "storage", URLS[name])
    assert [*committed_secrets(root)] == []
    dvc(root, "remote", "modify", "storage", name, VALUE)
    [line] = committed_secrets(root)
    assert f".dvc/config: {name} of the remote storage is a secret, and git keeps this file; `dvc" in line
    assert VALUE not in line
    for command in re.findall(r"`dvc ([^`]+)`", line):
        dvc(root, *command.replace("…", VALUE).split())
    assert [*committed_secrets(root)] == []
    assert VALUE in (root / ".dvc/config.local").read_text(encoding="utf-8")
    ignored = subprocess.run(["git", "check-ignore", ".dvc/config.local"], cwd=root, check=False, capture_output=True)
    assert ignored.returncode == 0


def test_a_password_in_the_address(root: Path) -> None:
    dvc(root, "remote", "add", "storage", f"ssh://ann:{VALUE.replace('/', '')}@host/path")
    [line] = committed_secrets(root)
    assert "url of the remote storage holds a password" in line and "pLaNtEd" not in line
    dvc(root, "remote", "modify", "storage", "url", "ssh://ann@host/path")
    assert [*committed_secrets(root)] == []


def test_check_names_it(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("['remote \"my own\"']\nPassword = 'x'\n[core]\ntoken = y\n", encoding="utf-8")
    assert [line for line in problems(tmp_path) if "secret" in line] == [
        f"{tmp_path}/.dvc/config: password of the remote my own is a secret, and git keeps this file; "
        "`dvc remote modify --unset my own password` and `dvc remote modify --local my own password …`; "
        "if it was committed, others know it: make a new one"
    ]


def test_every_secret_setting_that_dvc_knows_is_known() -> None:
    """By the words in its name; the rest of its settings were read through for this version of DVC."""
    known = {str(getattr(key, "schema", key)) for schema in REMOTE_SCHEMAS.values() for key in schema}
    assert known >= SECRETS
    telling = re.compile(r"secret|passw|passphrase|(?<!kms_)key(?!file|_path|path)|token(?!_command)|connection_string")
    harmless = {"ask_password", "ask_passphrase", "sse_kms_key_id", "exclude_shared_token_cache_credential"}
    assert {name for name in known if telling.search(name)} - harmless <= SECRETS
