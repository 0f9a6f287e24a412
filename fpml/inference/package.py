"""A trained run in one file, for another machine: NAME.fpml.zip with model.onnx, weights.safetensors, config.json,
facts.json (what was measured), card.md and SHA256SUMS."""

import hashlib
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

from fpml.base.errors import FpmlError
from fpml.base.files import new_file, root

PARTS = ("model.onnx", "weights.safetensors", "config.json", "facts.json", "card.md")
SUMS = "SHA256SUMS"
LARGEST = 4 * 2**30  # bytes of one part


def export(name: str, out: Path | None) -> Path:
    """Write a run of models/ as one file. FpmlError where it was not trained."""
    folder = root() / "models" / name
    for part in PARTS[:3]:
        if not (folder / part).exists():
            raise FpmlError(f"{folder / part} is not there; run: dvc repro train@{name}")
    content = {part: (folder / part).read_bytes() for part in PARTS[:3]}
    content["facts.json"] = json.dumps(facts_of(folder), indent=1).encode()
    content["card.md"] = _card(name, json.loads(content["config.json"])).encode()
    content[SUMS] = "".join(f"{hashlib.sha256(c).hexdigest()}  {part}\n" for part, c in content.items()).encode()
    target = out or Path(f"{name}.fpml.zip")
    with new_file(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as file:
        for part, c in content.items():
            file.writestr(zipfile.ZipInfo(part), c)  # a fixed date: same run, same bytes
    return target


def facts_of(folder: Path) -> dict[str, Any]:
    """What was found when a trained run was measured; empty where it was not, or with other weights."""
    found = root() / "results" / folder.name / "facts.json"
    if not (found.exists() and (folder / "weights.safetensors").exists()):
        return {}
    facts: dict[str, Any] = json.loads(found.read_text(encoding="utf-8"))
    weights = (folder / "weights.safetensors").read_bytes()
    return facts if facts["model_sha256"] == hashlib.sha256(weights).hexdigest() else {}


def _card(name: str, config: dict[str, Any]) -> str:
    """What the model is, what it was trained on and how it did; beside it the recipe's own card."""
    settings = config["input"]
    lines = [
        f"# {name}",
        "",
        f"{config['task']}, model {config['model']} {json.dumps(config['settings'])}: {config['parameters']:,} parameters.",
        f"Prints: {settings['height']}×{settings['width']} pixels at {settings['dpi']:g} dpi, uint8, crop: {settings['crop']}.",
    ]
    if config["classes"]:
        lines.append(f"{len(config['classes'])} classes.")
    results, facts = root() / "results" / name, facts_of(root() / "models" / name)
    if facts:
        lines += [
            "",
            f"Trained on {facts['trained_on']}.",
            *facts["notes"],
            "",
            "| metric | measured on | value |",
            "|---|---|---|",
        ]
        metrics = json.loads((results / "metrics.json").read_text(encoding="utf-8"))
        lines += [f"| {m} | {part} | {value:.4g} |" for m, parts in metrics.items() for part, value in parts.items()]
    else:
        lines += ["", "Not measured."]
    card = root() / "docs" / "recipes" / f"{config['task']}.md"
    if card.exists():
        lines += ["", card.read_text(encoding="utf-8")]
    return "\n".join(lines) + "\n"


def read(path: Path) -> dict[str, bytes]:
    """The parts of such a file, checked against their sums. FpmlError for anything else."""
    try:
        with zipfile.ZipFile(path) as file:
            if sorted(file.namelist()) != sorted((*PARTS, SUMS)):
                raise FpmlError(
                    f"{path} is not a file of `fpml export`: it holds {', '.join(file.namelist()[:6]) or 'nothing'}"
                )
            if large := [i.filename for i in file.infolist() if i.file_size > LARGEST]:
                raise FpmlError(f"{path}: {large[0]} is larger than {LARGEST} bytes")
            content = {part: file.read(part) for part in (*PARTS, SUMS)}
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError) as error:  # the last: encrypted
        raise FpmlError(f"{path} is not a file of `fpml export`, or is damaged: {error}") from None
    sums = dict(line.split("  ")[::-1] for line in content[SUMS].decode(errors="replace").splitlines() if "  " in line)
    for part in PARTS:
        if hashlib.sha256(content[part]).hexdigest() != sums.get(part):
            raise FpmlError(f"{path}: {part} is not what its SHA-256 says; get the file again")
    return content
