"""What a host, an editor or a container engine reads: it can't be run here, so it is parsed and compared with what it names."""

import json
import re

import yaml

from tests.conftest import REPOSITORY

GITHUB = REPOSITORY / ".github"


def test_the_workflow_runs_what_every_change_must_pass_and_may_write_nothing() -> None:
    workflow = yaml.safe_load((GITHUB / "workflows" / "ci.yaml").read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    assert {"push", "pull_request"} == set(workflow[True])  # YAML 1.1 takes the key `on` for true
    (job,) = workflow["jobs"].values()
    assert (REPOSITORY / ".ci" / "run").exists()
    assert any("bash .ci/run" in step.get("run", "") for step in job["steps"])
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"]) for step in job["steps"] if "uses" in step)
    version = next(step["with"]["python-version"] for step in job["steps"] if "setup-python" in step.get("uses", ""))
    assert f'requires-python = ">={version}"' in (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")


def test_issue_forms_have_what_their_host_requires_and_warn_of_real_prints() -> None:
    forms = {p.name: yaml.safe_load(p.read_text(encoding="utf-8")) for p in (GITHUB / "ISSUE_TEMPLATE").glob("*.yaml")}
    assert len(forms) == 2
    for name, form in forms.items():
        assert {"name", "description", "body"} <= set(form), name
        for part in form["body"]:
            assert part["type"] in ("markdown", "textarea", "input", "dropdown", "checkboxes"), name
            assert ("value" if part["type"] == "markdown" else "label") in part["attributes"], name
        named = [part["id"] for part in form["body"] if "id" in part]
        assert len(named) == len(set(named)) > 0
    assert "no real fingerprint" in forms["fault.yaml"]["body"][0]["attributes"]["value"]


def test_the_development_container_makes_the_environment() -> None:
    container = json.loads((REPOSITORY / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    target = container["postCreateCommand"].removeprefix("make ")
    assert re.search(rf"^{re.escape(target)}:", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert container["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"] == ".venv/bin/python"
    assert ":3.11" in container["image"]


def test_the_tool_s_image_copies_what_is_there_and_runs_as_nobody_special() -> None:
    text = (REPOSITORY / "infra" / "images" / "tool.Dockerfile").read_text(encoding="utf-8")
    ignored = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        for source in sources.split():
            assert (REPOSITORY / source).exists(), source
            assert f"!{source}" in ignored, f"{source} is left out by .dockerignore"
    last = text[text.rindex("FROM ") :]
    assert "-c /tmp/constraints.txt" in last
    assert last.index("pip install") < last.index("USER fpml") < last.index('ENTRYPOINT ["fpml"]')
