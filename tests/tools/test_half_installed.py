"""tools/half_installed.py tells whole packages from those whose unpacking was cut short."""

import sys
from pathlib import Path

import pytest

from tools.half_installed import half_installed, main


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Two packages as pip leaves them: a module of 10 bytes, its compiled form, which may go, and a script outside."""
    for name in ("good", "bad"):
        (tmp_path / f"site/{name}").mkdir(parents=True)
        (tmp_path / f"site/{name}/__init__.py").write_bytes(b"0123456789")
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / f"bin/{name}").write_bytes(b"#!")
        info = tmp_path / f"site/{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
        (info / "RECORD").write_text(
            f"../bin/{name},sha256=x,2\n{name}/__init__.py,sha256=x,10\n{name}/__pycache__/__init__.pyc,,\n"
            f"{name}-1.0.dist-info/METADATA,,\n{name}-1.0.dist-info/RECORD,,\n",
            encoding="utf-8",
        )
    return tmp_path / "site"


def names(site: Path) -> list[str]:
    return [name for name, _ in half_installed(site)]


def test_whole_packages_are_not_named(site: Path) -> None:
    assert names(site) == []


def test_a_missing_file_is_seen(site: Path) -> None:
    (site / "bad/__init__.py").unlink()
    assert names(site) == ["bad"]


def test_a_file_cut_short_is_seen(site: Path) -> None:
    (site / "bad/__init__.py").write_bytes(b"01234")
    assert names(site) == ["bad"]


def test_a_missing_script_is_seen(site: Path) -> None:
    (site.parent / "bin/bad").unlink()
    assert names(site) == ["bad"]


def test_a_package_that_never_got_its_record_is_seen(site: Path) -> None:
    (site / "bad-1.0.dist-info/RECORD").unlink()
    assert names(site) == ["bad"]


def test_forgetting_takes_the_broken_ones_from_pips_sight(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sysconfig.get_path", {"purelib": str(site)}.get)
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    (site / "bad/__init__.py").unlink()
    assert main(["good"]) == 0
    assert main(["good", "bad"]) == 1
    assert main(["good", "absent"]) == 1
    assert main(["--forget"]) == 0
    assert capsys.readouterr().err == "setup: bad is half-installed; installing it again\n"
    assert sorted(path.name for path in site.glob("*.dist-info")) == ["good-1.0.dist-info"]
