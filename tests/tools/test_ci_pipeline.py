"""tools/ci/pipeline.sh on real DVC, with and without a remote; the way out of a conflict in dvc.lock."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support import warm
from tests.support.pipeline import SOURCE, Clone, Committed, Repository, stages_run

SCRIPT = "sh tools/ci/pipeline.sh"
MEND = "run `dvc repro` and commit dvc.lock, metrics and plots"
FRESH = "dvc.lock is up to date: it matches the params, code and files\n"
TRAIN_ON = ["train", "evaluate", "plot"]
RESULTS = ["dvc.lock", "metrics", "plots"]


def sh(repository: Repository, command: str, **environment: str) -> tuple[int, str]:
    """Exit status and all that a command line prints, in the folder of the repository."""
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=repository.root,
        env=warm.on_path(repository.environment()) | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def commit(repository: Repository, message: str) -> None:
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--message", message)


def documented() -> list[str]:
    """The commands of docs/guide/pull_requests.md, without comments."""
    text = (SOURCE / "docs/guide/pull_requests.md").read_text(encoding="utf-8").partition("## Merge conflicts in dvc.lock")[2]
    [block] = re.findall(r"^```bash\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [line.partition("#")[0].strip() for line in block.splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ci")


@pytest.fixture(scope="module")
def repository(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Committed(folder / "project", tmp_path_factory, epochs=2)


@pytest.fixture(scope="module")
def clone(repository: Repository, folder: Path) -> Clone:
    """After a push to a remote that is a folder."""
    repository.dvc("remote", "add", "--default", "storage", str(folder / "storage"))
    commit(repository, "remote")
    repository.dvc("push")
    return Clone(folder / "clone", repository.root)


class TestInOrder:
    """On one repository, since a run takes seconds."""

    def test_without_a_remote_dvc_lock_must_be_fresh(self, repository: Repository) -> None:
        nothing = "pipeline: DVC has no default remote (`dvc remote add --default`), so nothing is run\n"
        assert sh(repository, SCRIPT) == (0, FRESH + nothing)
        repository.set_params(lr=0.5)
        assert sh(repository, SCRIPT) == (0, FRESH + nothing), "what is not committed is not in the pull request"
        repository.git("commit", "--quiet", "--all", "--message", "forgotten")
        assert sh(repository, SCRIPT) == (1, f"dvc.lock is stale: stage train, param lr; {MEND}\n{nothing}")
        repository.git("reset", "--quiet", "--hard", "HEAD^")

    def test_with_a_remote_fresh_results_need_no_data(self, clone: Clone) -> None:
        status, said = sh(clone, SCRIPT)
        assert (status, stages_run(said)) == (0, [])
        assert said.startswith(f"{FRESH}pipeline: with the remote storage\n")
        assert not (clone.root / "data/dataset").exists()

    def test_from_a_fork_the_remote_is_not_asked(self, clone: Clone) -> None:
        assert sh(clone, SCRIPT, FROM_FORK="true") == (0, f"{FRESH}pipeline: from a fork, so DVC's remote is not used\n")

    def test_a_remote_without_what_a_stale_stage_reads_is_named_in_the_last_line(
        self, clone: Clone, folder: Path, tmp_path: Path
    ) -> None:
        """What the failed `dvc repro` removed for the stage is not told as results that it made."""
        hasty = Clone(tmp_path / "hasty", clone.root)
        hasty.set_params(lr=0.002)
        hasty.git("commit", "--quiet", "--all", "--message", "another rate")
        (folder / "storage").rename(folder / "elsewhere")
        status, said = sh(hasty, SCRIPT)
        (folder / "elsewhere").rename(folder / "storage")
        assert (status, stages_run(said)) == (1, [])
        assert said.splitlines()[-1].startswith(f"error: remote storage ({folder / 'storage'}): lacks 6 of the 6 files")
        assert "not committed" not in said

    def test_with_a_remote_what_is_stale_is_run_on_pulled_data_and_told(self, clone: Clone) -> None:
        clone.git("switch", "--quiet", "--create", "other-branch")
        clone.set_params(lr=0.002)
        clone.git("commit", "--quiet", "--all", "--message", "another rate, without its results")
        status, said = sh(clone, SCRIPT)
        assert (status, stages_run(said)) == (1, TRAIN_ON)
        assert said.startswith(f"dvc.lock is stale: stage train, param lr; {MEND}\n")
        assert f"pipeline: made here, and not committed; {MEND}:\n dvc.lock " in said
        commit(clone, "its results")
        assert sh(clone, "python -m tools.fresh HEAD") == (0, FRESH)
        clone.dvc("push")

    def test_a_conflict_in_dvc_lock_ends_with_a_lock_that_holds(self, clone: Clone, repository: Repository) -> None:
        """The other branch was trained elsewhere, and its model comes from the remote."""
        repository.git("fetch", "--quiet", str(clone.root), "other-branch:other-branch")
        repository.set_params(flip_tta=True)
        assert stages_run(repository.dvc("repro")) == ["evaluate", "plot"]
        commit(repository, "mirror images")
        ran, stale = walk(repository, side="MERGE_HEAD", repro="dvc repro --pull")
        assert (ran, stale) == (["evaluate", "plot"], "dvc.lock is stale: stage evaluate, param flip_tta")
        assert "up to date" in repository.dvc("status")
        merged = repository.read("params.yaml")
        assert "lr: 0.002\n" in merged and "flip_tta: true\n" in merged
        assert len(repository.git("rev-list", "--parents", "--max-count=1", "HEAD").split()) == 3

    def test_from_the_other_side_it_ends_with_the_same_and_what_ran_here_comes_from_the_cache(
        self, repository: Repository
    ) -> None:
        """The training did not run here. It gives the same bytes, so that all after it comes from DVC's run cache."""
        results = repository.git("ls-tree", "-r", "HEAD", "--", *RESULTS)
        repository.git("reset", "--quiet", "--hard", "HEAD^")
        assert walk(repository) == (["train"], "dvc.lock is stale: stage train, param lr")
        assert repository.git("ls-tree", "-r", "HEAD", "--", *RESULTS) == results
        assert "up to date" in repository.dvc("status")
        repository.git("reset", "--quiet", "--hard", "HEAD^")
        assert walk(repository)[0] == []
        assert repository.git("ls-tree", "-r", "HEAD", "--", *RESULTS) == results


def walk(repository: Repository, side: str = "HEAD", repro: str = "dvc repro") -> tuple[list[str], str]:
    """Go through the documented commands, with the results of `side`; the stages that ran, and what was stale before."""
    merge, restore, again, fresh, end = documented()
    assert (restore.split()[2], again) == ("HEAD", "dvc repro")
    status, said = sh(repository, merge)
    assert status == 1
    assert "CONFLICT (content): Merge conflict in dvc.lock" in said and "Merge conflict in params.yaml" not in said
    told = "error: workspace:dvc.lock: has merge conflicts; docs/guide/pull_requests.md says how to resolve them\n"
    assert sh(repository, fresh) == (1, told)
    assert sh(repository, restore.replace("HEAD", side))[0] == 0
    status, stale = sh(repository, fresh)
    assert status == 1 and stale.endswith(f"; {MEND}\n")
    status, ran = sh(repository, repro)
    assert status == 0, ran
    assert sh(repository, fresh) == (0, FRESH)
    assert sh(repository, end)[0] == 0
    assert repository.git("status", "--porcelain") == ""
    return stages_run(ran), stale.removesuffix(f"; {MEND}\n")
