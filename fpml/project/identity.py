"""What names a training run: its settings, data versions and tags, kept in run.json beside the model."""

import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fpml.base.files import new_file, root
from fpml.project.locked import locked


@dataclass
class Identity:
    """What names a training run; written to run.json, from which it can be made again."""

    run_id: str | None
    model_id: str | None
    name: str
    params: dict[str, Any]
    tags: dict[str, str]
    datasets: list[dict[str, str]]  # name, digest, digest_from, source
    store: str = ""
    experiment_id: str = ""

    def write(self, path: Path) -> None:
        with new_file(path) as temporary:
            temporary.write_text(json.dumps(self.__dict__, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Identity":
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def run_name(identity: Identity, model_folder: Path) -> str:
    """The id that a run is found by (its tag RUN_TAG); of its files, where it was trained without a store."""
    return identity.run_id or f"file-{hashlib.md5((model_folder / 'model.onnx').read_bytes()).hexdigest()}"


def dataset_digests(names: list[str], paths: dict[str, str], manifests: Path) -> list[dict[str, str]]:
    """DVC's md5 of each dataset: from its .dvc file, or from dvc.lock where a stage generates it; the
    manifest's own hash where DVC knows nothing of it."""
    pointers = {name: root() / "data" / "raw" / f"{name}.dvc" for name in names}
    generated = [f"ingest@{name}" for name in names if not pointers[name].exists()]
    # Under DVC these stages have run, and are in its lock; by hand they may have been run by hand too.
    stages = locked(root() / "dvc.lock", generated if "DVC_STAGE" in os.environ else []) if generated else {}
    out = []
    for name in names:
        origin = "dvc"
        if pointers[name].exists():
            digest = yaml.safe_load(pointers[name].read_text(encoding="utf-8"))["outs"][0]["md5"]
        else:
            deps = (stages.get(f"ingest@{name}") or {}).get("deps", [])
            digest = next((d["md5"] for d in deps if d["path"] == paths[name]), None)
        if digest is None:
            digest, origin = hashlib.md5((manifests / f"{name}.parquet").read_bytes()).hexdigest(), "manifest"
        out.append({"name": name, "digest": digest, "digest_from": origin, "source": paths[name]})
    return out


def stage_tags(recipe: str) -> dict[str, str]:
    """Tags to group runs by: recipe, DVC stage, git commit and, under Prefect, the flow run."""
    tags = {"recipe": recipe, "dvc_stage": os.environ.get("DVC_STAGE", "by hand")}
    if shutil.which("git"):
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root(), capture_output=True)
        tags["git_commit"] = commit.stdout.decode().strip() if commit.returncode == 0 else "none"
    if flow_run := os.environ.get("FPML_FLOW_RUN"):
        tags["prefect_flow_run"] = flow_run
    return tags
