"""Registered models and their aliases. `register` may be repeated: the same files are one version."""

import hashlib
import json
from pathlib import Path
from typing import Any

ALIAS = "challenger"  # what evaluate registers; only promotion moves 'champion'
PARTS = ("encoder",)  # what may be registered beside a model, as NAME-PART
DIGEST_TAG = "model_md5"
FACTS_TAG = "fpml.facts"


def register(mlflow: Any, name: str, model_id: str, model_folder: Path, facts: dict[str, Any] | None = None) -> str:
    """Register a logged model under `name`, alias 'challenger'; its version, the old one for the same file. facts: what was
    found when it was measured and its user needs, kept as a tag."""
    version = known_version(mlflow, name, digest(model_folder))
    if version is None:
        version = str(mlflow.register_model(f"models:/{model_id}", name, tags={DIGEST_TAG: digest(model_folder)}).version)
    client = mlflow.MlflowClient()
    if facts:
        client.set_model_version_tag(name, version, FACTS_TAG, json.dumps(facts))
    client.set_registered_model_alias(name, ALIAS, version)
    return version


def digest(model_folder: Path) -> str:
    """What a model is known by: the MD5 of its file, as DVC has it."""
    return hashlib.md5((model_folder / "model.onnx").read_bytes()).hexdigest()


def known_version(mlflow: Any, name: str, md5: str) -> str | None:
    """The version that was registered for a model.onnx of this md5, and has its files still."""
    client = mlflow.MlflowClient()
    if not client.search_registered_models(f"name = '{name}'"):
        return None
    found = client.search_model_versions(f"name = '{name}' and tags.{DIGEST_TAG} = '{md5}'")
    return next((str(version.version) for version in found if has_files(client, version)), None)


def has_files(client: Any, version: Any) -> bool:
    """Whether a version can be loaded: the files of the model that it names may be lost."""
    source = str(version.source).removeprefix("models:/")
    return source == version.source or bool(client.list_logged_model_artifacts(source))
