"""The models that the page offers: those that come with fpml, and those that were named on the command line."""

import json
from dataclasses import dataclass
from typing import Any

import fpml
from fpml.base.errors import FpmlError
from fpml.base.shipped import shipped
from fpml.inference.minutiae import OUTPUTS
from fpml.inference.model import Model

SHIPPED = ("minutiae-1", "repair-1")  # tried where they are there
NO_REPAIR = (
    "No repair model is installed. Train one (dvc repro train@repair-gated) and name it (fpml try repair-gated); a file of "
    "fpml export does as well."
)


@dataclass(frozen=True)
class Models:
    """Models by name."""

    comparing: dict[str, Model]  # prints, by minutiae or embeddings
    finding: dict[str, Model]  # minutiae
    repairing: dict[str, Model]

    @property
    def finder(self) -> Model:
        """The one by which the dpi is guessed: it always comes with fpml."""
        return self.finding[SHIPPED[0]]


def offered(names: list[str]) -> Models:
    """The models that come with fpml and these. FpmlError for one that is missing, or that the page has no use for."""
    found = Models({}, {}, {})
    for name in [*(n for n in SHIPPED if n in shipped()), *names]:
        model = fpml.load(name)
        has = set(model.outputs)
        tabs = []
        if has >= set(OUTPUTS):
            tabs += [found.comparing, found.finding]
        elif "embedding" in has:
            tabs += [found.comparing]
        if has >= {"repaired", "damage"} or name == "repair-1":
            tabs += [found.repairing]
        if not tabs:
            raise FpmlError(f"{name} gives {' and '.join(model.outputs)}; the page tries minutiae, recognise and repair models")
        for tab in tabs:
            tab[name] = model
    return found


def chosen(among: dict[str, Model], name: str) -> Model:
    """FpmlError for a model that was not offered."""
    if name not in among:
        raise FpmlError(f"no model '{name}' here; there are {', '.join(among) or 'none'}")
    return among[name]


def told(model: Model) -> dict[str, str]:
    """What is to be said of a model beside what it answers: name, version, what it was trained on."""
    folder = shipped().get(model.name)
    if folder is not None:
        card: dict[str, Any] = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        version, on = f"version {folder.name.rpartition('-')[2]}, ", str(card["trained_on"])
    else:
        version, on = "", str(model.facts.get("trained_on", "data that nobody stated: these weights were not measured"))
    return {"name": model.name, "version": f"{version}SHA-256 {model.sha256[:12]}", "trained_on": on}
