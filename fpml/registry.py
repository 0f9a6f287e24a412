"""Registered models and their aliases. `register` may be repeated: the same files are one version."""

import hashlib
from pathlib import Path
from typing import Any

ALIAS = "challenger"  # what evaluate registers; only promotion moves 'champion'
DIGEST_TAG = "model_md5"


def register(mlflow: Any, name: str, model_id: str, model_folder: Path) -> str:
    """Register a logged model under `name`, alias 'challenger'; its version, the old one for the same file."""
    client = mlflow.MlflowClient()
    digest = hashlib.md5((model_folder / "model.onnx").read_bytes()).hexdigest()
    versions = []
    if client.search_registered_models(f"name = '{name}'"):
        versions = client.search_model_versions(f"name = '{name}' and tags.{DIGEST_TAG} = '{digest}'")
    if versions:
        version = str(versions[0].version)
    else:
        made = mlflow.register_model(f"models:/{model_id}", name, tags={DIGEST_TAG: digest})
        version = str(made.version)
    client.set_registered_model_alias(name, ALIAS, version)
    return version
