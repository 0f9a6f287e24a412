"""The reference as Markdown, from its owners: commands from the parser, settings from their dataclasses and params.yaml,
file formats and the Python API from docstrings. Nothing here is kept by hand but the order of modules."""

import argparse
import ast
import inspect
import json
import re
import types
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from fpml import tasks
from fpml.cli.main import parser
from fpml.project.params import Params
from fpml.project.preset import read_yaml

ROOT = Path(__file__).parents[2]
SOURCE = re.compile(r"^    (\w+): [^#\n]*(?:  # (.*))?$", re.MULTILINE)  # a field of a dataclass, and what is said of it

API = {  # what a program that imports fpml needs, in the order of a first reading
    "fpml": "Opening models and pictures",
    "fpml.inference.model": "A model, and what its methods give",
    "fpml.inference.minutiae": "Minutiae of a picture",
    "fpml.inference.compare": "Two prints compared",
    "fpml.inference.gallery": "Galleries and thresholds",
    "fpml.matching.template": "Templates",
    "fpml.matching.formats": "Templates as files",
    "fpml.matching.cylinders": "Cylinder codes",
    "fpml.matching.match": "The matcher",
    "fpml.matching.search": "Search in a gallery",
    "fpml.synth.generate": "Generated prints",
    "fpml.synth.sensors": "Sensors",
    "fpml.synth.alter": "Alterations",
    "fpml.synth.truth": "Ground truth",
    "fpml.data.pictures": "Reading pictures",
    "fpml.metrics.verification": "Verification and identification",
    "fpml.metrics.pictures": "Pictures beside each other",
    "fpml.metrics.minutiae": "Minutiae beside the true ones",
    "fpml.base.errors": "Errors",
}
FORMATS = {  # where → the module that owns it, and a name there whose source says more
    "data/manifest/DATASET.parquet": ("fpml.data.manifest", "COLUMNS"),
    "data/prepared/RUN": ("fpml.data.store", "BOX"),
    "data/split/RUN.parquet": ("fpml.data.split", ""),
    "models/RUN/run.json": ("fpml.project.identity", "Identity"),
    "models/RUN/model.onnx": ("fpml.training.export", "Registered"),
    "results/RUN/table.parquet": ("fpml.metrics.results", "Row"),
    "$FPML_STATE/checkpoints": ("fpml.training.checkpoint", ""),
    "NAME.fpml.zip": ("fpml.inference.package", "PARTS"),
    "gallery.parquet": ("fpml.inference.gallery", "Gallery"),
    "NAME-minutiae.json, .fmr and .xyt": ("fpml.matching.formats", ""),
    "FOLDER/truth, of generated prints": ("fpml.synth.truth", ""),
}


def pages() -> dict[str, str]:
    """Every generated page: its path in the site, and its Markdown."""
    return {
        "reference/commands.md": commands_page(),
        "reference/settings.md": settings_page(),
        "reference/api.md": api_page(),
        "reference/formats.md": formats_page(),
        "notebook.md": notebook_page(ROOT / "docs" / "notebook.ipynb"),
    }


def commands_page() -> str:
    top = parser()
    parts = ["# Every command", "What `fpml COMMAND --help` says. `--debug` shows the traceback of an error. "
             "[Everyday commands](../commands.md) has those to start with."]  # fmt: skip
    for name, command in every_command(top):
        below = command.format_usage().removeprefix("usage: ").replace("\n       ", "\n").strip()
        parts += [f"## {name}", inline(command.description or ""), f"```text\n{below}\n```"]
        parts += [table(["argument", "what it is"], [(f"`{a}`", text) for a, text in arguments(command)])]
    return "\n\n".join(parts) + "\n"


def every_command(here: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Each command that does something, with its groups in front of its name: `fpml data add`."""
    below = [a for a in here._actions if isinstance(a, argparse._SubParsersAction)]
    if not below:
        yield here.prog, here
    for name in below[0].choices if below else ():
        yield from every_command(below[0].choices[name])


def arguments(command: argparse.ArgumentParser) -> list[tuple[str, str]]:
    found = []
    for action in command._actions:
        if action.dest in ("help", "debug"):
            continue
        value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
        value = "" if action.nargs == 0 else " ".join(value) if isinstance(value, tuple) else str(value)
        shown = " ".join([", ".join(action.option_strings), value]).strip() if action.option_strings else value
        found.append((shown, inline(action.help or "")))
    return found


def settings_page(file: Path = ROOT / "params.yaml") -> str:
    settings, said = read_yaml(file), comments(file.read_text(encoding="utf-8"))
    parts = [
        "# Every setting",
        "All settings are in `params.yaml`, and no default hides in code: every key is stated, and an unknown one is refused. "
        "The column *value* has what `params.yaml` says as it ships, which is the demo.",
    ]
    for section, hint in get_type_hints(Params, include_extras=True).items():
        cls = dataclass_in(hint)
        if section == "recipes" or cls is None:
            continue
        several = isinstance(settings[section], dict) and not is_dataclass(hint)
        prefix = f"{section}.NAME" if several else section
        values = list(settings[section].values()) if several else [settings[section]]
        where = [f"{section}.{name}" for name in settings[section]] if several else [section]
        parts += [f"## {section}", rows(cls, prefix, values, where, said)]
    parts += [
        "## recipes",
        "A recipe has the sections that its task's `settings.py` declares. `R` stands for the recipe's name.",
    ]
    for (section, cls), users in recipe_sections().items():
        names = [r for r, run in settings["run"].items() if run["task"] in users]
        names = [r for r in names if {field.name for field in fields(cls)} <= set(settings["recipes"][r][section])]
        values = [settings["recipes"][r][section] for r in names]
        several = [c for (s, c), of in recipe_sections().items() if s == section and of == users]
        parts += [f"### {section} of {', '.join(users)}" + (f" ({', '.join(names)})" if len(several) > 1 else "")]
        parts += [rows(cls, f"recipes.R.{section}", values, [f"recipes.{r}.{section}" for r in names], said)]
    return "\n\n".join(parts) + "\n"


def recipe_sections() -> dict[tuple[str, type], list[str]]:
    """The classes of recipes' sections, and the tasks that share each."""
    found: dict[tuple[str, type], list[str]] = {}
    for task in tasks.names():
        for section, hint in get_type_hints(tasks.recipe_class(task)).items():
            for cls in (hint, *get_args(hint)):  # a task may have several of a section
                if is_dataclass(cls) and isinstance(cls, type):
                    found.setdefault((section, cls), []).append(task)
    order = ["data", "split", "model", "train", "evaluate", "promotion"]
    return dict(sorted(found.items(), key=lambda item: order.index(item[0][0])))


def rows(cls: type, prefix: str, values: list[Any], where: list[str], said: dict[str, str]) -> str:
    in_code = dict(SOURCE.findall(inspect.getsource(cls)))
    hints, out = get_type_hints(cls, include_extras=True), []
    for field in fields(cls):  # type: ignore[arg-type]
        there = list(dict.fromkeys(json.dumps(v[field.name], ensure_ascii=False) for v in values))
        shown = " · ".join(f"`{v}`" for v in there) if len(there) <= 4 else f"`{there[0]}` and others"
        told = next((said[f"{w}.{field.name}"] for w in where if f"{w}.{field.name}" in said), "") or in_code[field.name]
        out.append((f"`{prefix}.{field.name}`", allowed(hints[field.name]), shown, inline(told)))
    return table(["key", "allowed", "value", "what it is"], out)


def comments(text: str) -> dict[str, str]:
    """What stands behind each key of params.yaml, by the key's whole name."""
    found, path = dict[str, str](), list[str]()
    for line in text.splitlines():
        if key := re.match(r"( *)([\w-]+):", line):
            path = [*path[: len(key[1]) // 2], key[2]]
            if behind := re.search(r" # (.+)$", line):
                found[".".join(path)] = behind[1]
    return found


def dataclass_in(hint: Any) -> type | None:
    """The dataclass that a section, or each of its entries, is read into."""
    if is_dataclass(hint) and isinstance(hint, type):
        return hint
    return next((found for part in get_args(hint) if (found := dataclass_in(part))), None)


def allowed(hint: Any) -> str:
    """A type as a person would say it: a whole number from 1 to 50."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Annotated:
        limits = [m for wrapped in inside[1:] for m in getattr(wrapped, "metadata", [])]
        bounds = {type(m).__name__: next(iter(vars_of(m).values())) for m in limits}
        return allowed(inside[0]) + said_of(bounds)
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in inside)
    if origin is list:
        return f"list: {allowed(inside[0])}"
    if origin is dict:
        return f"mapping to: {allowed(inside[1])}"
    if origin in (Union, types.UnionType):
        return "; or ".join(allowed(part) for part in inside)
    return {int: "whole number", float: "number", bool: "true or false", str: "text"}[hint]


def vars_of(limit: Any) -> dict[str, Any]:
    return {name: getattr(limit, name) for name in getattr(limit, "__dataclass_fields__", {})} or vars(limit)


def said_of(bounds: dict[str, Any]) -> str:
    words = {"Ge": "from", "Gt": "above", "Le": "to", "Lt": "below", "MultipleOf": "a multiple of"}
    found = [f"{word} {bounds[name]:,}" for name, word in words.items() if name in bounds]
    found += [
        f"{word} {bounds[name]} entries" for name, word in (("MinLen", "at least"), ("MaxLen", "at most")) if name in bounds
    ]
    return f" {' '.join(found)}" if found else ""


def api_page() -> str:
    parts = ["# Python API", "From the docstrings. [Python](../python.md) has an example of each method of a model."]
    for module, title in API.items():
        parts += [f"## {title}", f"::: {module}"]
    return "\n\n".join(parts) + "\n"


def formats_page() -> str:
    parts = ["# File formats", "Each format is described where it is written. Parquet, safetensors, JSON, ONNX and .npy "
             "without objects: nothing that fpml reads can hold code."]  # fmt: skip
    for where, (module, name) in FORMATS.items():
        file = ROOT / (module.replace(".", "/") + ".py")
        parts += [f"## {where}", f"```text\n{inspect.getdoc(import_module(module))}\n```"]
        parts += [f"From `{file.relative_to(ROOT)}`:"] if name else [f"`{file.relative_to(ROOT)}` reads and writes it."]
        parts += [f"```python\n{source_of(file, name)}\n```"] if name else []
    return "\n\n".join(parts) + "\n"


def source_of(file: Path, name: str) -> str:
    """The lines that define a name, with their comments; of a class its docstring and fields, without its methods."""
    text = file.read_text(encoding="utf-8")
    for node in ast.parse(text).body:
        targets = [t.id for t in node.targets if isinstance(t, ast.Name)] if isinstance(node, ast.Assign) else []
        if name in targets or getattr(node, "name", "") == name:
            methods = [n for n in getattr(node, "body", []) if isinstance(n, ast.FunctionDef)]
            last = min((m.lineno - len(m.decorator_list) - 1 for m in methods), default=node.end_lineno)
            return "\n".join(text.splitlines()[node.lineno - 1 : last]).rstrip()
    raise ValueError(f"{file} has no {name}")


def notebook_page(file: Path) -> str:
    """A notebook's cells: its text as it is, its code to be copied."""
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    shown = ["".join(c["source"]) if c["cell_type"] == "markdown" else f"```python\n{''.join(c['source'])}\n```" for c in cells]
    return "\n\n".join([*shown, f"[Download this notebook]({file.name})"]) + "\n"


def table(head: list[str], body: list[tuple[str, ...]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) if body else ""


def inline(text: str) -> str:
    """A sentence of plain text in Markdown: what could be taken for markup is shown as it is."""
    return re.sub(r"([<>*_\[\]])(?![^`]*`(?:[^`]*`[^`]*`)*[^`]*$)", r"\\\1", text.replace("%%", "%"))
