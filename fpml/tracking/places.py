"""Where the files of an SQLite store lie: MLflow writes down whole paths, and a project may be moved."""

import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from fpml.base.files import home

ARTIFACTS = "mlartifacts"  # below home, where an SQLite store has its files
PLACES = (  # the columns of MLflow's tables that name files
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def database(uri: str) -> Path | None:
    """The file of an SQLite store; None for any other store."""
    from sqlalchemy.engine import make_url

    if not uri.startswith("sqlite"):
        return None
    name = make_url(uri).database or ""
    return Path(os.fsdecode(unquote_to_bytes(name.removeprefix("file:"))) if "uri" in make_url(uri).query else name)


def follow_the_project(file: Path) -> None:
    """A store names its files by where it was made. Where it was moved or copied with its project since, all of these names are
    mended in one transaction; but not those of files that are only where they were."""
    artifacts, project = (home() / ARTIFACTS).resolve(), home().resolve()
    mended = 0
    with closing(sqlite3.connect(file, timeout=60)) as connection, connection:
        made = connection.execute(
            f"SELECT artifact_location FROM experiments WHERE artifact_location LIKE 'file:///%/{ARTIFACTS}'"
        )
        for before in {Path(path_of(location)) for (location,) in made} - {artifacts}:
            moves = {before: artifacts, before.parent: project}  # in this order: mlartifacts may be a link to elsewhere
            for old, new in ((f(a), f(b)) for a, b in moves.items() for f in (Path.as_uri, str)):
                for table, column in PLACES:
                    found = connection.execute(
                        f"SELECT rowid, {column} FROM {table} WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                        (old, len(old) + 1, f"{old}/"),
                    )
                    changed = [(new + name[len(old) :], row, name) for row, name in found]
                    changed = [c for c in changed if Path(path_of(c[0])).exists() or not Path(path_of(c[2])).exists()]
                    connection.executemany(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (c[:2] for c in changed))
                    mended += len(changed)
    if mended:
        from mlflow.tracking._tracking_service import utils

        utils._artifact_repos_cache.clear()  # this process may have read from the old places
        print(
            f"tracking: the project was moved to {project}; {mended} names of files in {file.name} follow it",
            file=sys.stderr,
            flush=True,
        )


def path_of(location: str) -> str:
    """The path that MLflow has as a file: address, or as it is."""
    return os.fsdecode(unquote_to_bytes(urlsplit(location).path)) if location.startswith("file:") else location
