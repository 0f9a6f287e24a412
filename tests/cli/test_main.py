import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fpml.cli.main import COMMANDS, main


def test_help_lists_every_command_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for name in (
        "ingest",
        "prepare",
        "split",
        "train",
        "evaluate",
        "report",
        "data",
        "register",
        "reconstruct",
        "doctor",
        "preset",
    ):
        assert f"\n    {name} " in text
    assert set(COMMANDS) >= {"synth", "show"}


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from fpml.cli.main import parser; parser().format_help(); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"torch", "mlflow", "pandas", "numpy", "pydantic", "yaml", "matplotlib"} & set(modules)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_knows_the_commands(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--completion", shell]) == 0
    script = capsys.readouterr().out
    assert "reconstruct" in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_unknown_commands_and_arguments_are_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["nonsense"], ["train"], ["data", "add"], ["preset", "best"]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2
    assert main(["data"]) == 0
    assert "add" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["prepare", "split", "train", "evaluate", "register"])
def test_a_run_that_is_not_there(command: str, fpml: Callable[..., Any]) -> None:
    assert "no run 'absent' in params.yaml; run has: reconstruct" in fpml(command, "absent", code=2).err


@pytest.mark.parametrize("command", ["prepare", "split", "train", "evaluate", "register"])
def test_stages_out_of_order_say_what_to_run(command: str, fpml: Callable[..., Any]) -> None:
    assert "run: " in fpml(command, "reconstruct", code=2).err


def test_outside_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report"]) == 2
    assert "params.yaml is not there; run fpml in the project's folder" in capsys.readouterr().err


def test_debug_shows_the_traceback(project: Path) -> None:
    done = subprocess.run(["fpml", "split", "absent", "--debug"], cwd=project, capture_output=True, text=True)
    assert "Traceback" in done.stderr


def test_an_interrupt_is_one_line(project: Path, fpml: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    import fpml.data.ingest as module

    def interrupted(*arguments: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "read_one", interrupted)
    assert "interrupted" in fpml("ingest", "prints", code=130).err
    assert not (project / "data" / "manifest").exists()
