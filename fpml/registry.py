"""Registered models and their aliases. `register` may be repeated: the same files are one version."""

import hashlib
from pathlib import Path
from typing import Any

ALIAS = "challenger"  # what evaluate registers; only promotion moves 'champion'
DIGEST_TAG = "model_md5"


def register(mlflow: Any, name: str, model_id: str, model_folder: Path) -> str:
    """Register a logged model under `name`, alias 'challenger'; its version, the old one for the same file."""
    digest = hashlib.md5((model_folder / "model.onnx").read_bytes()).hexdigest()
    version = known_version(mlflow, name, digest)
    if version is None:
        version = str(mlflow.register_model(f"models:/{model_id}", name, tags={DIGEST_TAG: digest}).version)
    mlflow.MlflowClient().set_registered_model_alias(name, ALIAS, version)
    return version


def known_version(mlflow: Any, name: str, digest: str) -> str | None:
    """The version that was registered for a model.onnx of this md5."""
    client = mlflow.MlflowClient()
    if not client.search_registered_models(f"name = '{name}'"):
        return None
    found = client.search_model_versions(f"name = '{name}' and tags.{DIGEST_TAG} = '{digest}'")
    return str(found[0].version) if found else None
