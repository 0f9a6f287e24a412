"""Every version of a file that git knows: in branches, tags, stashes, experiments, the index and the reflog.

What git says is bytes: messages, names and files may be in any encoding."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fpml.base.errors import FpmlError

WORKING_TREE = "the working tree"


@dataclass(frozen=True)
class Version:
    """A file's content at one commit. path: from the project's root."""

    path: str
    commit: str
    content: bytes


def versions(root: Path, patterns: tuple[str, ...]) -> Iterator[Version]:
    """All versions of the files below `root` that match git's patterns, each content of a path once, today's first.

    FpmlError where there is a repository that git can't read."""
    for pattern in patterns:
        files = (
            [p for p in root.rglob(pattern) if ".dvc" not in p.relative_to(root).parts] if "*" in pattern else [root / pattern]
        )
        for file in sorted(p for p in files if p.is_file()):
            yield Version(file.relative_to(root).as_posix(), WORKING_TREE, file.read_bytes())
    if not _is_repository(root):
        return
    here = _git(root, "rev-parse", "--show-prefix").strip().decode(errors="surrogateescape")
    # Everywhere in the repository: the project may have been moved within it. -m: a merge is compared with each parent.
    everywhere = [f":(top,glob)**/{pattern}" for pattern in patterns]
    log = ("log", "--all", "--reflog", "--full-history", "--raw", "-z", "-m", "--root", "--no-abbrev", "--no-renames")
    found: dict[tuple[str, str], str] = {}
    commit, blob = "", ""
    for part in _git(root, *log, "--format=%x01%H", "--", *everywhere).split(b"\0"):
        part = part.strip(b"\n")
        if part.startswith(b"\x01"):
            commit = part[1:41].decode("ascii")
        elif part.startswith(b":"):
            blob = part.split()[3].decode("ascii")
        elif part and blob.strip("0"):  # all zeros: deleted
            found.setdefault((part.decode(errors="surrogateescape").removeprefix(here), blob), commit)
    for entry in _git(root, "ls-files", "-s", "-z", "--full-name", "--", *everywhere).split(b"\0"):
        if entry:
            about, _, name = entry.partition(b"\t")
            path = name.decode(errors="surrogateescape").removeprefix(here)
            found.setdefault((path, about.split()[1].decode("ascii")), "the index")
    contents = _contents(root, {blob for _, blob in found})
    for (path, blob), commit in found.items():
        yield Version(path, commit[:8] if len(commit) == 40 else commit, contents[blob])


def names(root: Path, folders: list[str]) -> set[str]:
    """Every file that git itself ever held below these folders, by its path from the project's root."""
    if not folders or not _is_repository(root):
        return set()
    log = (
        "log",
        "--all",
        "--reflog",
        "--full-history",
        "-m",
        "--root",
        "--no-renames",
        "--name-only",
        "--relative",
        "-z",
        "--format=",
    )
    told = _git(root, *log, "--", *folders).split(b"\0")
    return {name.strip(b"\n").decode(errors="surrogateescape") for name in told if name.strip(b"\n")}


def cut(root: Path) -> str:
    """What this clone lacks of the history, and how to get it; '' where it has all that its remotes had."""
    if not _is_repository(root):
        return ""
    shallow = _git(root, "rev-parse", "--is-shallow-repository").strip() == b"true"
    config = subprocess.run(["git", "config", "--get-regexp", r"^remote\..*\.fetch$"], cwd=root, capture_output=True).stdout
    fetched: dict[str, str] = {}  # all that is fetched of each remote
    for line in config.decode(errors="replace").splitlines():
        key, _, what = line.partition(" ")
        name = key.removeprefix("remote.").removesuffix(".fetch")
        fetched[name] = f"{fetched.get(name, '')} {what}"
    narrow = [name for name, what in fetched.items() if "refs/heads/*:" not in what and "refs/*:" not in what]
    if not (shallow or narrow):
        return ""
    what = "is shallow" if shallow else f"has only one branch of its {narrow[0]}"
    wider = "".join(f"git remote set-branches {name} '*' && " for name in narrow)
    fetch = f"git fetch{' --unshallow' if shallow else f' {narrow[0]}' if narrow[0] != 'origin' else ''}"
    return f"this clone {what} and does not know all versions; run: {wider}{fetch}"


def _is_repository(root: Path) -> bool:
    """Whether git keeps this folder. FpmlError where it does but can't be asked, as for a folder of another owner."""
    if not any((folder / ".git").exists() for folder in (root, *root.parents)):
        return False
    _git(root, "rev-parse", "--git-dir")
    return True


def _git(root: Path, *arguments: str, given: bytes = b"") -> bytes:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, input=given, capture_output=True)
    except FileNotFoundError:
        raise FpmlError("git is not installed, and the history of this project is needed; install git") from None
    if done.returncode:
        said = " ".join(done.stderr.decode(errors="replace").split())[:300]
        raise FpmlError(f"git can't read this repository, and its history is needed: {said}")
    return done.stdout


def _contents(root: Path, blobs: set[str]) -> dict[str, bytes]:
    """All of these objects in one call of git."""
    names = sorted(blobs)
    told = _git(root, "cat-file", "--batch", given="".join(f"{name}\n" for name in names).encode("ascii"))
    out, at = {}, 0
    for name in names:
        end = told.index(b"\n", at)
        head = told[at:end].split()
        if len(head) != 3:
            raise FpmlError(f"git has lost object {name}, which the history names; run: git fetch, or git fsck")
        size = int(head[2])
        out[name] = told[end + 1 : end + 1 + size]
        at = end + 1 + size + 1
    return out
