"""What can be known of the images, compose and Kubernetes files without a container engine."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.conftest import REPOSITORY

INFRA = REPOSITORY / "infra"
SERVICES = {"postgres", "s3", "mlflow", "prefect", "deploy", "worker", "backup", "restore"}


@pytest.fixture
def compose(tmp_path: Path) -> dict[str, Any]:
    """compose.yaml as podman-compose understands it: anchors and variables resolved. It only asks podman for its version."""
    stub = tmp_path / "podman"
    stub.write_text("#!/bin/sh\necho podman version 5.0.0\n", encoding="utf-8")
    stub.chmod(0o755)
    files = ["-f", str(INFRA / "compose.yaml"), "-f", str(INFRA / "compose.gpu.yaml")]
    done = subprocess.run(
        [sys.executable, "-m", "podman_compose", *files, "--profile", "backup", "config"],
        env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = yaml.safe_load(done.stdout)
    return found


def test_compose_has_all_services_and_nothing_listens_beyond_loopback(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert set(services) == SERVICES
    published = [p for s in services.values() for p in s.get("ports", [])]
    assert len(published) == 2
    assert all(str(p).startswith("127.0.0.1:") for p in published)
    for name, service in services.items():
        assert not service.get("privileged"), name
        assert service["image"].startswith("fpml-") or re.search(r":\d+\.\d+", service["image"]), f"{name}: no pinned version"


def test_each_service_waits_for_what_it_needs_to_be_healthy(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[needed], f"{name} waits for {needed}, which has no health check"
    assert set(services["mlflow"]["depends_on"]) == {"postgres", "s3"}
    assert services["worker"]["depends_on"]["deploy"]["condition"] == "service_completed_successfully"
    assert services["worker"]["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]


def test_secrets_come_from_files_and_volumes_have_names(compose: dict[str, Any], tmp_path: Path) -> None:
    infra = tmp_path / "infra"
    infra.mkdir()
    shutil.copy(INFRA / "make-secrets.sh", infra)
    for _ in range(2):
        subprocess.run(["sh", str(infra / "make-secrets.sh")], check=True, capture_output=True)
    assert stat.S_IMODE((infra / "secrets").stat().st_mode) == 0o700
    made = {p.name: p.read_text(encoding="utf-8") for p in (infra / "secrets").iterdir()}
    assert {n: Path(s["file"]).name for n, s in compose["secrets"].items()} == {n: n for n in made}
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{32}", word) for word in made.values())
    used = {
        v.split(":")[0]
        for s in compose["services"].values()
        for v in map(str, s.get("volumes", []))
        if not v.startswith((".", "/"))
    }
    assert {v for v in used if v.isalpha()} <= set(compose["volumes"])
    text = (INFRA / "compose.yaml").read_text(encoding="utf-8")
    assert not re.search(r"PASSWORD: |password=", text)


def test_kubernetes_manifests_are_valid() -> None:
    manifests = list(yaml.safe_load_all((INFRA / "kubernetes" / "services.yaml").read_text(encoding="utf-8")))
    for manifest in manifests:
        kubernetes_validate.validate(manifest, "1.37", strict=True)
    kinds = [(m["kind"], m["metadata"]["name"]) for m in manifests]
    assert {n for k, n in kinds if k in ("Deployment", "StatefulSet")} == {"postgres", "s3", "mlflow", "prefect", "worker"}
    for manifest in manifests:
        if manifest["kind"] in ("Deployment", "StatefulSet"):
            pod = manifest["spec"]["template"]["spec"]
            assert pod["securityContext"]["runAsNonRoot"], manifest["metadata"]["name"]
    databases = next(m for m in manifests if m["metadata"]["name"] == "databases")["data"]["databases.sql"]
    statements = [
        line for line in (INFRA / "databases.sql").read_text(encoding="utf-8").splitlines() if line.startswith("CREATE")
    ]
    assert databases.splitlines() == statements


def test_a_job_of_the_kubernetes_pool_is_valid_and_asks_for_its_gpus() -> None:
    template = json.loads((INFRA / "kubernetes" / "base-job-template.json").read_text(encoding="utf-8"))
    values = {n: p.get("default") for n, p in template["variables"]["properties"].items()}
    values |= {"name": "night", "labels": {"a": "b"}, "command": ["prefect", "flow-run", "execute"], "cpu_limit": "4",
               "env": [{"name": "A", "value": "b"}], "gpus": "2"}  # fmt: skip

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: filled(v) for k, v in value.items()}
        if isinstance(value, list):
            return [filled(v) for v in value]
        if isinstance(value, str) and (whole := re.fullmatch(r"\{\{ (\w+) \}\}", value)):
            return values[whole[1]]
        return re.sub(r"\{\{ (\w+) \}\}", lambda m: str(values[m[1]]), value) if isinstance(value, str) else value

    job = filled(template["job_configuration"]["job_manifest"])
    job["metadata"].setdefault("name", "night")
    kubernetes_validate.validate(job, "1.37", strict=True)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert container["command"][:2] == ["sh", "infra/run-service.sh"]


def test_images_hold_what_they_copy_and_run_as_nobody_special() -> None:
    lines = (INFRA / "images" / "Dockerfile").read_text(encoding="utf-8").splitlines()
    kept = [
        line[1:] for line in (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")
    ]
    left_out = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").split("\n")
    assert left_out.index("infra/secrets") > left_out.index("!infra") < left_out.index("infra/backups")  # the last rule counts
    for line in lines:
        if line.startswith("COPY"):
            for source in line.split()[1:-1]:
                assert (REPOSITORY / source).exists(), line
                assert source.split("/")[0] in kept, f"{source} is left out by .dockerignore"
    stages = "\n".join(lines).split("FROM ")[2:]
    assert len(stages) == 2
    for stage in stages:
        after = stage[stage.rindex("USER ") :]
        assert after.startswith("USER fpml")
        assert "pip install" not in stage.split("ENTRYPOINT")[1]


@pytest.mark.parametrize("script", sorted(p.name for p in INFRA.glob("*.sh")))
def test_scripts_can_be_read_by_their_shell(script: str) -> None:
    shell = "bash" if "bash" in (INFRA / script).read_text(encoding="utf-8").splitlines()[0] else "sh"
    read = subprocess.run([shell, "-n", str(INFRA / script)], capture_output=True, text=True)
    assert (read.returncode, read.stderr) == (0, "")


def test_an_unknown_service_is_refused() -> None:
    done = subprocess.run(["sh", str(INFRA / "run-service.sh"), "minio"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: infra/run-service.sh s3|mlflow")


@pytest.mark.parametrize(
    ("given", "past"),
    [({}, None), ({"NO_PROXY": "intern"}, "intern"), ({"no_proxy": "intern"}, "intern"), ({"NO_PROXY": "*"}, "*")],
)
def test_services_need_no_home_and_pass_by_every_proxy(tmp_path: Path, given: dict[str, str], past: str | None) -> None:
    for name in ("s3", "mlflow", "prefect"):
        (tmp_path / name).touch()
    addresses = dict.fromkeys(("FPML_S3", "FPML_MLFLOW", "FPML_PREFECT", "FPML_PROJECT"), "http://s3:9000")
    places = {"FPML_SECRETS": str(tmp_path), "FPML_STATE_DIR": str(tmp_path / "state"), "HOME": "/proc/nonexistent"}
    environment = {k: v for k, v in os.environ.items() if k.lower() != "no_proxy"} | addresses | places | given
    command = ["sh", str(INFRA / "run-service.sh"), "run", "env"]
    said = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=True).stdout
    found = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    assert found["HOME"] == places["FPML_STATE_DIR"]
    assert found["no_proxy"] == found["NO_PROXY"]
    hosts = found["no_proxy"].split(",")
    assert hosts == ["*"] if past == "*" else {"127.0.0.1", "localhost", "s3", "mlflow", "prefect"} <= set(hosts)
    assert past is None or past in hosts
