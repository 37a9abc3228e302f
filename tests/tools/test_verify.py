"""The clean room finds each kind of lie that DVC believes: planted in a copy of a repository, run with DVC, then verified."""

import copy
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
import yaml

import tools.verify.__main__ as verify
from classifier.common.errors import UserError
from record.content import md5
from tests.support.pipeline import Committed, Repository
from tools.verify import hooks
from tools.verify.access import Territory
from tools.verify.room import _interrupts_later, state_of

ALL = ["download", "convert", "build", "weights", "train", "evaluate", "plot"]
MAIN = '    raw = root / "data/raw"\n'
"""The first line of what stage convert does."""
WRITTEN = '        write_json(folder / "schema.json", schema.model_dump(mode="json", exclude_none=True))\n'
"""The last line of it, where `folder` is to become data/csv."""


class Planted(Repository):
    """A copy of a repository, for changing its code: that of `convert`, the cheapest stage with a folder to read."""

    @classmethod
    def copy(cls, repository: Repository, root: Path) -> "Planted":
        shutil.copytree(repository.root, root)
        planted = copy.copy(repository)
        planted.root = root
        planted.__class__ = cls
        assert isinstance(planted, Planted)
        return planted

    def edit(self, name: str, old: str, new: str) -> None:
        text = self.read(name)
        assert old in text
        (self.root / name).write_text(text.replace(old, new, 1), encoding="utf-8")

    def convert_starts_with(self, *lines: str) -> None:
        self.edit("stages/convert.py", MAIN, "".join(f"    {line}\n" for line in lines) + MAIN)

    def convert_ends_with(self, *lines: str) -> None:
        self.edit("stages/convert.py", WRITTEN, WRITTEN + "".join(f"        {line}\n" for line in lines))

    def run_convert(self) -> None:
        """Under DVC, which records what it makes and finds nothing wrong with it."""
        self.dvc("repro", "--single-item", "convert")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Committed(tmp_path_factory.mktemp("a folder") / "project", tmp_path_factory, epochs=2)


@pytest.fixture
def planted(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Planted]:
    planted = Planted.copy(repository, tmp_path / "copy")
    monkeypatch.chdir(planted.root)
    rooms = tmp_path / "rooms"
    rooms.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(rooms))
    yield planted
    assert list(rooms.glob("verify-*")) == [], "a clean room was left behind"


@pytest.fixture
def verified(capsys: pytest.CaptureFixture[str]) -> Any:
    """A function that verifies stages of the repository in the current folder, and returns the JSON of each by name."""

    def function(*stages: str) -> dict[str, Any]:
        status = verify.main(["--json", *(word for stage in stages for word in ("--stage", stage))])
        document = json.loads(capsys.readouterr().out)
        assert document["passed"] == (status == 0)
        return {stage["stage"]: stage for stage in document["stages"]}

    return function


def lines(verdict: dict[str, Any], column: str) -> list[str]:
    return [breach["text"] for breach in verdict["breaches"] if breach["column"] == column]


def cells(verdict: dict[str, Any]) -> str:
    return " ".join(verdict[column] for column in ("reads", "writes", "bytes"))


@pytest.mark.slow
def test_this_pipeline_passes(planted: Planted) -> None:
    """From the command line, with settings of matplotlib, a fixed hash seed and a PYTHONPATH that must not matter."""
    (planted.root / "settings").mkdir()
    (planted.root / "settings/matplotlibrc").write_text("axes.facecolor: red\n")
    environment = {"MPLCONFIGDIR": str(planted.root / "settings"), "PYTHONHASHSEED": "0", "PYTHONPATH": str(planted.root)}
    done = subprocess.run(
        [sys.executable, "-m", "tools.verify"],
        env=planted.environment() | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    rows = [line for line in done.stdout.splitlines() if " | " in line]
    assert rows.pop(0).split(" | ") == ["stage   ", "reads ", "writes", "bytes ", "seconds"]
    assert [re.split(r" +\| +", row)[:4] for row in rows] == [[stage, "ok", "ok", "ok"] for stage in ALL], done.stdout
    assert done.stdout.endswith("dvc.lock holds for download, convert, build, weights, train, evaluate, plot\n")
    assert done.returncode == 0


class TestUndeclaredReadsThatFailInTheRoom:
    def test_a_helper_module(self, planted: Planted, verified: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PYTHONPATH", str(planted.root))
        (planted.root / "classifier/helper.py").write_text("NOTHING = 0\n")
        planted.convert_starts_with("import classifier.helper")
        planted.run_convert()
        assert "up to date" in planted.dvc("status", "convert")
        verdict = verified("convert")["convert"]
        assert lines(verdict, "reads") == ["imports classifier/helper.py, which dvc.yaml does not declare"]
        assert cells(verdict) == "BREACH - -"

    def test_a_param_and_a_module_imported_by_name(self, planted: Planted, verified: Any) -> None:
        planted.edit("classifier/decoding/params.py", "    image_size:", "    batch_size: int\n    image_size:")
        planted.run_convert()
        assert lines(verified("convert")["convert"], "reads") == ["reads the param batch_size, which dvc.yaml does not declare"]
        (planted.root / "classifier/helper.py").write_text("NOTHING = 0\n")
        planted.edit("stages/convert.py", "from stages.runner", "from classifier import helper as helper\nfrom stages.runner")
        planted.run_convert()
        assert "imports classifier/helper.py, which dvc.yaml does not declare" in lines(verified("convert")["convert"], "reads")

    @pytest.mark.slow
    def test_a_param_taken_past_the_typed_params_and_a_file(self, planted: Planted, verified: Any) -> None:
        (planted.root / "notes").mkdir()
        (planted.root / "notes/extra.csv").write_text("1,2\n")
        planted.convert_starts_with("open('notes/extra.csv').read()")
        planted.run_convert()
        assert lines(verified("convert")["convert"], "reads") == ["reads notes/extra.csv, which dvc.yaml does not declare"]
        planted.edit(
            "stages/convert.py", "open('notes/extra.csv').read()", "import yaml; yaml.safe_load(open('params.yaml'))['lr']"
        )
        planted.run_convert()
        verdict = verified("convert")["convert"]
        assert lines(verdict, "reads") == ["reads the param lr, which dvc.yaml does not declare"]
        assert lines(verdict, "run") == ["ended with status 1: KeyError: 'lr'"]


def test_undeclared_reads_that_succeed_or_are_hushed_up(planted: Planted, verified: Any, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.txt").write_text("here\n")
    (planted.root / "notes.txt").write_text("here\n")
    planted.convert_starts_with(
        f"open({str(planted.root / 'notes.txt')!r}).read()",
        f"Path({str(tmp_path / 'elsewhere.txt')!r}).read_bytes()",
        f"list(Path({str(planted.root / 'classifier')!r}).iterdir())",
        f"open({str(tmp_path / 'left.txt')!r}, 'w').close()",
        "try: open('notes.txt').read()",
        "except FileNotFoundError: pass",
    )
    planted.run_convert()
    verdict = verified("convert")["convert"]
    assert lines(verdict, "reads") == [
        "lists classifier of the repository, by its absolute path",
        "reads notes.txt of the repository, by its absolute path",
        f"reads {tmp_path / 'elsewhere.txt'}, by its absolute path",
        "reads notes.txt, which dvc.yaml does not declare",
    ]
    assert lines(verdict, "writes") == [f"writes {tmp_path / 'left.txt'}, by its absolute path"]
    assert verdict["bytes"] == "ok"


def test_state_of_another_stage_and_writes_outside(
    planted: Planted, verified: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a stage keeps where no other may: in .dvc/tmp, in the home folder's caches, in shared memory, anywhere."""
    home, place = tmp_path / "home", tmp_path / "elsewhere"
    (home / ".cache").mkdir(parents=True)
    place.mkdir()
    for name in ("old", "short"):
        (place / name).write_text("1")
    monkeypatch.setenv("HOME", str(home))
    shared = f"/dev/shm/{tmp_path.parent.name}-{tmp_path.name}"
    planted.convert_starts_with(
        "import os, sqlite3",
        "Path('.dvc/tmp/convert-cache.json').write_text('1')",
        "Path('.dvc/tmp/resume').mkdir(exist_ok=True)",
        "Path('.dvc/tmp/resume/state').write_text('1')",
        "(Path.home() / '.cache/x.json').write_text('1')",
        f"if Path('/dev/shm').is_dir(): Path({shared!r}).write_text('1'); os.remove({shared!r})",
        "open('/dev/null', 'w').close()",
        "Path('/dev/stdout').open('w').close()",
        f"place = Path({str(place)!r})",
        "place.mkdir(exist_ok=True)",
        "(place / 'folder').mkdir()",
        "(place / 'folder').rmdir()",
        "(place / 'old').replace(place / 'new')",
        "(place / 'new').rename(place / 'old')",
        "os.link(place / 'old', place / 'hard')",
        "os.symlink(place / 'old', place / 'soft')",
        "below = os.open(place, os.O_RDONLY)",
        "os.remove('hard', dir_fd=below)",
        "os.remove(place / 'soft')",
        "os.truncate(place / 'short', 0)",
        "sqlite3.connect(place / 'base').close()",
        "sqlite3.connect(f'file:{place}/uri?mode=rwc', uri=True).close()",
        "sqlite3.connect(':memory:').close()",
    )
    planted.run_convert()
    verdict = verified("convert")["convert"]
    outside = [line.removesuffix(", by its absolute path") for line in lines(verdict, "writes") if "absolute" in line]
    changed = [place / name for name in ("folder", "hard", "new", "old", "soft")] + [Path(shared)] * Path("/dev/shm").is_dir()
    written = [place / name for name in ("base", "short", "uri")] + [home / ".cache/x.json"]
    written += [Path(shared)] * Path("/dev/shm").is_dir()
    assert sorted(outside) == sorted([f"changes {path}" for path in changed] + [f"writes {path}" for path in written])
    assert [line for line in lines(verdict, "writes") if "absolute" not in line] == [
        "writes .dvc/tmp/convert-cache.json, which dvc.yaml does not declare",
        "writes .dvc/tmp/resume/state, which dvc.yaml does not declare",
    ]


def test_each_stage_has_its_own_state() -> None:
    allowed = {stage: state_of(SimpleNamespace(name=stage)) for stage in ALL}
    assert allowed.pop("download") == {".dvc/tmp/download.lock", ".dvc/tmp/downloads"}
    assert allowed.pop("weights") == {".dvc/tmp/weights.lock", ".dvc/tmp/downloads"}
    assert allowed.pop("train") == {".dvc/tmp/train.lock", ".dvc/tmp/resume", ".dvc/tmp/features"}
    assert allowed == {stage: {f".dvc/tmp/{stage}.lock"} for stage in ("convert", "build", "evaluate", "plot")}


def test_state_of_an_earlier_run_and_folders_that_only_the_repository_has(planted: Planted, verified: Any) -> None:
    for folder in ("notes/deep", "more", "walked"):
        (planted.root / folder).mkdir(parents=True)
        (planted.root / folder / "a.md").write_text("1\n")
    planted.convert_starts_with(
        "import glob, os",
        "list(Path('notes').glob('*.md'))",
        "list(Path().glob('notes/deep/*.md'))",
        "glob.glob('more/*.md')",
        "list(os.walk('walked'))",
        "cache = Path('.dvc/tmp/convert-cache.json')",
        "try: cache.read_text()",
        "except FileNotFoundError: pass",
        "list(Path().glob('*.md')), list(Path('data').rglob('*')), list(Path('data/csv').glob('*'))",
        "list(Path('nowhere').glob('*'))",
    )
    planted.run_convert()
    (planted.root / ".dvc/tmp/convert-cache.json").write_text("1")
    verdict = verified("convert")["convert"]
    assert lines(verdict, "reads") == [
        "lists more, which dvc.yaml does not declare",
        "lists notes, which dvc.yaml does not declare",
        "lists notes/deep, which dvc.yaml does not declare",
        "lists walked, which dvc.yaml does not declare",
        "reads .dvc/tmp/convert-cache.json, which dvc.yaml does not declare",
    ]
    assert cells(verdict) == "BREACH ok ok"


def test_undeclared_writes(planted: Planted, verified: Any) -> None:
    """A file on the side; one beside an input; an input changed or deleted once it was read; an output that is not made."""
    planted.edit("dvc.yaml", "    outs:\n      - data/csv\n", "    outs:\n      - data/csv\n      - data/extra.txt\n")
    in_the_room = "rm stages/__init__.py; touch data/raw/more"
    after = f"echo >> data/raw/raw.json; if test -d .git; then touch data/extra.txt; else {in_the_room}; fi"
    planted.edit("dvc.yaml", "cmd: python -m stages.convert", f"cmd: python -m stages.convert && ({after})")
    planted.convert_starts_with("Path('notes').mkdir(exist_ok=True)", "Path('notes/side.txt').write_text('1')")
    planted.dvc("repro", "--single-item", "convert")
    verdict = verified("convert")["convert"]
    assert lines(verdict, "writes") == [
        "does not write data/extra.txt, which dvc.yaml declares",
        "writes data/raw/more, which dvc.yaml does not declare",
        "changes data/raw/raw.json, which it was given to read",
        "writes notes/side.txt, which dvc.yaml does not declare",
        "deletes stages/__init__.py, which it was given to read",
    ]
    (line,) = lines(verdict, "reads")
    assert re.match(r"data/raw has MD5 .* for convert, and .* for download, which makes it", line)


def test_other_bytes(planted: Planted, verified: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock, a set, and each way to list a folder. Only what is sorted stays the same."""
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    listings = {
        "clock": "str(__import__('time').time_ns())",
        "glob": "repr([path.name for path in Path('data/raw').glob('*')])",
        "iterdir": "repr([path.name for path in Path('data/raw').iterdir()])",
        "listdir": "repr(__import__('os').listdir('data/raw'))",
        "scandir": "repr([entry.name for entry in __import__('os').scandir('data/raw')])",
        "set": "repr({str(number) for number in range(100)})",
        "sorted": "repr(sorted(__import__('os').listdir('data/raw')))",
        "walk": "repr(list(__import__('os').walk('data/raw')))",
    }
    planted.convert_ends_with(*(f"(folder / {name!r}).write_text({value})" for name, value in listings.items()))
    planted.run_convert()
    recorded = yaml.safe_load(planted.read("dvc.lock"))["stages"]["convert"]["outs"][0]["md5"]
    verdict = verified("convert")["convert"]
    assert cells(verdict) == "ok ok BREACH"
    (line,) = lines(verdict, "bytes")
    found = re.fullmatch(r"data/csv has MD5 (\w{32}\.dir), dvc\.lock has (\w{32}\.dir) \(differing: (.*)\)", line)
    assert found
    assert found[1] != found[2] == recorded
    assert found[3].split(", ") == [name for name in listings if name != "sorted"]
    assert verdict["notes"][0].startswith("nothing that is recorded differs on this machine; look for the time")

    requirements = planted.root / "requirements.txt"
    requirements.write_text(re.sub(r"(?m)^numpy==.*$", "numpy==0.1", requirements.read_text()))
    planted.run_convert()
    assert verified("convert")["convert"]["notes"] == [
        f"likely reason: numpy is {np.__version__} here, 0.1 in requirements.txt"
    ]


@pytest.mark.slow
def test_the_fact_that_differs_is_named(planted: Planted, verified: Any) -> None:
    """As if the model had been trained with another torch and its test measured there."""
    planted.edit("models/model.json", '"torch": "', '"torch": "0.')
    planted.edit("metrics/test.json", '"test_loss": ', '"test_loss": 1')
    planted.dvc("commit", "--force", "train", "evaluate")
    verdict = verified("evaluate")["evaluate"]
    assert cells(verdict) == "ok ok BREACH"
    assert [line.split()[0] for line in lines(verdict, "bytes")] == ["metrics/test.json"]
    (note,) = verdict["notes"]
    assert re.match(r"likely reason: torch is (\S+) here, 0\.\1 in models/model\.json$", note)


class TestWhereTheWorkspaceIsNotAsRecorded:
    @pytest.mark.slow
    def test_recorded_content_comes_from_the_cache_and_the_last_commit(self, planted: Planted, verified: Any) -> None:
        (planted.root / "data/csv/schema.json").write_text("{}")
        shutil.rmtree(planted.root / "data/dataset")
        (planted.root / "classifier/images/notes.txt").write_text("no module, so not a part of the recorded folder")
        planted.git("add", "classifier")
        planted.git("commit", "--quiet", "--message", "notes")
        planted.edit("classifier/images/table.py", '"""', '"""Changed. ')
        planted.set_params(seed=5)
        with (planted.root / ".dvcignore").open("a") as patterns:
            patterns.write("data/raw/*.tmp\n")
        (planted.root / "data/raw/ignored.tmp").write_text("")
        verdicts = verified("convert", "build", "plot")
        assert [cells(verdict) for verdict in verdicts.values()] == ["ok ok BREACH", "ok ok ok", "ok ok ok"]
        assert [line.split()[0] for line in lines(verdicts["convert"], "bytes")] == ["data/csv"]
        table = "classifier/images is not here as dvc.lock records it; checked with what is recorded, from the last commit"
        assert verdicts["convert"]["notes"] == [table]
        assert sorted(verdicts["build"]["notes"]) == [
            table,
            "data/csv is not here as dvc.lock records it; checked with what is recorded, from DVC's cache",
            "data/dataset is not in the workspace; `dvc checkout data/dataset` may bring it",
            "params.yaml: seed is 5 here; checked with 0, as in dvc.lock",
        ]
        # A folder inside an output, of which the cache has no list of its own.
        assert sorted(verdicts["plot"]["notes"]) == [
            table,
            "data/dataset/test is not here as dvc.lock records it; checked with what is recorded, from DVC's cache",
        ]

    def test_outputs_edited_by_hand(self, planted: Planted, verified: Any) -> None:
        """One that git keeps, one of the cache; one that is gone says nothing of dvc.lock."""
        planted.edit("metrics/data.json", "{", "{ ")
        (planted.root / "data/dataset/extra").write_text("")
        (planted.root / "plots/data.csv").unlink()
        verdict = verified("build")["build"]
        assert cells(verdict) == "ok ok BREACH"
        is_not = "in the workspace is not what dvc.lock records;"
        assert sorted(lines(verdict, "bytes")) == [
            f"data/dataset {is_not} `dvc checkout data/dataset` or `dvc repro build`",
            f"metrics/data.json {is_not} `git restore metrics/data.json` or `dvc repro build`",
        ]
        assert verdict["notes"] == ["plots/data.csv is not in the workspace; `git restore plots/data.csv` may bring it"]

    def test_a_stage_that_ran_before_the_one_it_depends_on(self, planted: Planted, verified: Any) -> None:
        planted.set_params(val_fraction=0.2)
        planted.dvc("repro", "--single-item", "build")
        stages = yaml.safe_load(planted.read("dvc.lock"))["stages"]
        used = {dep["path"]: dep["md5"] for dep in stages["train"]["deps"]}
        found = lines(verified("train")["train"], "reads")
        made = [re.search(r"and (\w{32}(?:\.dir)?) for build, which makes it; run `dvc repro train`$", line) for line in found]
        names = ["data/dataset/dataset.json", "data/dataset/train", "data/dataset/val"]
        beginning = "has MD5 {} as dvc.lock records it for train,"
        assert [line.partition(" and ")[0] for line in found] == [f"{name} {beginning.format(used[name])}" for name in names]
        digest = hashlib.md5((planted.root / names[0]).read_bytes()).hexdigest()
        assert [match and match[1] for match in made] == [
            digest,
            *(md5(planted.root / name) for name in names[1:]),
        ]
        shutil.rmtree(planted.root / ".dvc/cache")
        assert lines(verified("train")["train"], "reads") == found
        assert lines(verified("build")["build"], "reads") == []

    def test_content_that_is_nowhere_or_damaged_in_the_cache(self, planted: Planted, verified: Any) -> None:
        digest = hashlib.md5((planted.root / "data/csv/train.csv").read_bytes()).hexdigest()
        shutil.rmtree(planted.root / "data/csv")
        cached = planted.root / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
        cached.chmod(0o644)
        cached.write_bytes(cached.read_bytes()[:-1])
        (line,) = lines(verified("build")["build"], "run")
        assert re.fullmatch(
            r"data/csv: the content in dvc\.lock, \w{32}\.dir, is neither in the workspace nor in DVC's cache nor in the last "
            r"commit; run `dvc pull`, or `dvc repro build` for a new dvc\.lock",
            line,
        )

    def test_a_lock_that_is_older_than_the_graph(self, planted: Planted, verified: Any) -> None:
        planted.edit("dvc.yaml", "      - image_size\n", "      - image_size\n      - val_fraction\n")
        planted.edit("dvc.yaml", "cmd: python -m stages.build", "cmd: python -m stages.build --fast")
        lock = yaml.safe_load(planted.read("dvc.lock"))
        del lock["stages"]["plot"]
        (planted.root / "dvc.lock").write_text(yaml.safe_dump(lock))
        verdicts = verified("convert", "build", "plot")
        now = "dvc.lock does not have what dvc.yaml now says of"
        assert [lines(verdict, "run") for verdict in verdicts.values()] == [
            [f"{now} convert: val_fraction; run `dvc repro convert`"],
            [f"{now} build: cmd; run `dvc repro build`"],
            ["dvc.lock has no stage plot; run `dvc repro` first"],
        ]
        assert {cells(verdict) for verdict in verdicts.values()} == {"- - -"}


def test_a_source_outside_of_the_repository_stays_where_it_is(planted: Planted, verified: Any, tmp_path: Path) -> None:
    catalogue = tmp_path / "catalogue.yaml"
    shutil.copy(planted.root / "catalogue.yaml", catalogue)
    planted.set_params(source=str(catalogue))
    planted.dvc("repro", "download")
    assert cells(verified("download")["download"]) == "ok ok ok"
    catalogue.write_text(catalogue.read_text() + "\n")
    (line,) = lines(verified("download")["download"], "run")
    assert line == f"{catalogue}: is not as in dvc.lock, and lies outside of the repository; run `dvc repro`"


def test_one_clear_line_and_no_room_left(planted: Planted) -> None:
    def run(stage: str, limit: str = "unlimited") -> tuple[int, str]:
        command = f'ulimit -f {limit}; exec "$0" -m tools.verify --stage {stage}'
        done = subprocess.run(
            ["bash", "-c", command, sys.executable],
            env=planted.environment() | {"TMPDIR": str(planted.root.parent / "rooms")},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stderr

    assert run("tarin") == (1, f"error: dvc.yaml has no stage 'tarin'; it has {', '.join(ALL)}\n")
    status, errors = run("build", limit="150")
    assert re.fullmatch(r"error: .*rooms: no space left for a clean room; free some, or set TMPDIR to another folder\n", errors)
    assert status == 1
    with pytest.raises(UserError, match=r"^no stage is left to verify$"):
        verify.main(["--no-train", "--stage", "train"])


def test_the_nearest_place_decides_what_may_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    repository, home = Path("/opt/project"), Path.home()
    monkeypatch.setattr("sys.prefix", "/opt/project/.venv")
    territory = Territory(repository, [Path("/data/catalogue.yaml")], [Path("/tmp/given")])
    refused = ["/opt/project/data/raw", "/opt/project", f"{home}/data.csv", "/data/other.yaml", "/tmp/x", "/var/tmp/x", "/"]
    allowed = ["/opt/project/.venv/lib/x.py", "/opt/cuda/x", "/data/catalogue.yaml", "/etc/ssl/x", f"{home}/.cache/x"]
    libraries = [os.__file__, str(np.__file__)]
    places = [*refused, *allowed, *libraries]
    assert [place for place in places if not territory.allows(Path(place).resolve())] == refused
    compiled = ["__pycache__", "__pycache__/x.cpython-311.pyc", "__pycache__/x.cpython-311.pyc.1400"]
    written = ["/tmp/given/x", *(f"/opt/project/.venv/lib/{name}" for name in compiled)]
    kept = ["/opt/project/.venv/lib/__pycache__/x.json", *(f"/opt/project/classifier/{name}" for name in compiled)]
    kept += ["/dev/shm/x", "/usr/share/x", *refused, *allowed, *libraries]
    assert [place for place in [*written, *kept] if territory.allows_writing(Path(place).resolve())] == written


def test_the_hooks_run_the_sitecustomize_that_they_hide(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder in (ours, theirs):
        folder.mkdir()
    shutil.copy(hooks.__file__, ours / "sitecustomize.py")
    settings = {"room": str(theirs), "log": str(tmp_path / "log"), "orders": {".": ["c", "a", "sitecustomize.py", "b"]}}
    (ours / "settings.json").write_text(json.dumps(settings))
    (theirs / "sitecustomize.py").write_text("import builtins\nbuiltins.theirs = 7\n")
    for name in "abcz":
        (theirs / name).touch()
    script = "import os; open('a').close(); print(theirs, os.listdir(), [entry.name for entry in os.scandir('.')])"
    done = subprocess.run(
        [sys.executable, "-B", "-c", script],
        cwd=theirs,
        env={"PYTHONPATH": f"{ours}{os.pathsep}{theirs}"},
        capture_output=True,
        text=True,
        check=True,
    )
    turned = "['b', 'sitecustomize.py', 'a', 'c', 'z']"
    assert done.stdout == f"7 {turned} {turned}\n"
    assert json.dumps(["read", str(theirs / "a")]) in (tmp_path / "log").read_text().splitlines()


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)],
)
def test_an_interrupt_ends_the_stage_and_removes_the_room(planted: Planted, number: int, status: int) -> None:
    for name in ("dvc.yaml", "dvc.lock"):
        planted.edit(name, "cmd: python -m stages.convert", "cmd: sleep 600")
    rooms = planted.root.parent / "rooms"
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.verify", "--stage", "convert"],
        env=planted.environment() | {"TMPDIR": str(rooms)},
    )
    while not (sleeping := _working_below(rooms)):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait(timeout=60) == status
    assert not sleeping & _working_below(rooms)


def test_what_a_stage_leaves_running_ends_with_it(planted: Planted, verified: Any) -> None:
    for name in ("dvc.yaml", "dvc.lock"):
        planted.edit(name, "cmd: python -m stages.convert", "cmd: sleep 47 & python -m stages.convert")
    assert cells(verified("convert")["convert"]) == "ok ok ok"
    until = time.monotonic() + 30
    while _working_below(planted.root.parent / "rooms"):
        assert time.monotonic() < until, "it still runs"
        time.sleep(0.05)


def test_an_interrupt_while_a_process_starts_waits_for_it() -> None:
    """Else the process could be running before anyone knows its id, and would stay."""
    started = False
    with pytest.raises(KeyboardInterrupt), _interrupts_later():
        signal.raise_signal(signal.SIGINT)
        started = True
    assert started
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _working_below(folder: Path) -> set[int]:
    """Ids of the processes whose working folder lies below `folder`."""
    processes = psutil.process_iter(["pid", "cwd"])
    return {process.info["pid"] for process in processes if Path(process.info["cwd"] or "/").is_relative_to(folder.resolve())}
