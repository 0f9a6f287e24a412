"""The images' install steps, taken from the Dockerfile and run in a fresh environment."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY


def test_the_services_image_installs_what_its_script_starts(tmp_path: Path) -> None:
    text = (REPOSITORY / "infra" / "images" / "Dockerfile").read_text(encoding="utf-8")
    stage = text.split("FROM base AS services")[1].split("FROM ")[0]
    (install,) = re.findall(r"^RUN python -m pip (install .*)$", stage, re.MULTILINE)
    for line in re.findall(r"^COPY (\S+) \./$", text.split("FROM base AS worker")[0], re.MULTILINE):
        source = REPOSITORY / line
        (tmp_path / source.name).write_bytes(source.read_bytes())
    subprocess.run([sys.executable, "-m", "venv", "fresh"], cwd=tmp_path, check=True)
    python = str(tmp_path / "fresh" / "bin" / "python")
    done = subprocess.run(
        [python, "-m", "pip", *shlex.split(install), "--quiet", "--no-input"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    environment = {**os.environ, "PATH": f"{Path(python).parent}{os.pathsep}/usr/bin{os.pathsep}/bin", "PYTHONPATH": ""}
    for command in (
        ["python", "-c", "import boto3, psycopg2, asyncpg, flask_wtf"],
        ["mlflow", "server", "--help"],
        ["prefect", "version"],
        ["rclone", "serve", "s3", "--help"],
    ):
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, cwd=tmp_path)
        assert ran.returncode == 0, (command, ran.stderr[-500:])
