"""PostgreSQL as a plain process: its programs, its folder, its databases."""

import contextlib
import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import Any

from infra.local.service import HOST, ServiceError

USER = "fpml"
DATABASES = Path(__file__).parent.parent / "databases.sql"


def user() -> str | None:
    """Whom it runs as, where not as oneself: it refuses to run as root."""
    return "postgres" if os.geteuid() == 0 else None


def as_user(name: str | None) -> dict[str, Any]:
    """What subprocess needs to run something as that user."""
    if name is None:
        return {}
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise ServiceError(
            f"there is no user {name}, and PostgreSQL refuses to run as root; run this as another user"
        ) from None
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def programs() -> Path:
    """Where PostgreSQL's programs are: on PATH, or where Debian keeps them. ServiceError where there are none."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parent.parent.name))
    if not versions:
        raise ServiceError("PostgreSQL is not installed; on Debian and Ubuntu: apt-get install postgresql")
    return versions[-1].parent


def command(data: Path, port: int) -> list[str]:
    """The server over a folder, on loopback only."""
    settings = {"listen_addresses": HOST, "port": port, "unix_socket_directories": "", "max_connections": 100}
    out = [str(programs() / "postgres"), "-D", str(data)]
    for key, value in settings.items():
        out += ["-c", f"{key}={value}"]
    return out


def make_folder(data: Path, password: str) -> None:
    """An empty server's folder, unless it is there. ServiceError says why it could not be made."""
    if (data / "PG_VERSION").exists():
        return
    data.mkdir(exist_ok=True)
    owner = user()
    if owner:
        os.chown(data, as_user(owner)["user"], -1)
    data.chmod(0o700)
    initdb = [str(programs() / "initdb"), "-D", str(data), "-U", USER, "--auth=scram-sha-256", "-E", "UTF8", "--locale=C"]
    copy = data.parent / ".initdb-password"  # for the user that PostgreSQL runs as, for a moment
    copy.unlink(missing_ok=True)
    try:
        copy.touch(0o600)
        copy.write_text(password, encoding="utf-8")
        if owner:
            os.chown(copy, as_user(owner)["user"], -1)
        done = subprocess.run(
            [*initdb, f"--pwfile={copy}"], capture_output=True, encoding="utf-8", errors="replace", cwd="/", **as_user(owner)
        )
    finally:
        copy.unlink()
    if done.returncode:
        hint = f"; can the user {owner} reach {data}? else set FPML_SERVICES to a folder that it can" if owner else ""
        raise ServiceError(f"initdb failed: {' '.join(done.stderr.split())[-300:]}{hint}")


def make_databases(address: str) -> None:
    """The databases of infra/databases.sql that are not there yet."""
    import psycopg2

    connection = psycopg2.connect(address)
    connection.autocommit = True
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database")
        known = {row[0] for row in cursor.fetchall()}
        for line in DATABASES.read_text(encoding="utf-8").splitlines():
            if line.startswith("CREATE DATABASE") and line.split()[2].rstrip(";") not in known:
                cursor.execute(line)


def answers(address: str) -> bool:
    import psycopg2

    try:
        psycopg2.connect(address, connect_timeout=3).close()
    except psycopg2.OperationalError:
        return False
    return True
