"""Fingers enrolled by what a model keeps of their prints: who is it? A gallery is one Parquet file.

Embeddings and minutiae are biometric data, like the prints they were made from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fpml.base.errors import FpmlError
from fpml.base.files import new_file
from fpml.data.walk import normal
from fpml.inference.compare import Feature, Kind
from fpml.inference.model import Model

TRUSTED = 10  # an FMR that may be so many times as high as it was counted says little
BEST = 5  # matches that are given


@dataclass(frozen=True)
class Match:
    finger: str
    score: float  # of the finger's most alike print
    same: bool  # by the model's threshold


@dataclass(frozen=True)
class Threshold:
    """From which score on two prints count as one finger's, and how often that is wrong."""

    value: float
    fmr: float  # false match rate as it was counted
    fmr_high: float  # upper end of its 95 % interval
    impostors: int  # pairs of prints that it was counted on,
    finger_pairs: int  # and of fingers
    trained_on: str
    tail: list[tuple[float, float]]  # scores, and the share of the impostor pairs that reached each, falling; may be empty

    def reached_by(self, score: float) -> str:
        """How many of the impostor pairs scored as high; between the scores that were kept, by the share's logarithm."""
        if not self.tail:
            return ""
        scores, shares = np.array(self.tail).T
        if score > scores[-1]:
            return f"none of the {self.impostors:,} impostor pairs scored as high"
        if score < scores[0]:
            return f"over {shares[0]:.0%} of the impostor pairs scored as high"
        share = np.exp(np.interp(score, scores, np.log(shares)))
        return f"{share:.2g} of the impostor pairs scored as high: one in {1 / share:,.0f}"

    def __str__(self) -> str:
        said = (
            f"threshold {self.value:.3f}: FMR {self.fmr:.2%}, counted over {self.impostors:,} impostor pairs of "
            f"{self.finger_pairs:,} pairs of fingers of {self.trained_on} (95 %: up to {self.fmr_high:.1%})"
        )
        if self.fmr_high > TRUSTED * max(self.fmr, 1e-3):
            said += "; too few fingers to trust it: measure on more (split.unseen, data.test)"
        return said


@dataclass(frozen=True)
class Gallery:
    """Enrolled prints. frame: finger, picture, model (its SHA-256), and the features: embedding; or minutiae,
    texture and codes."""

    frame: pd.DataFrame

    @classmethod
    def read(cls, path: Path) -> "Gallery":
        """FpmlError for a file that is missing, no gallery, or empty."""
        try:
            frame = pd.read_parquet(path)
            frame[["finger", "picture", "model"]]
        except FileNotFoundError:
            raise FpmlError(f"{path} is not there; make it by: fpml enrol PICTURES --gallery {path}") from None
        except (OSError, ValueError, KeyError):
            frame = pd.DataFrame()
        if not {"embedding", "minutiae"} & set(frame):
            raise FpmlError(f"{path} is not a gallery; make one by: fpml enrol PICTURES --gallery {path}")
        if "minutiae" in frame and "search_codes" not in frame:  # as before textures were searched by
            raise FpmlError(f"{path} was made by an older fpml; enrol its pictures anew, in another file")
        if frame.empty:
            raise FpmlError(f"{path} is empty")
        return cls(frame.assign(finger=frame["finger"].map(normal)))  # one that was made before names had one form

    def write(self, path: Path) -> None:
        with new_file(path) as temporary:
            self.frame.to_parquet(temporary, index=False)

    def made_by(self, model: Model) -> bool:
        return str(self.frame["model"].iat[0]) == model.sha256

    def best(self, kind: Kind, probes: list[Feature], threshold: Threshold) -> list[list[Match]]:
        """For each probe the BEST fingers, each by its most alike print."""
        scores_of = kind.against({str(name): self.frame[name].to_list() for name in self.frame.columns})
        fingers = self.frame["finger"].to_numpy()
        found = []
        for probe in probes:
            best = pd.Series(scores_of(probe), fingers).groupby(level=0).max().nlargest(BEST)
            found.append([Match(str(name), float(score), bool(score >= threshold.value)) for name, score in best.items()])
        return found


def enrolled(before: Gallery | None, kind: Kind, features: list[Feature], fingers: list[str], pictures: list[str]) -> Gallery:
    """A gallery with these prints added. FpmlError for a picture that is in it already."""
    new = pd.DataFrame({"finger": fingers, "picture": pictures, **kind.columns(features), "model": kind.model.sha256})
    whole = new if before is None else pd.concat([before.frame, new], ignore_index=True)
    if twice := whole["picture"][whole["picture"].duplicated()].tolist():
        raise FpmlError(f"{twice[0]} is enrolled already; nothing was enrolled")
    return Gallery(whole)


def threshold_of(model: Model) -> Threshold:
    """The threshold that was counted when the model was measured. FpmlError with the reason where none was."""
    facts = model.facts
    if "threshold" not in facts:
        unmeasured = "these weights were not measured on fingers never seen; run `dvc repro evaluate@…` of its run"
        raise FpmlError(f"no threshold is known for {model.name}: {facts.get('no_threshold', unmeasured)}")
    return Threshold(
        facts["threshold"], facts["threshold_fmr"], facts["threshold_fmr_high"], facts["threshold_impostors"],
        facts["threshold_finger_pairs"], facts["trained_on"], [tuple(row) for row in facts.get("impostor_scores", [])],
    )  # fmt: skip
