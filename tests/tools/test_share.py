"""`python -m tools.share` and plain DVC, against a folder, a real S3 server and a real SSH server on the loopback interface."""

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import boto3
import pytest

from classifier.common.errors import UserError
from tests.support.pipeline import SOURCE, Clone, Committed, Repository, stages_run
from tests.support.sftp_server import USER
from tools.share import __main__ as share_tool

READ_BY_TRAINING = {"data/dataset", "models/pretrained.safetensors"}
ALL_OUTS = "data/csv, data/dataset, data/raw, models/model.json, models/model.safetensors, models/pretrained.safetensors"
AT_HOME = "`make push` where the results were made brings them, or `make repro` makes them here\n"
LOOK = "check address, network, credentials and rights (docs/guide/sharing.md)\n"
PASSWORD = "pLaNtEdPassw0rd"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("share")


@pytest.fixture(scope="module")
def project(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """With a committed run, and a default remote of which only the name is committed."""
    repository = Committed(folder / "project", tmp_path_factory, epochs=2)
    repository.dvc("remote", "add", "--default", "storage", str(folder / "committed"))
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--message", "a remote")
    return repository


def use(repository: Repository, **settings: str) -> None:
    """Change the remote's settings on this machine alone, as docs/guide/sharing.md says."""
    for name, value in settings.items():
        repository.dvc("remote", "modify", "--local", "storage", name, value)


def another_machine(project: Repository, root: Path) -> Clone:
    """A fresh clone with the local settings of `project`, and nothing else."""
    clone = Clone(root, project.root)
    shutil.copy(project.root / ".dvc/config.local", root / ".dvc")
    return clone


def start(repository: Repository, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """The tool in a session of its own: without a terminal, where nobody can be asked for a password."""
    return subprocess.Popen(
        [sys.executable, "-m", "tools.share", *arguments],
        cwd=repository.root,
        env=repository.environment() | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def share(repository: Repository, *arguments: str, status: int = 0, **environment: str) -> str:
    """What the tool says; one line, whatever happens."""
    said = repository.python("tools.share", *arguments, status=status, **environment)
    said = re.sub(r"^.*\r", "", said).lstrip("\n")  # the progress bar wipes its line; dvc-ssh ends one before it asks
    assert said.count("\n") == 1 and said.endswith("\n"), said
    return said.removeprefix("error: ") if status else said


def paths_of_objects(folder: Path) -> dict[str, Path]:
    return {path.parent.name + path.name: path for path in (folder / "files/md5").glob("??/*")}


def objects(folder: Path) -> dict[str, bytes]:
    return {md5: path.read_bytes() for md5, path in paths_of_objects(folder).items()}


def sizes_of_objects(folder: Path) -> dict[str, int]:
    """Also while they arrive and are renamed."""
    found = {}
    for md5, path in paths_of_objects(folder).items():
        with suppress(FileNotFoundError):
            found[md5] = path.stat().st_size
    return found


def cached(repository: Repository) -> set[str]:
    return set(objects(repository.root / ".dvc/cache"))


def nothing_to_run(clone: Repository, project: Repository) -> bool:
    """Whether `dvc repro` runs nothing there, on the bytes of the first machine."""
    same = all((clone.root / name).read_bytes() == (project.root / name).read_bytes() for name in OUTPUTS)
    return same and stages_run(clone.dvc("repro")) == [] and clone.git("status", "--porcelain") == ""


OUTPUTS = ("data/csv/train.csv", "data/dataset/test/images.npy", "models/model.safetensors", "models/model.json")


class TestFolder:
    """The documented default, in the order of a life; in this process, since DVC takes seconds to start."""

    @pytest.fixture
    def storage(self, project: Repository, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """What the remote holds."""
        use(project, url=str(folder / "storage"))
        monkeypatch.chdir(project.root)
        return folder / "storage"

    @pytest.fixture
    def clone(self, project: Repository, storage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clone:
        clone = another_machine(project, tmp_path / "elsewhere")
        monkeypatch.chdir(clone.root)
        monkeypatch.delenv("DATASET_MIRROR", raising=False)
        return clone

    def test_an_empty_one_lacks_everything(self, clone: Clone, storage: Path) -> None:
        for command, done in (("status", ""), ("pull", "nothing was fetched; ")):
            with pytest.raises(UserError) as caught:
                share_tool.main([command])
            there = f"remote storage ({storage}): lacks 6 of the 6 files that dvc.lock names, of {ALL_OUTS}; {done}"
            assert f"{caught.value}\n" == there + AT_HOME
        with pytest.raises(
            UserError, match=r"neither it nor DVC's cache here has data/csv, .*; `dvc repro` makes what is missing"
        ):
            share_tool.main(["push"])
        assert cached(clone) == set()

    def test_push_brings_all_that_dvc_lock_names(
        self, project: Repository, storage: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        share_tool.main(["push"])
        here = named(project)
        assert objects(storage) == here
        size = sum(map(len, here.values()))
        names = f"remote storage ({storage}): "
        assert capsys.readouterr().out == f"{names}{len(here)} files pushed, {size:,} bytes; has all that dvc.lock names\n"
        share_tool.main(["push"])
        share_tool.main(["status"])
        has = f"{names}has all {len(here)} files that dvc.lock names"
        assert capsys.readouterr().out.splitlines() == [has, f"{has}, {size:,} bytes"]
        assert project.dvc("push") == "Everything is up to date.\n"

    def test_another_machine_pulls_and_has_nothing_to_run(
        self, project: Repository, clone: Clone, capsys: pytest.CaptureFixture[str]
    ) -> None:
        share_tool.main(["pull"])
        assert "files fetched; the workspace has all that dvc.lock names" in capsys.readouterr().out
        assert nothing_to_run(clone, project)

    def test_what_is_stale_is_run_on_what_it_needs_and_no_more_is_fetched(self, project: Repository, clone: Clone) -> None:
        clone.set_params(lr=0.01)
        assert stages_run(clone.dvc("repro", "--pull", "--allow-missing")) == ["train", "evaluate", "plot"]
        here = {out for md5, out in hashes(project).items() if md5 in cached(clone)}
        assert here >= READ_BY_TRAINING
        assert here & {"data/raw", "data/csv", "models/model.safetensors"} == set()
        assert not (clone.root / "data/raw").exists() and not (clone.root / "data/csv").exists()

    def test_what_is_gone_there_is_told_and_pushed_again(
        self, project: Repository, clone: Clone, storage: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`dvc push` takes the folder data/csv for whole because its list is there."""
        whole = objects(storage)
        for md5 in (one_of(project, "data/csv"), one_of(project, "models/model.safetensors")):
            object_path(storage, md5).unlink()
        with pytest.raises(UserError, match=r"lacks 2 of the \d+ files .*, of data/csv, models/model\.safetensors; nothing"):
            share_tool.main(["pull"])
        assert cached(clone) == set() and not (clone.root / "data/dataset").exists()
        monkeypatch.chdir(project.root)
        assert project.dvc("push") == "1 file pushed\n"
        share_tool.main(["push"])
        assert objects(storage) == whole

    def test_what_is_cut_short_there_is_replaced(self, project: Repository, storage: Path) -> None:
        whole = objects(storage)
        damage(object_path(storage, one_of(project, "data/csv")), b"cut")
        with pytest.raises(UserError, match=r"lacks 1 of the \d+ files that dvc\.lock names, of data/csv; `make push`"):
            share_tool.main(["status"])
        share_tool.main(["push"])
        assert objects(storage) == whole

    @pytest.mark.parametrize("mode", [0o444, 0o644])
    def test_other_bytes_of_the_same_length_do_not_come_in(
        self, project: Repository, clone: Clone, storage: Path, mode: int
    ) -> None:
        """What may be written is checked by DVC there, deleted, and the list of its folder kept back."""
        path = object_path(storage, one_of(project, "data/csv"))
        whole = path.read_bytes()
        damage(path, whole[:-1] + b"?")
        path.chmod(mode)
        with pytest.raises(UserError, match=rf"damaged there: 1 file of data/csv \({path}\); delete that there, then"):
            share_tool.main(["pull"])
        assert path.parent.name + path.name not in cached(clone)
        assert not (clone.root / "data/csv").exists()
        path.unlink(missing_ok=True)
        path.write_bytes(whole)
        share_tool.main(["pull"])
        assert nothing_to_run(clone, project)

    @pytest.mark.parametrize("command", ["push", "status"])
    def test_a_file_in_its_place(self, project: Repository, storage: Path, tmp_path: Path, command: str) -> None:
        (tmp_path / "file").touch()
        use(project, url=str(tmp_path / "file"))
        told = r"remote storage \(.*/file\): \[Errno 20\] Not a directory: .*; check that the folder is there, may be written"
        with pytest.raises(UserError, match=told):
            share_tool.main([command])

    @pytest.mark.parametrize("command", ["push", "pull", "status"])
    def test_a_disk_that_is_not_mounted(self, project: Repository, storage: Path, tmp_path: Path, command: str) -> None:
        """A push must not fill a folder of the same name on this machine's own disk."""
        disk = tmp_path / "stick"
        use(project, url=str(disk / "images"))
        with pytest.raises(
            UserError, match=rf"remote storage \({disk}/images\): {disk}: no such folder; mount the disk, correct"
        ):
            share_tool.main([command])
        assert not disk.exists()
        disk.mkdir()
        share_tool.main(["push"])
        assert objects(disk / "images") == named(project)

    def test_a_full_one_keeps_what_has_arrived(self, project: Repository, storage: Path, tmp_path: Path) -> None:
        """A limit on the size of a file stands in for the end of the disk."""
        use(project, url=str(tmp_path / "small"))
        program = "import sys; from tools.share.__main__ import *; sys.argv[1:] = ['push']; run_command(main)"
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=project.root,
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000)),
        )
        assert done.returncode == 1
        assert re.search(r"error: remote storage \(.*/small\): \[Errno 27\] File too large.*has space", done.stderr)
        assert "Traceback" not in done.stderr
        whole, arrived = named(project), objects(tmp_path / "small")
        assert {md5: whole[md5] for md5 in arrived if md5 in whole} == {k: v for k, v in arrived.items() if k in whole}
        assert 0 < len(arrived.keys() & whole.keys()) < len(whole)
        share_tool.main(["push"])
        assert objects(tmp_path / "small").items() >= whole.items()

    def test_one_that_may_not_be_written(self, project: Repository, storage: Path, tmp_path: Path) -> None:
        """The superuser may write everywhere; without that right it is as anybody."""
        as_anybody = []
        if os.geteuid() == 0:
            if shutil.which("setpriv") is None:
                pytest.skip("the superuser may write everywhere, and there is no setpriv")
            as_anybody = ["setpriv", "--inh-caps=-dac_override", "--bounding-set=-dac_override"]
        (tmp_path / "locked").mkdir(mode=0o555)
        use(project, url=str(tmp_path / "locked"))
        command = [*as_anybody, sys.executable, "-m", "tools.share", "push"]
        done = subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert re.search(r"error: remote storage \(.*/locked\): \[Errno 13\] Permission denied: .*may be written", done.stderr)

    def test_no_remote_and_unknown_ones(self, project: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        clone = Clone(tmp_path / "elsewhere", project.root)
        clone.dvc("remote", "default", "--unset")
        assert "Everything is up to date." in clone.dvc("pull", status=1)
        monkeypatch.chdir(clone.root)
        with pytest.raises(UserError, match="DVC has no default remote; `dvc remote add --default storage /path/to/folder`"):
            share_tool.main(["pull"])
        with pytest.raises(UserError, match=r"remote nowhere: .*remote 'nowhere' doesn't exist; `dvc remote list` shows"):
            share_tool.main(["pull", "--remote", "nowhere"])
        clone.dvc("remote", "add", "cloud", "azure://container/path")
        with pytest.raises(UserError, match="remote cloud: azure is supported, but requires 'dvc-azure' to be installed;"):
            share_tool.main(["pull", "--remote", "cloud"])


def hashes(project: Repository) -> dict[str, str]:
    """Of each object that dvc.lock names, the output that it belongs to."""
    from dvc.repo import Repo

    found: dict[str, str] = {}
    with Repo(str(project.root)) as repo:
        for out in (out for out in repo.index.outs if out.use_cache):
            tree = out.get_obj() if out.hash_info.isdir else ()
            found |= {md5: str(out) for md5 in (out.hash_info.value, *(info.value for _, _, info in tree))}
    return found


def one_of(project: Repository, out: str) -> str:
    """A file of an output, not the list of them."""
    return min(md5 for md5, name in hashes(project).items() if name == out and not md5.endswith(".dir"))


def named(project: Repository) -> dict[str, bytes]:
    """The objects that dvc.lock names; DVC's run cache has others."""
    here = objects(project.root / ".dvc/cache")
    return {md5: here[md5] for md5 in hashes(project)}


def object_path(storage: Path, md5: str) -> Path:
    return storage / "files/md5" / md5[:2] / md5[2:]


def damage(path: Path, content: bytes) -> None:
    """As a fault of the disk does it: the file stays read-only, for which DVC takes it for checked."""
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(0o444)


class Server:
    """A server in a process of its own, ended with its test."""

    def __init__(self, *command: str, pattern: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *command], cwd=SOURCE, env=os.environ | environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        said = ""
        for line in self.process.stdout:
            said += line
            if found := re.search(pattern, line):
                self.port = int(found[1])
                Thread(target=self.process.stdout.read, daemon=True).start()  # a full pipe would stop it
                return
        raise AssertionError(said)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def started(*arguments: str) -> Server:
        servers.append(Server("-m", "tests.support.sftp_server", PASSWORD, *arguments, pattern=r"^(\d+)$"))
        return servers[-1]

    yield started
    for server in servers:
        server.end()


class TestSsh:
    """A server that takes passwords and serves files by SFTP."""

    def test_push_pull_and_a_wrong_password(self, project: Repository, tmp_path: Path, serve: Callable[..., Server]) -> None:
        server = serve()
        use(project, url=f"ssh://127.0.0.1:{server.port}{tmp_path}/storage", user=USER, password=PASSWORD)
        assert f"{len(named(project))} files pushed" in share(project, "push")
        assert objects(tmp_path / "storage") == named(project)
        clone = another_machine(project, tmp_path / "elsewhere")
        assert f"{len(named(project))} files fetched" in clone.dvc("pull")
        assert nothing_to_run(clone, project)
        use(project, password="another")
        told = "a password is asked for, and there is no terminal to type it"
        assert re.search(rf"^remote storage \(ssh://.*\): .*{told}; {re.escape(LOOK)}$", share(project, "status", status=1))

    @pytest.mark.slow
    def test_a_push_that_is_killed(self, project: Repository, tmp_path: Path, serve: Callable[..., Server]) -> None:
        """The server takes most of the bytes and then no more; what is half there has another name."""
        whole = named(project)
        server = serve("600000")
        address = f"{tmp_path}/storage"
        use(project, url=f"ssh://127.0.0.1:{server.port}{address}", user=USER, password=PASSWORD)
        process = start(project, "push")
        sizes: dict[str, int] | None = None
        deadline = time.monotonic() + 120
        while sizes != (sizes := sizes_of_objects(tmp_path / "storage")) or not sizes.keys() & whole.keys():
            assert time.monotonic() < deadline
            time.sleep(1)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        server.end()
        arrived = objects(tmp_path / "storage")
        assert 0 < len(arrived.keys() & whole.keys()) < len(whole)
        assert all(arrived[md5] == whole[md5] for md5 in arrived.keys() & whole.keys())
        use(project, url=f"ssh://127.0.0.1:{serve().port}{address}")
        clone = another_machine(project, tmp_path / "elsewhere")
        assert re.search(r"lacks \d+ of the \d+ files .*; nothing was fetched; ", share(clone, "pull", status=1))
        assert clone.git("status", "--porcelain") == "" and cached(clone) == set()
        assert re.search(rf"{len(whole) - len(arrived.keys() & whole.keys())} files? pushed", share(project, "push"))
        assert "files fetched" in share(clone, "pull")
        assert nothing_to_run(clone, project)

    def test_nobody_there(self, project: Repository, serve: Callable[..., Server]) -> None:
        server = serve()
        server.end()
        use(project, url=f"ssh://127.0.0.1:{server.port}/storage")
        assert re.search(rf"Connect call failed .*; {re.escape(LOOK)}$", share(project, "push", status=1))


class S3:
    """moto's server with a bucket and a person who may write it; whoever else asks is refused."""

    def __init__(self) -> None:
        self.server = Server("-c", MOTO, pattern=r"Running on http://127\.0\.0\.1:(\d+)")
        self.address = f"http://127.0.0.1:{self.server.port}"
        self.client("s3").create_bucket(Bucket="bucket")
        iam = self.client("iam")
        iam.create_user(UserName="ann")
        policy = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}'
        iam.put_user_policy(UserName="ann", PolicyName="all", PolicyDocument=policy)
        key = iam.create_access_key(UserName="ann")["AccessKey"]
        self.key, self.secret = key["AccessKeyId"], key["SecretAccessKey"]
        self.environment = {"AWS_ACCESS_KEY_ID": self.key, "AWS_SECRET_ACCESS_KEY": self.secret}
        import requests

        requests.post(f"{self.address}/moto-api/reset-auth", data="0", timeout=10).raise_for_status()

    def client(self, service: str, key: str = "first", secret: str = "first"):  # type: ignore[no-untyped-def]
        return boto3.client(
            service, endpoint_url=self.address, region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key=secret
        )

    def keys(self) -> list[str]:
        found = self.client("s3", self.key, self.secret).list_objects_v2(Bucket="bucket", Prefix="project/")
        return [each["Key"] for each in found.get("Contents", [])]


MOTO = "from moto.server import main; main(['-H', '127.0.0.1', '-p', '0'])"


@pytest.fixture(scope="module")
def s3(project: Repository, folder: Path) -> Iterator[S3]:
    (folder / "empty").touch()
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_CONFIG_FILE", str(folder / "empty"))
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "empty"))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        started = S3()
        (project.root / ".dvc/config.local").unlink(missing_ok=True)
        use(project, url="s3://bucket/project", endpointurl=started.address)
        yield started
        started.server.end()


class TestS3:
    """In order: push, pull, and what can go wrong."""

    def test_push_and_pull(self, project: Repository, s3: S3, tmp_path: Path) -> None:
        assert f"{len(named(project))} files pushed" in share(project, "push", **s3.environment)
        assert len(s3.keys()) == len(named(project))
        clone = another_machine(project, tmp_path / "elsewhere")
        assert f"{len(named(project))} files fetched" in clone.dvc("pull", **s3.environment)
        assert nothing_to_run(clone, project)
        assert clone.dvc("push", **s3.environment) == "Everything is up to date.\n"

    @pytest.mark.slow
    def test_what_is_gone_there(self, project: Repository, s3: S3, tmp_path: Path) -> None:
        """As after a push that was broken off."""
        share(project, "push", **s3.environment)
        half = s3.keys()[::2]
        client = s3.client("s3", s3.key, s3.secret)
        client.delete_objects(Bucket="bucket", Delete={"Objects": [{"Key": key} for key in half]})
        clone = another_machine(project, tmp_path / "elsewhere")
        said = share(clone, "pull", status=1, **s3.environment)
        assert re.search(r"^remote storage \(s3://bucket/project\): lacks \d+ of the \d+ files that dvc.lock names, of ", said)
        assert said.endswith(f"; nothing was fetched; {AT_HOME}") and cached(clone) == set()
        assert f"{len(half)} files pushed" in share(project, "push", **s3.environment)
        assert f"{len(named(project))} files fetched" in share(clone, "pull", **s3.environment)
        assert nothing_to_run(clone, project)

    def test_wrong_credentials(self, project: Repository, s3: S3) -> None:
        said = share(project, "push", status=1, **s3.environment | {"AWS_SECRET_ACCESS_KEY": "wrong" + s3.secret[5:]})
        assert re.search(rf"^remote storage \(s3://bucket/project\): .*Forbidden; {re.escape(LOOK)}$", said)
        assert len(s3.keys()) == len(named(project))

    def test_no_credentials(self, project: Repository, s3: S3) -> None:
        assert share(project, "status", status=1) == (
            f"remote storage (s3://bucket/project): Unable to locate credentials; {LOOK}"
        )

    def test_no_such_bucket(self, project: Repository, s3: S3) -> None:
        use(project, url="s3://nowhere/project")
        said = share(project, "push", status=1, **s3.environment)
        use(project, url="s3://bucket/project")
        assert re.search(rf"The specified bucket does not exist; {re.escape(LOOK)}$", said)

    @pytest.mark.slow
    def test_nobody_there(self, project: Repository, s3: S3) -> None:
        use(project, endpointurl="http://127.0.0.1:9")
        said = share(project, "push", status=1, **s3.environment)
        use(project, endpointurl=s3.address)
        assert re.search(rf'Could not connect to the endpoint URL: "http://127.0.0.1:9/.*"; {re.escape(LOOK)}$', said)

    @pytest.mark.slow
    def test_credentials_are_in_nothing_that_leaves_this_machine(self, project: Repository, s3: S3, tmp_path: Path) -> None:
        """Neither git nor a log, dvc.lock, the model, the page or the review has them, from the settings or the environment."""
        share(project, "push", **s3.environment)
        clone = another_machine(project, tmp_path / "elsewhere")
        use(clone, access_key_id=s3.key, secret_access_key=s3.secret)
        clone.set_params(lr=0.002)
        said = [
            share(clone, "pull"),
            share(clone, "push"),
            clone.dvc("pull", "--verbose"),
            clone.dvc("exp", "run", "--name", "with-secrets", **s3.environment),
            clone.dvc("push", "--verbose"),
            share(clone, "status", **s3.environment),
        ]
        for tool in (["report", "--output", "page.html"], ["review", "HEAD", "--html", "review.html"], ["doctor"]):
            said.append(clone.python(f"tools.{tool[0]}", *tool[1:], status=int(tool == ["doctor"]), **s3.environment))
        clone.git("add", "--all")
        clone.git("commit", "--quiet", "--message", "all of it")
        texts = {"what was said": "\n".join(said).encode()} | in_git(clone) | in_files(clone, but=".dvc/config.local")
        assert {"page.html", "review.html", "models/model.json", "dvc.lock"} < texts.keys()
        for planted in (s3.secret, s3.key):
            assert [name for name, content in texts.items() if planted.encode() in content] == []
        assert s3.secret in clone.read(".dvc/config.local"), "it was there to be found"


def in_git(repository: Repository) -> dict[str, bytes]:
    """Every object of every branch, tag and experiment."""
    listed = repository.git("rev-list", "--all", "--objects", "--reflog").split("\n")
    names = [line.split()[0] for line in listed if line]
    command = ["git", "cat-file", "--batch"]
    done = subprocess.run(command, cwd=repository.root, input="\n".join(names).encode(), capture_output=True, check=True)
    assert len(names) > 100
    return {"git": done.stdout}


def in_files(repository: Repository, but: str) -> dict[str, bytes]:
    """Every file of the folder, DVC's own included, but git's packed ones."""
    paths = [path for path in repository.root.rglob("*") if path.is_file() and not path.is_symlink()]
    named = {path.relative_to(repository.root).as_posix(): path for path in paths}
    return {name: path.read_bytes() for name, path in named.items() if name != but and not name.startswith(".git/")}
