"""PostgreSQL, an S3 server, MLflow, Prefect and a worker as plain processes: started in this order, ended in the other.

They listen on loopback only, behind passwords that are made at the first start and kept in files that only their owner
can read. Their state lies in one folder; what was stored is there again after the next start.
"""

import contextlib
import json
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from fpml.base.environment import LOOPBACK
from infra.local import postgres
from infra.local.postgres import USER
from infra.local.service import HOST, PAST_PROXIES, Service, ServiceError, free_port, is_free, last_words, signed_in, status

ROOT = Path(__file__).parent.parent.parent
PORTS = {"postgres": 15432, "s3": 9000, "mlflow": 5000, "prefect": 4200}
SECRETS = ("postgres", "s3", "mlflow", "prefect", "flask")
POOL = "fpml"
START_SECONDS = 180.0  # Prefect's and MLflow's first start make their tables
END_SECONDS = 30.0


class Services:
    """The services whose state lies in `folder`. ports: of each; 0 for a free one, kept from then on."""

    def __init__(self, folder: Path, ports: dict[str, int] | None = None) -> None:
        self.folder = folder
        for part in ("secrets", "logs"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / "secrets").chmod(0o700)
        known = self._read("ports.json")
        self.ports: dict[str, int] = {n: known.get(n) or (ports or {}).get(n, p) or free_port() for n, p in PORTS.items()}
        self._started: dict[str, subprocess.Popen[bytes]] = {}  # by this process, which has to collect them when they end

    # what the services are

    def secret(self, name: str) -> str:
        """A password, made when it is first asked for."""
        path = self.folder / "secrets" / name
        if not path.exists():
            with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
                file.write(secrets.token_urlsafe(24))
        return path.read_text(encoding="utf-8")

    def url(self, name: str) -> str:
        return f"http://{HOST}:{self.ports[name]}"

    def database(self, name: str, driver: str = "postgresql") -> str:
        return f"{driver}://{USER}:{self.secret('postgres')}@{HOST}:{self.ports['postgres']}/{name}"

    def client_environment(self) -> dict[str, str]:
        """What a user of the services, the worker too, needs in its environment."""
        return {
            "MLFLOW_TRACKING_URI": self.url("mlflow"),
            "MLFLOW_TRACKING_USERNAME": USER,
            "MLFLOW_TRACKING_PASSWORD": self.secret("mlflow"),
            "PREFECT_API_URL": f"{self.url('prefect')}/api",
            "PREFECT_API_AUTH_STRING": f"{USER}:{self.secret('prefect')}",
            "PREFECT_HOME": str(self.folder / "worker"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            **self.s3_environment(),
        }

    def s3_environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url("s3"),
            "AWS_ACCESS_KEY_ID": f"{USER}-access-key",
            "AWS_SECRET_ACCESS_KEY": self.secret("s3"),
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def backup_environment(self) -> dict[str, str]:
        """What infra/backup.sh and infra/restore.sh read."""
        return {
            "PGHOST": HOST,
            "PGPORT": str(self.ports["postgres"]),
            "PGUSER": USER,
            "PGPASSWORD": self.secret("postgres"),
            "PATH": f"{postgres.programs()}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            **self.s3_environment(),
        }

    def all(self) -> list[Service]:
        return [self.postgres(), self.s3(), self.mlflow(), self.prefect(), self.worker()]

    def postgres(self) -> Service:
        port, data = self.ports["postgres"], self.folder / "postgres"
        command, address = postgres.command(data, port), f"{HOST}:{port}"
        return Service("postgres", command, {}, lambda: postgres.answers(self.database("postgres")), address, postgres.user())

    def s3(self) -> Service:
        if shutil.which("rclone", path=self._environment()["PATH"]) is None:
            raise ServiceError("rclone, which serves S3, is not installed; run: make .venv/servers")
        return self._service("s3", "objects", lambda: status(self.url("s3")) in (400, 403), self.url("s3"))

    def mlflow(self) -> Service:
        return self._service("mlflow", "mlflow", self._mlflow_answers, self.url("mlflow"))

    def prefect(self) -> Service:
        return self._service("prefect", "prefect", lambda: self._prefect("/health") is not None, self.url("prefect"))

    def worker(self) -> Service:
        return self._service("worker", "worker", self._worker_is_online, f"work pool {POOL}")

    def _service(self, name: str, state: str, answers: Callable[[], bool], address: str) -> Service:
        """One that infra/run-service.sh starts, as it does in a container."""
        (self.folder / state).mkdir(exist_ok=True)
        environment = {
            **self._environment(), "FPML_STATE_DIR": str(self.folder / state), "FPML_PORT": str(self.ports.get(name, 0)),
        }  # fmt: skip
        return Service(name, ["sh", str(ROOT / "infra" / "run-service.sh"), name], environment, answers, address)

    def _environment(self) -> dict[str, str]:
        for name in SECRETS:
            self.secret(name)
        return {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "FPML_SECRETS": str(self.folder / "secrets"),
            "FPML_LISTEN": HOST,
            "FPML_POSTGRES": f"{HOST}:{self.ports['postgres']}",
            "FPML_S3": self.url("s3"),
            "FPML_MLFLOW": self.url("mlflow"),
            "FPML_PREFECT": self.url("prefect"),
            "FPML_PROJECT": str(ROOT),
            "FPML_POOL_TYPE": "process",
            "FPML_WORKER": self._worker_name(),
        }

    # what is done with them

    def up(self) -> None:
        """Start what does not run yet, each after the one before it answers. ServiceError says what went wrong."""
        for service in self.all():
            self.start(service)
        self.write_environment()

    def start(self, service: Service) -> None:
        if self.process(service.name) is None:
            self._write("ports.json", self.ports)
            if service.name == "postgres":
                postgres.make_folder(self.folder / "postgres", self.secret("postgres"))
            elif service.name in self.ports and not is_free(self.ports[service.name]):
                raise ServiceError(
                    f"port {self.ports[service.name]} of {service.name} is taken by another program; end that, or run: "
                    f"make down; rm {self.folder}/ports.json; make up PORTS=free"
                )
            log = self._log(service.name)
            with log.open("ab") as output:
                child = subprocess.Popen(
                    service.command, env={**os.environ, **service.environment}, cwd=ROOT, stdin=subprocess.DEVNULL,
                    stdout=output, stderr=subprocess.STDOUT, start_new_session=True, **postgres.as_user(service.user),
                )  # fmt: skip
            self._started[service.name] = child
            self._note(service.name, child.pid)
        deadline = time.monotonic() + START_SECONDS
        while not service.answers():
            if self.process(service.name) is None:
                raise ServiceError(f"{service.name} ended while it started: {last_words(self._log(service.name))}")
            if time.monotonic() > deadline:
                late = f"{service.name} does not answer after {START_SECONDS:.0f} s"
                raise ServiceError(f"{late}; its log: {self._log(service.name)}")
            time.sleep(0.1)
        if service.name == "postgres":
            postgres.make_databases(self.database("postgres"))

    def down(self) -> None:
        """End what runs, the worker first and the database last."""
        for name in reversed(["postgres", "s3", "mlflow", "prefect", "worker"]):
            self.end(name)

    def end(self, name: str, number: signal.Signals = signal.SIGINT) -> None:
        """End a service and all that it started; killed where it does not end by itself."""
        process = self.process(name)
        if process is None:
            return
        family = [process, *process.children(recursive=True)]
        for one in family if number == signal.SIGKILL else [process]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.send_signal(number)  # PostgreSQL takes a SIGINT for: end all sessions, then yourself
        _, left = psutil.wait_procs(family, END_SECONDS)
        for one in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(left, END_SECONDS)
        if name in self._started:
            self._started.pop(name).wait(END_SECONDS)
        self._note(name, None)

    def process(self, name: str) -> psutil.Process | None:
        """The service's process, where it runs."""
        noted = self._read("processes.json").get(name)
        if noted is None:
            return None
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(noted["pid"])
            if process.create_time() == noted["since"] and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None

    def health(self) -> list[tuple[str, str, str]]:
        """Name, state and address of each service."""
        out = []
        for service in self.all():
            runs = self.process(service.name) is not None
            try:
                state = "healthy" if runs and service.answers() else "does not answer" if runs else "down"
            except ServiceError as error:
                state = str(error)
            out.append((service.name, state, service.address))
        return out

    def write_environment(self) -> Path:
        """A file for `.`, readable by its owner only."""
        path = self.folder / "secrets" / "env"
        if not path.exists():
            path.touch(0o600)
        lines = [f"export {k}={shlex.quote(v)}\n" for k, v in self.client_environment().items()]
        past = ",".join(LOOPBACK)
        lines += [f'export {name}="{past}${{{name}:+,${name}}}"\n' for name in ("no_proxy", "NO_PROXY")]
        path.write_text("".join(lines), encoding="utf-8")
        return path

    def backup(self, target: Path) -> None:
        self._need_stores()
        self._script("backup.sh", target)

    def restore(self, source: Path) -> None:
        """Put a backup in the place of what is there. What writes must be down: MLflow, Prefect, the worker."""
        for name in ("worker", "prefect", "mlflow"):
            if self.process(name) is not None:
                raise ServiceError(f"{name} runs; end it before a restore (python -m infra.local down, then up postgres s3)")
        self._need_stores()
        self._script("restore.sh", source)

    def _need_stores(self) -> None:
        for service in (self.postgres(), self.s3()):
            if self.process(service.name) is None or not service.answers():
                raise ServiceError(f"{service.name} is down; run: python -m infra.local up postgres s3")

    def _script(self, name: str, folder: Path) -> None:
        command = ["bash", str(ROOT / "infra" / name), str(folder)]
        done = subprocess.run(
            command, env={**os.environ, **self.backup_environment()}, capture_output=True, encoding="utf-8", errors="replace"
        )
        if done.returncode:
            raise ServiceError(f"{name} failed: {' '.join((done.stderr or done.stdout).split())[-500:]}")

    # the small parts

    def _mlflow_answers(self) -> bool:
        """ServiceError where it answers, but has another password: its users are in its database, which may come from
        elsewhere."""
        if status(f"{self.url('mlflow')}/health") != 200:
            return False
        asked = f"{self.url('mlflow')}/api/2.0/mlflow/experiments/search?max_results=1"
        answer = status(asked, signed_in(USER, self.secret("mlflow")))
        if answer == 401:
            raise ServiceError(
                f"MLflow has another password than {self.folder}/secrets/mlflow: was its database restored from elsewhere? "
                "Put that machine's file there, then: make down up"
            )
        return answer == 200

    def _prefect(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """An answer of Prefect's API; None where it gives none."""
        headers = {**signed_in(USER, self.secret("prefect")), "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        try:
            with PAST_PROXIES.open(
                urllib.request.Request(f"{self.url('prefect')}/api{path}", data, headers), timeout=5
            ) as answer:
                return json.load(answer)
        except (OSError, ValueError):
            return None

    def _worker_name(self) -> str:
        return f"local-{self.ports['prefect']}"

    def _worker_is_online(self) -> bool:
        found = self._prefect(f"/work_pools/{POOL}/workers/filter", {}) or []
        return any(w["name"] == self._worker_name() and w["status"] == "ONLINE" for w in found)

    def _log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    def _read(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return found

    def _write(self, name: str, content: dict[str, Any]) -> None:
        temporary = self.folder / f".{name}.part"
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
        temporary.replace(self.folder / name)

    def _note(self, name: str, pid: int | None) -> None:
        noted = self._read("processes.json")
        noted.pop(name, None)
        if pid is not None:
            noted[name] = {"pid": pid, "since": psutil.Process(pid).create_time()}
        self._write("processes.json", noted)
