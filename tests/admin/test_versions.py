"""What a person had in earlier versions goes too, in whatever clone, cache and remote; what can't be looked into is said."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from fpml.admin.cache import mend
from tests.conftest import REPOSITORY, run, tiny_params, write_params, write_socofing

ENVIRONMENT = {f"GIT_{who}_{what}": "t@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def commit(project: Path, message: bytes) -> None:
    run("git", "add", "-A", cwd=project, env=ENVIRONMENT)
    (project / ".git/message").write_bytes(message)
    run("git", "-c", "i18n.commitEncoding=latin1", "commit", "-qF", ".git/message", cwd=project, env=ENVIRONMENT)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a project, two remotes, and the bytes of subject 1's prints by name. The first version has everyone; in
    the second subject 1 lost a finger, another finger's print was renamed to subject 9, and subject 2 lost one."""
    here = tmp_path_factory.mktemp("built")
    project = here / "project"
    project.mkdir()
    for name in ("dvc.yaml", ".gitignore", ".dvcignore"):
        shutil.copy(REPOSITORY / name, project / name)
    (project / "fpml").symlink_to(REPOSITORY / "fpml")
    write_socofing(here / "source" / "people", 4)
    write_params(project, tiny_params())
    run("git", "init", "-qb", "main", cwd=project)
    run("dvc", "init", "-q", cwd=project)
    for name in ("store", "second"):
        (here / name).mkdir()
        run("dvc", "remote", "add", *(["-d"] if name == "store" else []), name, f"../{name}", cwd=project)
    commit(project, b"start")
    run("fpml", "data", "add", "people", str(here / "source/people"), "--reader", "socofing", "--dpi", "180", cwd=project)
    commit(project, b"everyone")
    for name in ("store", "second"):
        run("dvc", "push", "-r", name, cwd=project)
    raw = project / "data/raw/people"
    (here / "prints").mkdir()
    for path in raw.rglob("1__*.BMP"):
        shutil.copy(path, here / "prints" / path.name)
    for path in [*raw.rglob("1__M_Left_index*"), *raw.rglob("2__M_Left_index*")]:
        path.unlink()
    (raw / "Real/1__M_Left_thumb_finger.BMP").rename(raw / "Real/9__M_Left_thumb_finger.BMP")
    run("dvc", "add", "-q", "data/raw/people", cwd=project)
    commit(project, "Jürgen's print is renamed".encode("latin1"))
    run("dvc", "push", "-r", "store", cwd=project)
    run("fpml", "ingest", "people", cwd=project)
    return here


@pytest.fixture
def place(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path) -> Path:
    """A copy of what was built, for one test."""
    for leaked in ("MLFLOW_EXPERIMENT_ID", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(leaked, raising=False)
    shutil.copytree(built, tmp_path / "place", symlinks=True)
    shutil.copy(empty_store, tmp_path / "place/project/mlflow.db")
    return tmp_path / "place"


def clone(place: Path, *options: str) -> Path:
    """A fresh clone with today's version pulled, and nothing else."""
    run("git", "clone", "-q", *options, (place / "project").as_uri(), "clone", cwd=place)
    project = place / "clone"
    run("dvc", "pull", "-q", "data/raw/people.dvc", cwd=project)
    run("fpml", "ingest", "people", cwd=project)
    shutil.copy(place / "project/mlflow.db", project / "mlflow.db")
    return project


def holding(place: Path, *folders: str) -> list[str]:
    """The files that hold the bytes of one of subject 1's prints."""
    needles = [p.read_bytes() for p in (place / "prints").iterdir()]
    files = [p for folder in folders for p in (place / folder).rglob("*") if p.is_file()]
    return [str(p) for p in files if any(n in p.read_bytes() for n in needles)]


def purge(project: Path, subject: str, code: int = 0, env: dict[str, str] | None = None) -> str:
    done = run("fpml", "data", "purge", "--subject", subject, "--yes", cwd=project, code=code, env=env)
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_every_version_in_a_clone_with_a_shared_cache_and_two_remotes(place: Path) -> None:
    """Only the remotes have the older versions, and one of them only the oldest. The commit's message is not UTF-8."""
    project = clone(place)
    shared = place / "shared"
    run("dvc", "cache", "dir", str(shared), cwd=project)
    run("dvc", "pull", "-q", "data/raw/people.dvc", cwd=project)
    (project / "data/downloads").mkdir()
    shutil.copy(place / "prints/1__M_Left_index_finger.BMP", project / "data/downloads/copy.bmp")
    assert len(holding(place, "store", "second", "shared", "clone")) > 8
    said = purge(project, "1")
    assert holding(place, "store", "second", "shared", "clone") == []
    assert "Real/9__M_Left_thumb_finger.BMP" in said, "the same bytes under another name"
    assert "in earlier versions only: " in said
    others = {p.name.removesuffix("_finger.BMP") for p in (project / "data/raw/people/Real").iterdir()}
    assert others == {"2__M_Left_thumb", *(f"{n}__M_Left_{f}" for n in "34" for f in ("index", "thumb"))}
    # A second person is found in the versions that the first purge wrote anew, and nobody else is lost.
    mine = (place / "source/people/Real/2__M_Left_index_finger.BMP").read_bytes()
    kept = [p for p in (place / "store").rglob("*") if p.is_file() and p.read_bytes() == mine]
    assert len(kept) == 1
    commit(project, b"purge")
    run("fpml", "ingest", "people", cwd=project)
    purge(project, "2")
    assert not kept[0].exists()
    other = (place / "source/people/Real/3__M_Left_index_finger.BMP").read_bytes()
    assert [p for p in (place / "second").rglob("*") if p.is_file() and p.read_bytes() == other]


@pytest.mark.parametrize("level", ["global", "system", "local"])
def test_the_cache_is_where_dvc_says(place: Path, tmp_path: Path, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In whichever of DVC's configurations its place stands, and under whatever other sections."""
    project, elsewhere = place / "project", place / "elsewhere"
    env = {"DVC_GLOBAL_CONFIG_DIR": str(tmp_path / "global"), "DVC_SYSTEM_CONFIG_DIR": str(tmp_path / "system")}
    for folder in env.values():
        Path(folder).mkdir()
    with (project / ".dvc/config").open("a") as config:
        config.write(f"[state]\n    dir = {tmp_path / 'state'}\n")
    shutil.move(project / ".dvc/cache", elsewhere)
    run("dvc", "config", f"--{level}", "cache.dir", str(elsewhere), cwd=project, env=env)
    damaged = next(p for p in elsewhere.glob("files/md5/??/*") if p.read_bytes()[:2] == b"BM")
    damaged.chmod(0o644)
    damaged.write_bytes(b"damaged")
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    ((_, said),) = mend(project)
    assert f"cache object {damaged.parent.name}{damaged.name}: damaged" in said
    purge(project, "1", env=env)

    assert holding(place, "store", "second", "elsewhere", "project") == []


@pytest.mark.parametrize(("options", "lacks", "cure"), [
    (["--depth", "1"], "is shallow", "git remote set-branches origin '*' && git fetch --unshallow"),
    (["--single-branch"], "has only one branch of its origin", "git remote set-branches origin '*' && git fetch"),
])  # fmt: skip
def test_a_history_that_is_cut_stops_it(place: Path, options: list[str], lacks: str, cure: str) -> None:
    project = clone(place, *options)
    before = holding(place, "store", "second", "clone")
    said = purge(project, "1", code=2)
    assert f"this clone {lacks} and does not know all versions; run: {cure}; " in said
    assert "nothing was removed" in said
    assert holding(place, "store", "second", "clone") == before
    run("bash", "-c", cure, cwd=project)  # as it says
    purge(project, "1")
    assert holding(place, "store", "second", "clone") == []


@pytest.mark.parametrize("url", ["missing", "ssh://127.0.0.1:9/prints", "http://127.0.0.1:9/prints"])
def test_a_remote_that_can_not_be_reached_stops_it(place: Path, url: str) -> None:
    project = place / "project"
    run("dvc", "remote", "add", "away", url if "://" in url else str(place / url), cwd=project)
    before = holding(place, "store", "second", "project")
    said = purge(project, "1", code=2)
    assert "DVC remote away" in said
    assert holding(place, "store", "second", "project") == before


def test_a_version_that_nobody_has_is_named(place: Path) -> None:
    """What a garbage collection left nothing of, or what was never pushed from another clone."""
    project = clone(place)
    first = next(c for c in run("git", "log", "--format=%H %s", cwd=project).stdout.splitlines() if "everyone" in c)[:40]
    oid = yaml.safe_load(run("git", "show", f"{first}:data/raw/people.dvc", cwd=project).stdout)["outs"][0]["md5"]
    for path in place.rglob(f"{oid[:2]}/{oid[2:]}"):
        path.unlink()
    said = purge(project, "9", code=2)
    assert f"these may remain: data/raw/people as in {first[:8]} is in neither DVC's cache nor a remote" in said
    assert "picture files removed" in said, "the rest is done"


def test_a_dataset_that_is_not_all_here_is_not_told_anew(place: Path) -> None:
    """`dvc add` would take the missing pictures, which are other people's, out of the dataset."""
    project = place / "project"
    (project / "data/raw/people/Real/3__M_Left_index_finger.BMP").unlink()
    pointer = (project / "data/raw/people.dvc").read_bytes()
    said = purge(project, "1", code=2)
    assert "data/raw/people is not all here: 1 of 10 files of others are missing; run: dvc checkout data/raw/people.dvc" in said
    assert (project / "data/raw/people.dvc").read_bytes() == pointer


def test_git_that_refuses_is_quoted(place: Path) -> None:
    said = purge(place / "project", "1", code=2, env={"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"})
    assert "git can't read this repository, and its history is needed: " in said
    assert "safe.directory" in said


def test_replaced_listings_are_what_dvc_would_write(place: Path) -> None:
    project = place / "project"
    purge(project, "1")
    replaced = json.loads((project / "data/purged.json").read_text())
    assert len(replaced) == 2
    for new in replaced.values():
        (path,) = (project / ".dvc/cache").rglob(f"{new[:2]}/{new[2:]}")
        content = path.read_bytes()
        assert hashlib.md5(content).hexdigest() == new.removesuffix(".dir")
        assert not any("/1__" in entry["relpath"] for entry in json.loads(content))
    assert mend(project) == []


def test_a_purge_that_was_cut_off_is_repeated(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lists by which older prints are found go last, in every store."""
    from fpml.admin.found import find
    from fpml.admin.purge import purge as remove
    from fpml.admin.stores import Store
    from fpml.project.params import load

    monkeypatch.chdir(place / "project")
    calls = []

    def dies(store: Store, *arguments: Any) -> int:
        calls.append(store)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole(store, *arguments)

    whole = Store.remove
    params = load(Path("params.yaml"))
    monkeypatch.setattr(Store, "remove", dies)
    with pytest.raises(KeyboardInterrupt):
        remove(find("1", [], params), params)
    monkeypatch.undo()
    assert holding(place, "store", "second", "project") != []
    purge(place / "project", "1")
    assert holding(place, "store", "second", "project") == []


def test_another_clone_purges_after_the_first_has(place: Path) -> None:
    """The dataset no longer has the person there, and the lists in its cache are still the old ones."""
    run("git", "clone", "-q", (place / "project").as_uri(), "other", cwd=place)
    other = place / "other"
    run("git", "checkout", "-q", "HEAD~1", cwd=other)  # everyone
    run("dvc", "pull", "-q", "data/raw/people.dvc", cwd=other)
    purge(place / "project", "1")
    commit(place / "project", b"purge")
    run("git", "checkout", "-q", "main", cwd=other)
    run("git", "pull", "-q", cwd=other)
    run("dvc", "checkout", "-q", "data/raw/people.dvc", cwd=other)
    run("fpml", "ingest", "people", cwd=other)
    assert len(holding(place, "other")) > 2
    purge(other, "1")
    assert holding(place, "store", "second", "project", "other") == []


@pytest.mark.parametrize("spelt", ["data/raw/people/", "./data/raw/people"])
def test_a_dataset_s_path_may_be_spelt_otherwise(place: Path, spelt: str) -> None:
    project = place / "project"
    text = (project / "params.yaml").read_text(encoding="utf-8")
    (project / "params.yaml").write_text(text.replace("path: data/raw/people\n", f"path: {spelt}\n"), encoding="utf-8")
    run("fpml", "ingest", "people", cwd=project)
    purge(project, "1")
    assert holding(place, "store", "second", "project") == []


def test_files_without_a_byte_are_nobody_s(place: Path) -> None:
    """A broken, empty picture of the person has the bytes of every other empty file."""
    project = place / "project"
    (project / "data/raw/people/Real/1__M_Left_ring_finger.BMP").touch()
    run("dvc", "add", "-q", "data/raw/people", cwd=project)
    run("fpml", "ingest", "people", cwd=project)
    (project / "mine").mkdir()
    (project / "mine/__init__.py").touch()
    purge(project, "1")
    assert (project / "mine/__init__.py").exists()
    assert not (project / "data/raw/people/Real/1__M_Left_ring_finger.BMP").exists()


def test_what_can_not_be_purged_is_named(place: Path) -> None:
    """Pictures that were committed to git itself, and a remote that was configured once."""
    project = place / "project"
    (project / "data/raw/people/Real").mkdir(parents=True, exist_ok=True)
    run("git", "add", "-f", "data/raw/people/Real/1__M_Left_little_finger.BMP", cwd=project, code=128)
    shutil.copy(place / "prints/1__M_Left_index_finger.BMP", project / "data/raw/people/Real/1__M_Left_little_finger.BMP")
    run("git", "add", "-f", "data/raw/people/Real/1__M_Left_little_finger.BMP", cwd=project)
    commit(project, b"by mistake")
    run("git", "rm", "-q", "data/raw/people/Real/1__M_Left_little_finger.BMP", cwd=project)
    run("dvc", "remote", "remove", "second", cwd=project)
    commit(project, b"and out again")
    said = purge(project, "1", code=2)
    assert "git's own history, which holds 1 of the pictures, such as data/raw/people/Real/1__M_Left_little_finger.BMP" in said
    assert "../../second, a DVC remote until " in said
    assert holding(place, "store", "project/data", "project/.dvc") == []


def test_another_project_s_lists_in_a_shared_remote_stay(place: Path) -> None:
    """It loses the person's prints, which is meant, and nothing else."""
    other = place / "another"
    other.mkdir()
    run("git", "init", "-q", cwd=other)
    run("dvc", "init", "-q", cwd=other)
    run("dvc", "remote", "add", "-d", "store", "../store", cwd=other)
    shutil.copytree(place / "source/people/Real", other / "theirs")
    run("dvc", "add", "-q", "theirs", cwd=other)
    run("dvc", "push", "-q", cwd=other)
    oid = yaml.safe_load((other / "theirs.dvc").read_text(encoding="utf-8"))["outs"][0]["md5"]
    purge(place / "project", "1")
    assert holding(place, "store") == []
    assert (place / "store/files/md5" / oid[:2] / oid[2:]).exists()
