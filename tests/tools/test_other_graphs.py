"""`tools.fresh` and `tools.verify` on stages as a person may add them: DVC itself says which of them an edit makes stale."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from dvc.repo import Repo

import tools.verify.__main__ as verify
from classifier.common.errors import UserError
from record.revisions import find_revision
from tools.fresh import stale_lines

FILES = {
    "params.yaml": "names: [a, b]\nlr: 1\noptim: {kind: sgd, lr: 0.1}\nword: x\n",
    "other.json": '{"width": 3, "deep": {"n": [1, 2]}}',
    "more.toml": "x = 3\n[t]\ny = 4\n",
    "whole.yaml": "z: 1\nq: {r: 2}\n",
    "code.py": "RATE = 0.5\n",
    "work/in.txt": "5\n",
    "work/params.yaml": "w: 1\n",
    "made/.gitignore": "",
    "below/params.yaml": "k: 7\n",
    "dvc.yaml": """
vars: [more.toml]
stages:
  each:
    foreach: ${names}
    do:
      cmd: echo ${item} ${x} ${optim.kind} > each-${item}.txt
      params: [lr]
      outs: ["each-${item}.txt"]
  grid:
    matrix: {m: [u, v], n: "${names}"}
    cmd: echo ${item.m} ${item.n} > made/${item.m}-${item.n}.txt
    outs: ["made/${item.m}-${item.n}.txt"]
  inside:
    wdir: work
    cmd: cat in.txt > out.txt
    deps: [in.txt]
    params: [w]
    outs: [out.txt]
    metrics:
      - out.json: {cache: false}
  others:
    cmd:
      - grep -o '"width". 3' other.json > o1.txt
      - echo 2 > o2.txt
    params:
      - optim.lr
      - other.json: [width, deep.n.1]
      - more.toml: [t.y]
      - code.py: [RATE]
      - whole.yaml:
    outs: [o1.txt, o2.txt]
  ice:
    cmd: cat each-a.txt > ice.txt
    frozen: true
    deps: [each-a.txt]
    outs: [ice.txt]
""".replace("cat in.txt > out.txt", "cat in.txt > out.txt; echo {} > out.json"),
    "below/dvc.yaml": """
stages:
  low:
    cmd: cat ../each-a.txt > low.txt; echo ${k} >> low.txt
    deps: [../each-a.txt]
    params: [k]
    outs: [low.txt]
""",
}
"""Nothing of DVC's own language for stages is left out."""
NAMES = ["each@a", "each@b", "grid@u-a", "grid@u-b", "grid@v-a", "grid@v-b", "inside", "others", "ice", "below/dvc.yaml:low"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with all of that, run by DVC once and committed."""
    root = tmp_path_factory.mktemp("other")
    for name, text in FILES.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    for line in ("init --quiet", "config user.name Test", "config user.email test@example.com"):
        subprocess.run(["git", *line.split()], cwd=root, check=True)
    with pytest.MonkeyPatch.context() as patch, Repo.init(str(root)):
        patch.chdir(root)
        graph = root / "dvc.yaml"
        graph.write_text(FILES["dvc.yaml"].replace("frozen: true", "frozen: false"), encoding="utf-8")
        with Repo() as repo:
            repo.reproduce(all_pipelines=True)
        graph.write_text(FILES["dvc.yaml"], encoding="utf-8")
    for line in ("add --all", "commit --quiet --message made"):
        subprocess.run(["git", *line.split()], cwd=root, check=True)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of it, the working folder."""
    root = tmp_path / "copy"
    shutil.copytree(made, root)
    monkeypatch.chdir(root)
    return root


def stale(revision: str = "workspace") -> dict[str, str]:
    """By stage, what `tools.fresh` says is not as it was."""
    lines = [line.removeprefix("dvc.lock is stale: stage ").partition("; ")[0] for line in stale_lines(find_revision(revision))]
    return dict(line.split(", ", 1) if ", " in line else (line, "") for line in lines)


def stale_for_dvc() -> set[str]:
    with Repo() as repo:
        return set(repo.status())


def test_as_dvc_made_them_they_are_fresh(root: Path) -> None:
    assert stale() == stale("HEAD") == {}
    assert stale_for_dvc() == set()


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("params.yaml", "lr: 1\n", "lr: 2\n", {"each@a": "param lr", "each@b": "param lr"}),
        ("params.yaml", "kind: sgd", "kind: adam", {"each@a": "its command", "each@b": "its command"}),
        ("params.yaml", "lr: 0.1", "lr: 0.2", {"others": "param optim.lr"}),
        ("params.yaml", "word: x", "word: y", {}),
        ("params.yaml", "[a, b]", "[a, c]", {"each@c": "", "grid@u-c": "", "grid@v-c": ""}),
        ("more.toml", "x = 3", "x = 4", {"each@a": "its command", "each@b": "its command"}),
        ("more.toml", "y = 4", "y = 5", {"others": "param more.toml:t.y"}),
        ("other.json", "[1, 2]", "[1, 3]", {"others": "param other.json:deep.n.1"}),
        ("other.json", "[1, 2]", "[9, 2]", {}),
        ("code.py", "0.5", "0.6", {"others": "param code.py:RATE"}),
        ("whole.yaml", "r: 2", "r: 3", {"others": "param whole.yaml:q"}),
        ("whole.yaml", "z: 1\n", "z: 1\nnew: 1\n", {"others": "param whole.yaml:new"}),
        ("whole.yaml", "z: 1\n", "", {"others": "param whole.yaml:z"}),
        ("work/in.txt", "5", "6", {"inside": "work/in.txt"}),
        ("work/params.yaml", "w: 1", "w: 2", {"inside": "param work/params.yaml:w"}),
        ("below/params.yaml", "k: 7", "k: 8", {"below/dvc.yaml:low": "its command, param below/params.yaml:k"}),
        ("below/dvc.yaml", "cat ../each", "cat ./../each", {"below/dvc.yaml:low": "its command"}),
        ("dvc.yaml", "cat each-a.txt >", "cat ./each-a.txt >", {"ice": "its command"}),
        ("dvc.yaml", "echo 2 >", "echo 3 >", {"others": "its command"}),
        ("dvc.yaml", "[u, v]", "[u]", {}),
    ],
)
def test_an_edit_makes_stale_what_dvc_says(root: Path, file: str, old: str, new: str, expected: dict[str, str]) -> None:
    text = (root / file).read_text(encoding="utf-8")
    assert old in text
    (root / file).write_text(text.replace(old, new), encoding="utf-8")
    found = stale()
    assert {name: reason for name, reason in found.items() if not name.endswith(" is not in it")} == {
        name: reason for name, reason in expected.items() if reason
    }
    assert {name.removesuffix(" is not in it") for name in found} == expected.keys() == stale_for_dvc()


def test_a_frozen_stage_is_let_be(root: Path) -> None:
    """What it read has another hash since, and DVC says nothing of that."""
    lock = (root / "dvc.lock").read_text(encoding="utf-8")
    before, of_ice, after = lock.partition("  ice:\n")
    md5 = after.partition("md5: ")[2][:32]
    (root / "dvc.lock").write_text(
        before + of_ice + after.replace(f"md5: {md5}\n      size: 4\n    outs", f"md5: {'a' * 32}\n      size: 4\n    outs")
    )
    assert stale() == {}
    assert stale_for_dvc() == set()


def test_a_result_of_a_stage_elsewhere_is_looked_at(root: Path) -> None:
    (root / "work/out.json").write_text("[]")
    assert stale_lines(find_revision("workspace"))[0].startswith("work/out.json is not the file that dvc.lock records; ")


def test_what_dvc_refuses_is_one_line(root: Path) -> None:
    (root / "dvc.yaml").write_text(FILES["dvc.yaml"].replace("${optim.kind}", "${optim.kid}"))
    with pytest.raises(UserError, match=r"^workspace:dvc\.yaml: failed to parse .*Could not find 'optim\.kid'"):
        stale()


def test_each_runs_in_its_clean_room(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify.main(["--json"]) == 0
    assert [stage["stage"] for stage in json.loads(capsys.readouterr().out)["stages"]] == NAMES
    assert verify.main(["--json", "--stage", "grid", "--stage", "below/dvc.yaml:low"]) == 0
    assert [stage["stage"] for stage in json.loads(capsys.readouterr().out)["stages"]] == [*NAMES[2:6], NAMES[-1]]
    with pytest.raises(UserError, match=r"^dvc\.yaml has no stage 'gri'; it has each@a, "):
        verify.main(["--stage", "gri"])


def test_a_lie_in_each_is_found(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Recorded outputs that the commands do not make, and a param of another file that the stage is not given."""
    for lock in (root / "dvc.lock", root / "below/dvc.lock"):
        lines = lock.read_text(encoding="utf-8").splitlines()
        is_out = False
        for number, line in enumerate(lines):
            is_out = line.strip() == "outs:" or (is_out and line.strip() not in ("deps:", "params:"))
            if is_out and line.strip().startswith("md5: "):
                lines[number] = "      md5: " + "a" * 32
        lock.write_text("\n".join(lines) + "\n", encoding="utf-8")
    graph = (root / "dvc.yaml").read_text(encoding="utf-8")
    (root / "dvc.yaml").write_text(graph.replace("other.json: [width, deep.n.1]", "other.json: [deep.n.1]"))
    assert verify.main(["--json"]) == 1
    stages = {stage["stage"]: stage for stage in json.loads(capsys.readouterr().out)["stages"]}
    assert all(stages[name]["bytes"] == "BREACH" for name in NAMES)
    assert "ended with status 1" in str(stages["others"]["breaches"])
