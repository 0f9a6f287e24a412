import base64
import stat
import urllib.request
from pathlib import Path

import boto3
import psutil
import psycopg2
import pytest

from infra.local.service import ServiceError
from infra.local.services import PORTS, Services
from tests.ops.conftest import command, mlflow_client


def family(team: Services) -> list[psutil.Process]:
    mains = [team.process(name) for name in ("postgres", "s3", "mlflow", "prefect", "worker")]
    assert all(mains)
    return [p for main in mains if main for p in (main, *main.children(recursive=True))]


def test_all_are_healthy(team: Services) -> None:
    assert [state for _, state, _ in team.health()] == ["healthy"] * 5


def test_nothing_listens_beyond_loopback(team: Services) -> None:
    listening = {c.laddr for p in family(team) for c in p.net_connections() if c.status == psutil.CONN_LISTEN}
    assert {a.port for a in listening} >= set(team.ports.values())
    assert {a.ip for a in listening} == {"127.0.0.1"}


def asked(address: str, password: str) -> urllib.request.Request:
    """Without a password, no user either."""
    user = {"Authorization": f"Basic {base64.b64encode(f'fpml:{password}'.encode()).decode()}"}
    return urllib.request.Request(address, headers=user if password else {})


def test_passwords_are_asked_for_and_shown_to_nobody(team: Services) -> None:
    for name, path in {"prefect": "/api/admin/version", "mlflow": "/api/2.0/mlflow/experiments/search?max_results=1"}.items():
        address = team.url(name) + path
        urllib.request.urlopen(asked(address, team.secret(name)), timeout=10).close()
        for password in ("", "another"):  # now that the right one is known
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(asked(address, password), timeout=10)
            assert refused.value.code == 401, address
            refused.value.close()
    with pytest.raises(psycopg2.OperationalError, match="password"):
        psycopg2.connect(host="127.0.0.1", port=team.ports["postgres"], user="fpml", password="fpml", dbname="mlflow")
    secrets = list((team.folder / "secrets").iterdir())
    assert {p.name for p in secrets} >= {"postgres", "s3", "mlflow", "prefect", "flask", "env"}
    assert all(stat.S_IMODE(p.stat().st_mode) == 0o600 for p in secrets)
    words = [p.read_text(encoding="utf-8") for p in secrets if p.name != "env"]
    kept = [p for p in team.folder.rglob("*") if p.is_file() and team.folder / "postgres" not in p.parents]
    assert all(stat.S_IMODE(p.stat().st_mode) == 0o600 for p in kept if any(w.encode() in p.read_bytes() for w in words))
    lines = " ".join(" ".join(p.cmdline()) for p in psutil.process_iter() if p.status() != psutil.STATUS_ZOMBIE)
    logs = " ".join(p.read_text(errors="replace", encoding="utf-8") for p in (team.folder / "logs").iterdir())
    assert not [w for w in words if w in lines or w in logs]


def test_a_taken_port_is_named(team: Services, tmp_path: Path) -> None:
    other = Services(tmp_path, {**dict.fromkeys(PORTS, 0), "s3": team.ports["s3"]})
    with pytest.raises(ServiceError, match=f"port {team.ports['s3']} of s3 is taken"):
        other.start(other.s3())


def test_a_backup_is_put_back(team: Services, tmp_path: Path) -> None:
    client = mlflow_client(team)
    kept = client.create_experiment("kept")
    run = client.create_run(kept)
    (tmp_path / "note.txt").write_text("kept", encoding="utf-8")
    client.log_artifact(run.info.run_id, str(tmp_path / "note.txt"))
    team.backup(tmp_path / "backup")
    with pytest.raises(ServiceError, match="is there already"):
        team.backup(tmp_path / "backup")
    client.create_experiment("made later")
    client.delete_run(run.info.run_id)
    store = boto3.client("s3")  # its address and keys are in the environment
    (key,) = (o["Key"] for o in store.list_objects_v2(Bucket="mlflow")["Contents"] if o["Key"].endswith("note.txt"))
    store.delete_object(Bucket="mlflow", Key=key)

    with pytest.raises(ServiceError, match="worker runs; end it"):
        team.restore(tmp_path / "backup")
    for name in ("worker", "prefect", "mlflow"):
        team.end(name)
    team.restore(tmp_path / "backup")
    team.up()
    assert client.get_run(run.info.run_id).info.lifecycle_stage == "active"
    assert Path(client.download_artifacts(run.info.run_id, "note.txt", str(tmp_path))).read_text(encoding="utf-8") == "kept"
    assert client.get_experiment_by_name("made later") is None
    assert not list(tmp_path.glob("*.part"))


def test_a_backup_needs_its_stores(tmp_path: Path) -> None:
    away = Services(tmp_path, dict.fromkeys(PORTS, 0))
    for action in (away.backup, away.restore):
        with pytest.raises(ServiceError, match="postgres is down; run: python"):
            action(tmp_path / "backup")


def test_another_password_than_mlflows_is_told(team: Services) -> None:
    """As after a restore of another machine's databases: MLflow's /health asks for none, and would say that all is well."""
    path = team.folder / "secrets" / "mlflow"
    known = path.read_text(encoding="utf-8")
    try:
        path.write_text("another", encoding="utf-8")
        states = {name: state for name, state, _ in team.health()}
    finally:
        path.write_text(known, encoding="utf-8")
    assert "MLflow has another password" in states["mlflow"]
    assert states["prefect"] == "healthy"


def test_an_unknown_service_is_named(tmp_path: Path) -> None:
    root = Path(__file__).parent.parent.parent
    assert "no service postgre; there are: postgres" in command("infra.local", "up", "postgre", cwd=root, code=2)
