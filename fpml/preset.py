"""Put a preset's settings in place of params.yaml's; the user's datasets and their use stay."""

from pathlib import Path
from typing import Any

from fpml import config
from fpml.errors import FpmlError
from fpml.files import new_file, root


def read_yaml(path: Path) -> Any:
    """A YAML file with its comments, to be changed and written again."""
    from ruamel.yaml import YAML, YAMLError

    round_trip = YAML()
    try:
        return round_trip.load(path)
    except FileNotFoundError:
        raise FpmlError(f"{path} is not there; run fpml in the project's folder") from None
    except YAMLError as error:
        raise FpmlError(f"{path} is no YAML: {' '.join(str(error).split())}") from None


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
    """Write presets/NAME.yaml as params.yaml, with the datasets, runtime and tracking that params.yaml has."""
    mine_path = root() / "params.yaml"
    config.load(mine_path)
    mine, preset = read_yaml(mine_path), read_yaml(root() / "presets" / f"{name}.yaml")
    embedded = set(preset["datasets"])
    own = [d for d in mine["datasets"] if d not in embedded]
    for dataset in own:
        preset["datasets"][dataset] = mine["datasets"][dataset]
    for recipe in preset["recipes"]:
        used = mine["recipes"].get(recipe, {}).get("data", {})
        entries = [*used.get("train", []), *used.get("test", [])]
        if any(entry.split("/")[0] in own for entry in entries):
            for side in ("train", "test"):
                preset["recipes"][recipe]["data"][side] = used[side]
    for section in ("run", "recipes"):  # the user's own runs, for a train-sensor x test-sensor matrix say
        for entry in mine[section]:
            preset[section].setdefault(entry, mine[section][entry])
    for section in ("runtime", "tracking"):
        preset[section] = mine[section]
    config.check(preset, f"presets/{name}.yaml with your datasets")
    write_yaml(preset, mine_path)
    kept = f"; your datasets stay: {', '.join(own)}" if own else ""
    print(f"params.yaml now has the {name} settings{kept}. Next: dvc repro")
