"""Put a trained minutiae model into fpml/shipped, with its card. In a project with the release settings:

    fpml preset release && dvc repro evaluate@minutiae
    python docs/scripts/ship_minutiae.py .          # its weights in half precision, and a card without numbers
    python docs/scripts/measure_matching.py …       # each of its commands
    python docs/scripts/ship_minutiae.py .          # again: the card takes the numbers that were measured with this model

A second argument is kept on the card: how it was trained, where that was in more than one step.

Weights are stored as 16-bit numbers and widened when the model is opened; it computes in 32 bits.
"""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto, helper, numpy_helper

NAME = "minutiae-1"
FOLDER = Path(__file__).parents[2] / "fpml" / "shipped" / NAME
MEASURED = Path(__file__).parents[1] / "matching"
FMR = "0.001"  # of the threshold that verify and identify take


def halved(content: bytes) -> bytes:
    """The same model with large weights stored in half precision, each widened by a Cast that is folded at opening."""
    model = onnx.load_from_string(content)
    casts = []
    for weights in list(model.graph.initializer):
        values = numpy_helper.to_array(weights)
        if values.dtype != np.float32 or values.size < 1000:
            continue
        model.graph.initializer.remove(weights)
        model.graph.initializer.append(numpy_helper.from_array(values.astype(np.float16), f"{weights.name}/half"))
        casts.append(helper.make_node("Cast", [f"{weights.name}/half"], [weights.name], to=TensorProto.FLOAT))
    for node in reversed(casts):
        model.graph.node.insert(0, node)
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    for node in model.graph.node:  # where in the code each came from: half the file, and paths of this machine
        node.ClearField("doc_string")
        node.ClearField("name")
        del node.metadata_props[:]
    del model.graph.value_info[:]  # shapes that are inferred again
    for value in (*model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    onnx.checker.check_model(model)
    out: bytes = model.SerializeToString()
    return out


def main() -> None:
    project = Path(sys.argv[1])
    trained = project / "models" / "minutiae"
    FOLDER.mkdir(exist_ok=True)
    content = halved((trained / "model.onnx").read_bytes())
    (FOLDER / "model.onnx").write_bytes(content)
    config: dict[str, Any] = json.loads((trained / "config.json").read_text(encoding="utf-8"))
    kept = {key: config[key] for key in ("task", "model", "settings", "classes", "parameters", "input")}
    (FOLDER / "config.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    sha256 = hashlib.sha256(content).hexdigest()
    measured: dict[str, Any] = {}
    for path in sorted(MEASURED.glob("*.json")):
        numbers = json.loads(path.read_text(encoding="utf-8"))
        if numbers.pop("model", None) == sha256:
            measured[path.stem] = numbers
    table = pd.read_parquet(project / "results" / "minutiae" / "table.parquet")
    own = table[table["metric"].str.startswith(("f1", "precision", "recall", "place", "angle"))]
    measured["held-out generated fingers"] = {
        method: {part: dict(zip(rows["metric"], rows["value"].round(3), strict=True)) for part, rows in by.groupby("part")}
        for method, by in own.groupby("method")
    }
    run = json.loads((trained / "run.json").read_text(encoding="utf-8"))
    generator = run["params"]["start"].rpartition("prints of ")[2]  # `MinutiaeTask.start`
    history = pd.read_parquet(trained / "history.parquet")
    commit = subprocess.run(["git", "-C", str(project), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    card = {
        "name": NAME, "licence": "Apache-2.0", "sha256": sha256,
        "trained_on": f"generated prints only, of {generator}: nobody's fingers",
        "command": ["fpml preset release", "dvc repro evaluate@minutiae", "python docs/scripts/ship_minutiae.py ."],
        "commit": commit.stdout.strip(),
        "epochs": len(history),
        "last losses": {name: round(float(history[name].iloc[-1]), 4) for name in history if name.startswith("validation/")},
        **({"how it was trained": sys.argv[2]} if len(sys.argv) > 2 else {}),
        "facts": _facts(measured.get("impostors")), "measured": measured,
    }  # fmt: skip
    (FOLDER / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    print(f"{FOLDER}: {len(content):,} bytes, {', '.join(measured)} on the card")


def _facts(impostors: dict[str, Any] | None) -> dict[str, Any]:
    """What verify and identify need of the card: the threshold and what it was counted on."""
    if impostors is None:
        return {}
    row, pairs = impostors["thresholds"][FMR], impostors["finger pairs"]
    alone = impostors["minutiae alone"][FMR]["threshold"]
    return {
        "threshold": row["threshold"], "threshold_fmr": row["FMR"], "threshold_fmr_high": row["FMR, upper end"],
        "plain_scale": row["threshold"] / alone,
        "threshold_impostors": impostors["impostor pairs"], "threshold_finger_pairs": pairs,
        "trained_on": "the generator, on sensors never trained on", "impostor_scores": impostors["scores"],
    }  # fmt: skip


if __name__ == "__main__":
    main()
