"""Presets: overlays on params.yaml, which hold only what they set."""

from pathlib import Path
from typing import Any

from fpml.base.errors import FpmlError
from fpml.base.files import new_file, root
from fpml.project import PRESETS
from fpml.project.params import check, load


def read_yaml(path: Path) -> Any:
    """A YAML file with its comments, to be changed and written again."""
    from ruamel.yaml import YAML, YAMLError

    round_trip = YAML()
    try:
        return round_trip.load(path)
    except FileNotFoundError:
        raise FpmlError(f"{path} is not there; run fpml in the project's folder") from None
    except YAMLError as error:
        raise FpmlError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None


def write_yaml(document: Any, path: Path) -> None:
    from ruamel.yaml import YAML

    round_trip = YAML()
    round_trip.width = 4096  # no line is broken that a person wrote in one
    round_trip.indent(mapping=2, sequence=4, offset=2)
    with new_file(path) as temporary:
        round_trip.dump(document, temporary)


def in_one_line(value: Any) -> Any:
    """A mapping to be written as {a: 1, b: 2}."""
    from ruamel.yaml.comments import CommentedMap

    if not isinstance(value, dict):
        return value
    out = CommentedMap(value)
    out.fa.set_flow_style()
    return out


def put_in_place(name: str) -> None:
    """Set what a preset says in params.yaml; all else stays, and the lists of data of recipes that use datasets of
    the user's own."""
    path = root() / "params.yaml"
    load(path)
    mine, overlay = read_yaml(path), read_yaml(PRESETS / f"{name}.yaml")
    own = [d for d, dataset in mine["datasets"].items() if not dataset["path"].startswith("data/synth/")]
    for recipe, changes in overlay["recipes"].items():
        used = mine["recipes"].get(recipe, {}).get("data", {})
        if any(entry.split("/")[0] in own for entry in [*used.get("train", []), *used.get("test", [])]):
            for side in ("train", "test"):
                changes.get("data", {}).pop(side, None)
    for recipe in [r for r in overlay["recipes"] if r not in mine["recipes"]]:  # the user deleted it
        del overlay["recipes"][recipe]
    put_over(mine, overlay)
    check(mine, f"params.yaml with the {name} preset")
    write_yaml(mine, path)
    kept = f"; your datasets stay: {', '.join(own)}" if own else ""
    print(f"params.yaml now has the {name} settings{kept}. Next: dvc repro")


def put_over(settings: Any, overlay: Any) -> None:
    """Set every value of an overlay in settings, in place. FpmlError for a key that they lack."""
    for key, value in overlay.items():
        if key not in settings:
            raise FpmlError(f"a preset sets '{key}', which params.yaml does not have; it has: {', '.join(settings)}")
        if isinstance(value, dict):
            put_over(settings[key], value)
        else:
            settings[key] = value
