"""Real servers on loopback: PostgreSQL, an S3 server, MLflow and Prefect with passwords, and a worker. `make test-ops`"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.local.service import ServiceError
from infra.local.services import PORTS, Services
from tests.conftest import REPOSITORY, run, tiny_params, write_params


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    os.environ["PREFECT_WORKER_QUERY_SECONDS"] = "1"
    # Where the user postgres can reach it, if this runs as root.
    folder = Path(tempfile.mkdtemp(prefix="fpml-ops-"))
    folder.chmod(0o755)
    found = Services(folder, dict.fromkeys(PORTS, 0))
    try:
        try:
            found.up()
        except (ServiceError, ImportError) as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"{error} (apt-get install postgresql; make .venv/servers)")
        yield found
    finally:
        found.down()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def team(services: Services, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """The services, all up, their addresses and passwords in the environment; up again after a test that ended one."""
    services.up()
    # MLflow leaves the last store that this process set in the environment, where a child would take it for its registry.
    monkeypatch.delenv("MLFLOW_REGISTRY_URI", raising=False)
    for key, value in services.client_environment().items():
        monkeypatch.setenv(key, value)
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

    environment = services.client_environment()
    here = {PREFECT_API_URL: environment["PREFECT_API_URL"], PREFECT_API_AUTH_STRING: environment["PREFECT_API_AUTH_STRING"]}
    with temporary_settings(here):  # this process read its settings when it imported prefect
        yield services


@pytest.fixture(scope="session")
def with_synth(tmp_path_factory: pytest.TempPathFactory, once_under_dvc: Path) -> Path:
    """DVC's cache of a project that has run `synth`, at its smallest."""
    project = tmp_path_factory.mktemp("synth") / "project"
    shutil.copytree(once_under_dvc, project)
    run("dvc", "repro", "synth", cwd=project)
    return project / ".dvc" / "cache"


@pytest.fixture
def team_project(dvc_project: Path, team: Services, request: pytest.FixtureRequest, with_synth: Path) -> Path:
    """A project of its own experiment, with the real graph at its smallest, and the flows, on the services. `synth` took
    longest and is no test's matter: DVC restores it."""
    shutil.copytree(with_synth, dvc_project / ".dvc" / "cache", dirs_exist_ok=True)
    params = tiny_params()
    params["tracking"]["experiment"] = request.node.name
    name = f"r-{abs(hash(request.node.name)) % 10**8}"  # runs are registered by name: each test's own
    params["run"] = {name: params["run"]["reconstruct"]}
    params["recipes"] = {name: params["recipes"]["reconstruct"]}
    write_params(dvc_project, params)
    shutil.copytree(REPOSITORY / "flows", dvc_project / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    run("git", "add", "-A", cwd=dvc_project)
    run("git", "commit", "-qm", "settings", cwd=dvc_project)
    return dvc_project


def the_run(project: Path) -> str:
    """The one run of a team project's params.yaml."""
    return next(iter(yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))["run"]))


def set_params(project: Path, **changes: Any) -> None:
    """set_params(project, **{"train.epochs": 5}): of the project's one recipe."""
    params = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    for key, value in changes.items():
        *path, last = ("recipes", the_run(project), *key.split("."))
        place = params
        for part in path:
            place = place[part]
        place[last] = value
    write_params(project, params)


def slow(project: Path, epochs: int = 60) -> None:
    """A training that takes some ten seconds."""
    set_params(project, **{
        "model.widths": [16, 32, 32], "data.height": 64, "data.width": 64, "train.epochs": epochs, "train.batch_size": 2,
    })  # fmt: skip


def until(true: Callable[[], Any], seconds: float = 240, what: str = "it") -> Any:
    """Wait for a condition; its value."""
    deadline = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.5)  # what is asked is a server, busy enough
    return value


def epochs_kept(project: Path) -> int:
    """The last epoch that a training has kept; 0 before the first. Earlier ones are removed."""
    return max((int(kept.name.removeprefix("epoch-")) for kept in project.glob(".fpml/checkpoints/*/epoch-?????")), default=0)


def command(*arguments: str, cwd: Path, code: int = 0) -> str:
    """A Python module's command, in this environment: what it said."""
    done = subprocess.run([sys.executable, "-m", *arguments], cwd=cwd, capture_output=True, text=True, timeout=480)
    assert done.returncode == code, f"{arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def mlflow_client(team: Services) -> Any:
    """With the password of the environment."""
    from mlflow import MlflowClient

    return MlflowClient(team.url("mlflow"), registry_uri=team.url("mlflow"))
