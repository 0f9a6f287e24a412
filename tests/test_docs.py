"""The documents: their commands parse, their paths, links and settings exist, and their examples run."""

import ast
import contextlib
import io
import re
import shlex
import subprocess
import sys
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from fpml.cli.main import parser
from tests.conftest import REPOSITORY, demo_settings, make_print, run

DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])
OF_TODAY = [path for path in DOCUMENTS if path.name != "CHANGELOG.md"]  # which names what was there before, too
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
PATH = re.compile(r"(?<![\w./-])(?:fpml|flows|infra|tests|docs|\.ci)/[\w./*-]*[\w*]")
SECTIONS = ("data", "split", "model", "train", "evaluate", "promotion")  # of a recipe
SETTING = re.compile(
    rf"(?<![\w./-])(?:(?:recipes\.[\w-]+|{'|'.join(SECTIONS)}|runtime|tracking|drift|ingest|synth)(?:\.[a-z_0-9]+)+)(?![\w(/])"
)
FILES = ("py", "md", "json", "yaml", "onnx", "parquet", "safetensors", "zip", "whl", "load")  # `train.py` is no setting


def of(documents: list[Path]) -> Any:
    return pytest.mark.parametrize("document", documents, ids=lambda path: str(path.relative_to(REPOSITORY)))


def blocks(text: str, *languages: str) -> list[str]:
    return [dedent(block) for language, block in FENCE.findall(text) if language in languages]


def commands(text: str) -> Iterator[list[str]]:
    """The words of every command line in fenced blocks; what is in capitals is a placeholder, which 1 stands for."""
    for block in blocks(text, "", "sh", "bash", "console"):
        for line in block.splitlines():
            if not re.match(r"\s*(fpml|dvc|make|python) ", line):
                continue
            words = shlex.split(line, comments=True)
            while words:
                end = next((n for n, word in enumerate(words) if word in ("&&", ";", "|", ">")), len(words))
                yield [re.sub(r"^[A-Z][A-Z_]*…?$", "1", word) for word in words[:end]]
                words = words[end + 1 :]


def spans(text: str) -> list[str]:
    """What is written as code within the text."""
    return re.findall(r"`([^`\n]+)`", FENCE.sub("", text))


@cache
def dvc_parser() -> ArgumentParser:
    from dvc.cli.parser import get_main_parser

    found: ArgumentParser = get_main_parser()
    return found


def wrong(words: list[str]) -> str:
    """What is wrong with a command; '' where nothing is."""
    match words:
        case ["fpml", *rest]:
            return refused(parser(), rest)
        case ["dvc", *rest]:
            stages = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
            if rest[:1] == ["repro"] and (odd := [w for w in rest[1:] if w[0] != "-" and w.split("@")[0] not in stages]):
                return f"dvc.yaml has no stage {odd[0]}"
            return refused(dvc_parser(), rest)
        case ["make", *rest]:
            targets = re.findall(r"^([\w./-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
            missing = [word for word in rest if "=" not in word and word not in targets]
            return f"the Makefile has no target {missing[0]}" if missing else ""
        case ["python", "-m", module, *rest] if module.split(".")[0] in ("fpml", "flows", "infra", "tests"):
            place = REPOSITORY / module.replace(".", "/")
            files = [f for f in (place.with_suffix(".py"), place / "__main__.py") if f.exists()]
            if not files:
                return f"{module} can't be run by python -m"
            source = files[0].read_text(encoding="utf-8")
            return "".join(f"{module} has no {w}" for w in rest if w.startswith("--") and f'"{w}"' not in source)
        case ["python", script, *_] if script.endswith(".py"):
            return "" if (REPOSITORY / script).exists() else f"{script} is missing"
    return ""


def refused(top: ArgumentParser, words: list[str]) -> str:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            top.parse_args(words)
    except SystemExit as stop:
        return said.getvalue() if stop.code else ""
    except Exception as error:  # dvc's own
        return f"{error} {said.getvalue()}"
    return ""


def unknown_in_span(span: str) -> str:
    """What fpml does not know of a command that the text only names, without all that it takes."""
    here = parser()
    words = iter(re.sub(r"[\[\]…]", " ", span).split()[1:])
    for word in words:
        below = [a for a in here._actions if isinstance(a, _SubParsersAction)]
        if word.startswith("-"):
            if word not in here._option_string_actions:
                return f"{here.prog} has no {word}"
            if here._option_string_actions[word].nargs != 0:
                next(words, "")  # its value
        elif below and not word.isupper():
            if word not in below[0].choices:
                return f"{here.prog} has no command {word}"
            here = below[0].choices[word]
    return ""


def exists(path: str) -> bool:
    """Whether a path names something; capitals stand for any name, as in fpml/tasks/NAME/task.py."""
    if any(REPOSITORY.glob(re.sub(r"(?<![A-Za-z])[A-Z]+(?=[/.]|$)", "*", path))):
        return True
    return subprocess.run(["git", "check-ignore", "-q", path], cwd=REPOSITORY).returncode == 0  # made later, as secrets are


@cache
def settings() -> set[str]:
    found = set[str]()

    def add(value: Any, name: str) -> None:
        found.add(name)
        for key, inside in value.items() if isinstance(value, dict) else ():
            add(inside, f"{name}.{key}")

    for section, value in demo_settings().items():
        add(value, section)
    for recipe in demo_settings()["recipes"].values():
        for section in SECTIONS:
            add(recipe[section], section)
            add(recipe[section], f"recipes.R.{section}")
    return found


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@of(DOCUMENTS)
def test_commands_parse(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    found = {" ".join(words): wrong(words) for words in commands(text)}
    assert {command: why for command, why in found.items() if why} == {}
    named = {span: unknown_in_span(span) for span in spans(text) if span.startswith("fpml ")}
    assert {span: why for span, why in named.items() if why} == {}
    whole = [span for span in spans(text) if re.fullmatch(r"make [a-z-]+|python (-m )?[a-z_]+[./]\S+( .*)?", span)]
    targets = {span: wrong(span.split()) for span in whole}
    assert {span: why for span, why in targets.items() if why} == {}


@of(DOCUMENTS)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        file, _, anchor = target.partition("#")
        place = (document.parent / file) if file else document
        assert place.exists(), target
        if anchor:
            assert anchor in anchors(place), target


@of(OF_TODAY)
def test_paths_exist(document: Path) -> None:
    found = set(PATH.findall(re.sub(r"\]\([^)]*\)|https?://\S+", "", document.read_text(encoding="utf-8"))))
    assert sorted(path for path in found if not exists(path)) == []


@of(OF_TODAY)
def test_settings_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    named = {s for part in [*spans(text), *blocks(text, "")] for s in SETTING.findall(part) if s.split(".")[-1] not in FILES}
    general = {name: re.sub(r"^recipes\.[\w-]+", "recipes.R", name) for name in named}
    assert sorted(name for name, every in general.items() if not {name, every} & settings()) == []


@of(DOCUMENTS)
def test_the_name_on_the_package_index_is_another_project_s(document: Path) -> None:
    assert not re.search(r"pip install\b[^\n`]*\sfpml\b", document.read_text(encoding="utf-8"))


@of(DOCUMENTS)
def test_python_examples_name_what_there_is(document: Path) -> None:
    for block in blocks(document.read_text(encoding="utf-8"), "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("fpml"):
                module = import_module(str(node.module))
                assert not [a.name for a in node.names if not hasattr(module, a.name)], block


def tiny_model(folder: Path, name: str) -> None:
    """A model with every output that fpml knows, by a graph of a few operators; and what was measured of it."""
    import hashlib
    import json

    from onnx import TensorProto, helper, numpy_helper

    side, numbers = 32, 32 * 32
    kernel = (np.random.default_rng(0).standard_normal((8, numbers)) * 0.1).astype(np.float32)
    constants = {"byte": np.float32(255), "flat": np.array([-1, numbers]), "square": np.array([-1, 1, side, side])}
    nodes = [("Cast", ["prints"], ["float"], {"to": TensorProto.FLOAT}), ("Div", ["float", "byte"], ["reconstruction"], {})]
    outputs = {"reconstruct": ["reconstruction"], "repair-gated": ["repaired", "damage"], "compress": ["code"],
               "recognise": ["embedding"], "generate": ["pictures"]}[name]  # fmt: skip
    if name == "repair-gated":
        nodes += [("Identity", ["reconstruction"], ["repaired"], {}), ("Abs", ["reconstruction"], ["damage"], {})]
    if name in ("compress", "recognise"):
        nodes += [("Reshape", ["reconstruction", "flat"], ["row"], {})]
        nodes += [("LpNormalization", ["row"], [outputs[0]], {"axis": 1, "p": 2})]
    if name == "generate":
        constants["kernel"] = kernel
        nodes = [("MatMul", ["latent", "kernel"], ["row"], {}), ("Sigmoid", ["row"], ["grey"], {})]
        nodes += [("Reshape", ["grey", "square"], ["pictures"], {})]
    given = (
        helper.make_tensor_value_info("latent", TensorProto.FLOAT, ["n", 8])
        if name == "generate"
        else helper.make_tensor_value_info("prints", TensorProto.UINT8, ["n", 1, side, side])
    )
    graph = helper.make_graph(
        [helper.make_node(kind, before, after, **more) for kind, before, after, more in nodes], name, [given],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None) for output in outputs],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (folder / "models" / name).mkdir(parents=True)
    (folder / "models" / name / "model.onnx").write_bytes(model.SerializeToString())
    (folder / "models" / name / "weights.safetensors").write_bytes(b"")
    config = {"input": {"height": side, "width": side, "dpi": 160, "crop": "print"}, "classes": []}
    (folder / "models" / name / "config.json").write_text(json.dumps(config), encoding="utf-8")
    facts = {"model_sha256": hashlib.sha256(b"").hexdigest(), "threshold": 0.5, "threshold_fmr": 0.01,
             "threshold_fmr_high": 0.05, "threshold_impostors": 45, "threshold_finger_pairs": 45,
             "trained_on": "prints"}  # fmt: skip
    (folder / "results" / name).mkdir(parents=True)
    (folder / "results" / name / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


def test_the_examples_of_the_python_page_run(tmp_path: Path) -> None:
    """In the order of the page, as one program; with models of a few operators in place of trained ones."""
    for name in ("reconstruct", "repair-gated", "compress", "recognise", "generate"):
        tiny_model(tmp_path, name)
    for number, name in enumerate(("print.png", "altered.png", "other.png")):
        Image.fromarray(make_print(number)).save(tmp_path / name)
    examples = blocks((REPOSITORY / "docs" / "python.md").read_text(encoding="utf-8"), "python")
    assert len(examples) >= 6
    (tmp_path / "examples.py").write_text("\n".join(examples), encoding="utf-8")
    run(sys.executable, "examples.py", cwd=tmp_path)
