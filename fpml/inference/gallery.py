"""Fingers enrolled by their embeddings: who is it, and are these two the same? A gallery is one Parquet file.

Embeddings are biometric data, like the prints they were made from."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from fpml.base.errors import FpmlError
from fpml.base.files import new_file
from fpml.data.walk import normal
from fpml.inference.model import Model

TRUSTED = 10  # an FMR that may be so many times as high as it was counted says little
BEST = 5  # matches that are given


@dataclass(frozen=True)
class Match:
    finger: str
    score: float  # product of the embeddings, -1 to 1
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
    """Enrolled prints. frame: finger, picture, model (its SHA-256), embedding."""

    frame: pd.DataFrame

    @classmethod
    def read(cls, path: Path) -> "Gallery":
        """FpmlError for a file that is missing, no gallery, or empty."""
        try:
            frame = pd.read_parquet(path, columns=["finger", "picture", "model", "embedding"])
        except FileNotFoundError:
            raise FpmlError(f"{path} is not there; make it by: fpml enrol PICTURES --gallery {path}") from None
        except (OSError, ValueError) as error:
            raise FpmlError(f"{path} is not a gallery: {str(error).splitlines()[0]}") from None
        if frame.empty:
            raise FpmlError(f"{path} is empty")
        return cls(frame.assign(finger=frame["finger"].map(normal)))  # one that was made before names had one form

    def write(self, path: Path) -> None:
        with new_file(path) as temporary:
            self.frame.to_parquet(temporary, index=False)

    def made_by(self, model: Model) -> bool:
        return str(self.frame["model"].iat[0]) == model.sha256

    @cached_property
    def _embeddings(self) -> np.ndarray:
        return np.stack(self.frame["embedding"].to_list())

    @cached_property
    def _fingers(self) -> np.ndarray:
        return self.frame["finger"].to_numpy()

    def best(self, vectors: np.ndarray, threshold: Threshold) -> list[list[Match]]:
        """For each embedding (n, numbers) the BEST fingers, each by its most alike print."""
        found = []
        for scores in vectors @ self._embeddings.T:
            best = pd.Series(scores, self._fingers).groupby(level=0).max().nlargest(BEST)
            found.append([Match(str(name), float(score), bool(score >= threshold.value)) for name, score in best.items()])
        return found


def enrolled(before: Gallery | None, vectors: np.ndarray, fingers: list[str], pictures: list[str], model: Model) -> Gallery:
    """A gallery with these prints added. FpmlError for a picture that is in it already."""
    new = pd.DataFrame({"finger": fingers, "picture": pictures, "embedding": list(vectors), "model": model.sha256})
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
        facts["threshold_finger_pairs"], facts["trained_on"],
    )  # fmt: skip
