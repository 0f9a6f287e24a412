"""Put a trained model that undoes alterations into fpml/shipped, with its card. In a project with the release settings:

fpml preset release && dvc repro evaluate@repair-undo
python docs/scripts/ship_repair.py .                     # its weights in half precision, and a card without numbers
python docs/scripts/measure_repair.py socofing SOCOFing   # and its other commands
python docs/scripts/ship_repair.py .                     # again: the card takes the numbers that were measured with this model
"""

import argparse
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

from ship_minutiae import halved

from fpml.synth.write import GENERATOR

NAME = "repair-1"
FOLDER = Path(__file__).parents[2] / "fpml" / "shipped" / NAME
MEASURED = Path(__file__).parents[1] / "repair"
COMMANDS = ["fpml preset release", "dvc repro evaluate@repair-undo", "python docs/scripts/ship_repair.py ."]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("--trained", default="by the command", help="how, where it was not by the command alone")
    a = parser.parse_args()
    folder = a.project / "models" / "repair-undo"
    FOLDER.mkdir(exist_ok=True)
    content = halved((folder / "model.onnx").read_bytes())
    (FOLDER / "model.onnx").write_bytes(content)
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    kept = {key: config[key] for key in ("task", "model", "settings", "classes", "parameters", "input")}
    (FOLDER / "config.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    sha256 = hashlib.sha256(content).hexdigest()
    measured: dict[str, Any] = {}
    for path in sorted(MEASURED.glob("*.json")):
        numbers = json.loads(path.read_text(encoding="utf-8"))
        if numbers.pop("model", None) == sha256:
            measured[path.stem] = numbers
    commit = subprocess.run(["git", "-C", str(FOLDER.parent), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    card = {
        "name": NAME, "licence": "Apache-2.0", "sha256": sha256,
        "trained_on": f"generated prints only, of generator {GENERATOR}, altered by fpml/alteration: nobody's fingers",
        "command": COMMANDS, "trained": a.trained, "commit": commit.stdout.strip(), "measured": measured,
    }  # fmt: skip
    (FOLDER / "card.json").write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{FOLDER}: {len(content):,} bytes, {', '.join(measured)} on the card")


if __name__ == "__main__":
    main()
