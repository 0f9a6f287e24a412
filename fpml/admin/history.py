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
        for file in sorted(root.rglob(pattern)) if "*" in pattern else [root / pattern]:
            if file.is_file() and ".dvc/" not in file.relative_to(root).as_posix():
                yield Version(file.relative_to(root).as_posix(), WORKING_TREE, file.read_bytes())
    if not _is_repository(root):
        return
    # -m: a merge is compared with each parent, so that what it brought in itself is seen too.
    log = ("log", "--all", "--reflog", "--raw", "-z", "-m", "--root", "--no-abbrev", "--no-renames", "--relative")
    found: dict[tuple[str, str], str] = {}
    commit, blob = "", ""
    for part in _git(root, *log, "--format=%x01%H", "--", *patterns).split(b"\0"):
        part = part.strip(b"\n")
        if part.startswith(b"\x01"):
            commit = part[1:41].decode("ascii")
        elif part.startswith(b":"):
            blob = part.split()[3].decode("ascii")
        elif part and blob.strip("0"):  # all zeros: deleted
            found.setdefault((part.decode(errors="surrogateescape"), blob), commit)
    for entry in _git(root, "ls-files", "-s", "-z", "--", *patterns).split(b"\0"):
        if entry:
            about, _, name = entry.partition(b"\t")
            found.setdefault((name.decode(errors="surrogateescape"), about.split()[1].decode("ascii")), "the index")
    contents = _contents(root, {blob for _, blob in found})
    for (path, blob), commit in found.items():
        yield Version(path, commit[:8] if len(commit) == 40 else commit, contents[blob])


def cut(root: Path) -> str:
    """What this clone lacks of the history, and how to get it; '' where it has all that its origin had."""
    if not _is_repository(root):
        return ""
    shallow = _git(root, "rev-parse", "--is-shallow-repository").strip() == b"true"
    fetched = subprocess.run(["git", "config", "--get-all", "remote.origin.fetch"], cwd=root, capture_output=True).stdout
    narrow = bool(fetched) and b"refs/heads/*:" not in fetched  # as clones with --depth or --single-branch are
    if not (shallow or narrow):
        return ""
    what = "is shallow" if shallow else "has only one branch of its origin"
    wider = "git remote set-branches origin '*' && " if narrow else ""
    return f"this clone {what} and does not know all versions; run: {wider}git fetch{' --unshallow' if shallow else ''}"


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
