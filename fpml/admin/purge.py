"""Take a person out: prints, everything made from them that shows or counts them, and every copy that DVC and MLflow keep.

What was learnt from the prints stays in the weights of the models that were trained on them: those are named. Git keeps
hashes and settings, never prints.
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from fpml.admin.dvc import dvc
from fpml.admin.found import REPLACED, Found, every_page, is_of_person, replaced_listings
from fpml.admin.stores import open_stores
from fpml.base.errors import FpmlError
from fpml.base.files import new_file, root, state_folder
from fpml.project.params import Params
from fpml.tracking import runs as tracking
from fpml.tracking.publish import PICTURES, REPORT_TAG, SCORES


def purge(found: Found, params: Params) -> list[str]:
    """Remove what was found; lines that say what was done. What it is found by goes last: cut off, it can be repeated.

    FpmlError, with nothing removed, where MLflow's store or one of DVC's remotes can't be reached."""
    mlflow = tracking.connect(params.tracking)
    if mlflow is None:
        raise FpmlError(
            "MLflow's store can't be reached (above), and may show the person's prints; nothing was removed, try again"
        )
    said = []
    with open_stores(root()) as stores:
        if found.listings:
            replaced = {**replaced_listings(), **{old: new for old, (new, _) in found.listings.items()}}
            with new_file(root() / REPLACED) as temporary:
                temporary.write_text(json.dumps(replaced, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        for gallery, count in found.galleries.items():
            if count:
                frame = pd.read_parquet(gallery)
                with new_file(Path(gallery)) as temporary:
                    frame[~is_of_person(frame, found.rows, found.person)].to_parquet(temporary, index=False)
                said.append(f"{gallery}: {count} enrolled prints removed")
        said += _from_mlflow(mlflow, found, params)
        for store in stores.every:
            for old, (new, content) in found.listings.items():
                if store.read(old) is not None:
                    store.add(new, content)
        # First the prints and what holds them, everywhere; last the lists by which they are found, so that it can be repeated.
        lists = {oid for oid in found.objects if oid.endswith(".dir")}
        removed = {store.name: store.remove(found.objects - lists, []) for store in stores.every}
        for file in found.files:
            file.unlink(missing_ok=True)
        said.append(f"{len(found.files)} picture files removed")
        for left in (*root().glob("data/*/.*.part"), *root().glob("results/.*.part"), root() / ".dvc" / "tmp" / "exps"):
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
        for pointer in found.pointers:
            out = pointer.with_suffix("")
            try:
                dvc("add", str(out)) if out.exists() else dvc("remove", str(pointer))
            except FpmlError as error:
                raise FpmlError(
                    f"{error}; the prints are removed ({'; '.join(said)}), but not all that lists them: run it again"
                ) from None
        for store in stores.every:
            store.remove_leftovers()
            count = removed[store.name] + store.remove(lists, found.entries)
            said.append(f"{store.name}: {count} objects and entries removed")
    shutil.rmtree(state_folder() / "drift", ignore_errors=True)
    for name in found.runs:
        for made in (f"data/prepared/{name}", f"results/{name}"):
            shutil.rmtree(root() / made, ignore_errors=True)
        (root() / "data" / "split" / f"{name}.parquet").unlink(missing_ok=True)
    shutil.rmtree(root() / "report", ignore_errors=True)
    said.append(f"manifests of {', '.join(found.datasets)}, prepared prints, splits and results of "
                f"{', '.join(found.runs) or 'no run'}, and the report removed; dvc repro makes them anew")  # fmt: skip
    for name in found.datasets:  # last: by these it was found
        (root() / "data" / "manifest" / f"{name}.parquet").unlink(missing_ok=True)
    return said


def _from_mlflow(mlflow: Any, found: Found, params: Params) -> list[str]:
    """Scores lose the person's rows; figures and example prints of whatever was made from the person's datasets go, and the
    report, since nobody can tell whom they show. Deleted runs too, as long as MLflow keeps them."""
    from mlflow.entities import ViewType
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    client = mlflow.MlflowClient()
    experiments = [e.experiment_id for e in _every_experiment(client)]
    images = set(found.rows["image_id"]) | found.person.image_ids
    datasets = set(found.datasets)
    runs = every_page(lambda token: client.search_runs(experiments, run_view_type=ViewType.ALL, page_token=token))
    used = {r.info.run_id for r in runs if datasets & {d.dataset.name.split("/")[0] for d in r.inputs.dataset_inputs}}
    changed = 0
    for run in runs:
        recipe, parent = run.data.tags.get("recipe"), run.data.tags.get("mlflow.parentRunId")
        is_report = REPORT_TAG in run.data.tags
        if run.info.run_id not in used and parent not in used and recipe not in found.runs and not is_report:
            continue
        store = get_artifact_repository(run.info.artifact_uri)
        paths = {f.path for f in store.list_artifacts()}
        if SCORES in paths:
            scores = pd.read_parquet(store.download_artifacts(SCORES))
            with tempfile.TemporaryDirectory() as folder:
                scores[~scores["image_id"].isin(images)].to_parquet(Path(folder) / SCORES, index=False)
                store.log_artifact(str(Path(folder) / SCORES))
        for shown in paths & {"figures", PICTURES, "index.html"}:
            store.delete_artifacts(shown)
        changed += 1
        used.add(run.info.run_id)
    for model in every_page(lambda token: client.search_logged_models(experiments, page_token=token)):
        if model.source_run_id in used:
            store = get_artifact_repository(model.artifact_location)
            for file in store.list_artifacts():
                if "input_example" in file.path:
                    store.delete_artifacts(file.path)
    return [f"MLflow: scores, figures and example prints of {changed} runs cleaned"]


def _every_experiment(client: Any) -> list[Any]:
    """Deleted ones too, as long as MLflow keeps them: a run may have been logged under another experiment's name."""
    from mlflow.entities import ViewType

    return every_page(lambda token: client.search_experiments(view_type=ViewType.ALL, page_token=token))
