"""A model on a person's pictures, through ONNX Runtime alone: numpy in, dataclasses with arrays and units out. Nothing is
printed or written, and no project, torch, DVC or MLflow is needed."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fpml.base.errors import FpmlError
from fpml.inference.place import BATCH, Placement, place
from fpml.models.follow import follow
from fpml.settings.recipe import Data

if TYPE_CHECKING:
    from fpml.inference.minutiae import Look
    from fpml.inference.undo import Found

Pictures = np.ndarray | Sequence[np.ndarray]  # one picture (H, W) uint8, 0 black, or several


@dataclass(frozen=True)
class Reconstruction:
    original: np.ndarray  # (H, W) uint8, as the model saw it
    picture: np.ndarray  # (H, W) uint8, as it gave it back
    dpi: float  # of both
    psnr: float  # dB, between them


@dataclass(frozen=True)
class Repaired:
    picture: np.ndarray  # (H, W) uint8
    damage: np.ndarray  # (H, W) float32: how surely each pixel was damaged, 0 to 1
    dpi: float  # of both
    found: "Found | None" = None  # what was done to the print; of models that undo
    back: np.ndarray | None = None  # (H, W) uint8: what was moved in its place again, nothing painted; of such models


@dataclass(frozen=True)
class Generated:
    pictures: np.ndarray  # uint8 (n, H, W), or (n, H, W, 3) of a model in colour
    latent: np.ndarray  # (n, numbers) float32: what each was made from
    classes: list[str]  # of each; '' where the model has none


@dataclass(frozen=True)
class Model:
    """A model of any origin, ready to run. fpml.load opens one."""

    name: str  # as it was asked for
    session: Any  # onnxruntime.InferenceSession
    data: Data  # how its prints are placed
    config: dict[str, Any]
    facts: dict[str, Any]  # what was found when these weights were measured; empty where that is not known
    sha256: str  # of model.onnx

    @property
    def outputs(self) -> list[str]:
        return [o.name for o in self.session.get_outputs()]

    def need(self, *outputs: str) -> "Model":
        """This model, if it gives these outputs. FpmlError where it does not."""
        if missing := [o for o in outputs if o not in self.outputs]:
            raise FpmlError(f"{self.name} gives {' and '.join(self.outputs)}, not {missing[0]}; take another model")
        return self

    def run(self, outputs: list[str], **inputs: np.ndarray) -> list[np.ndarray]:
        """The raw outputs of the ONNX model."""
        out: list[np.ndarray] = self.session.run(outputs, inputs)
        return out

    def reconstruct(self, pictures: Pictures, dpi: float = 500) -> list[Reconstruction]:
        """Pictures sent through an autoencoder. dpi: of the pictures. BadPicture for one that can't be used."""
        return self.reconstructed(self._placed(pictures, dpi, "reconstruction"))

    def reconstructed(self, placements: list[Placement]) -> list[Reconstruction]:
        found = []
        for placement, after in zip(placements, self._over(placements, "reconstruction")[0], strict=True):
            error = float(((after[0].clip(0, 1) - placement.canvas / 255) ** 2).mean())
            psnr = -10 * float(np.log10(max(error, 1e-10)))
            found.append(Reconstruction(placement.canvas, to_bytes(after[0]), self.data.dpi, psnr))
        return found

    def repair(self, pictures: Pictures, dpi: float = 500) -> list[Repaired]:
        """Altered prints repaired, at their own size at the model's dpi. FpmlError for a model that does something else."""
        return self.repairer().repaired(self._placed(pictures, dpi))

    def repairer(self) -> "Model":
        """This model, if it repairs, be it by undoing or not. FpmlError where it does not."""
        return self.need("repaired", "kinds" if "kinds" in self.outputs else "damage")

    def repaired(self, placements: list[Placement]) -> list[Repaired]:
        if "kinds" in self.outputs:
            return [self._undone(placement) for placement in placements]
        found = []
        for placement, after, damage in zip(placements, *self._over(placements, "repaired", "damage"), strict=True):
            top, bottom, left, right = placement.box
            inside = np.s_[0, top:bottom, left:right]
            found.append(Repaired(to_bytes(after[inside]), damage[inside], self.data.dpi))
        return found

    def _undone(self, placement: Placement) -> Repaired:
        from fpml.inference.undo import asked_of, repair

        top, bottom, left, right = placement.box
        made = repair(asked_of(self.session), placement.canvas[top:bottom, left:right])
        return Repaired(to_bytes(made.picture), made.damage, self.data.dpi, made.found, made.back)

    def encode(self, pictures: Pictures, dpi: float = 500) -> np.ndarray:
        """The codes of pictures, (n, numbers) float32."""
        return self._over(self._placed(pictures, dpi, "code"), "code")[0]

    def embed(self, pictures: Pictures, dpi: float | None = 500) -> np.ndarray:
        """The embeddings of pictures, (n, numbers) float32 of length 1: their products say how alike two prints are. Of a model
        that finds minutiae, by the skin round all of a print's; dpi None is then told by the ridges. BadPicture for a print
        that can't be used."""
        if "texture" in self.outputs:
            from fpml.inference.minutiae import comparable
            from fpml.matching.whole import NUMBERS, whole

            vectors = [whole(comparable(self, picture, dpi).template) for picture in _several(pictures)]
            return np.stack(vectors) if vectors else np.empty((0, NUMBERS), np.float32)
        if dpi is None:
            raise FpmlError(f"dpi is None, and {self.name} can't tell it by the ridges; give a number, or take minutiae-1")
        return self._over(self._placed(pictures, dpi, "embedding"), "embedding")[0]

    def minutiae(self, pictures: Pictures, dpi: float | None = 500) -> "list[Look]":
        """The minutiae of pictures, as templates, with their orientation, ridge period and foreground. dpi None: told by the
        ridges."""
        from fpml.inference.minutiae import OUTPUTS, look

        self.need(*OUTPUTS)
        return [look(self, picture, dpi) for picture in _several(pictures)]

    def generate(self, count: int, pattern: str | None = None, seed: int = 1) -> Generated:
        """New prints. pattern: the class of all of them; None: of each in turn. FpmlError for one that the model lacks."""
        return self.generator().made(self.latent(count, seed), self.classes_of(count, pattern))

    def generator(self) -> "Model":
        """This model, if it makes pictures from noise, be it along a flow or not. FpmlError where it does not."""
        return self.need("way" if "way" in self.outputs else "pictures")

    def latent(self, count: int, seed: int | list[int] | np.random.Generator) -> np.ndarray:
        """What prints are made from: (count, numbers) float32, the same for the same seed, or the next ones of a generator."""
        size = math.prod(self.generator()._noise)
        return np.random.default_rng(seed).standard_normal((count, size)).astype(np.float32)

    def classes_of(self, count: int, pattern: str | None) -> np.ndarray:
        """The numbers of `count` prints' classes."""
        classes = self.config.get("classes", [])
        if pattern is not None and pattern not in classes:
            has = f"has {', '.join(classes)}" if classes else "has no classes"
            raise FpmlError(f"class is {pattern}, and {self.name} {has}; train with model.condition to have others")
        return np.full(count, classes.index(pattern)) if pattern else np.arange(count) % max(1, len(classes))

    def made(self, latent: np.ndarray, numbers: np.ndarray) -> Generated:
        classes, pictures = self.config.get("classes", []), []
        for start in range(0, len(latent), BATCH):
            here = slice(start, start + BATCH)
            given = {"class": numbers[here].astype(np.int64)} if classes else {}
            pictures.append(to_bytes(self._pictures(latent[here], given)))
        whole = np.concatenate(pictures)
        whole = whole[:, 0] if whole.shape[1] == 1 else whole.transpose(0, 2, 3, 1)
        return Generated(whole, latent, [classes[n] for n in numbers] if classes else [""] * len(latent))

    @property
    def _noise(self) -> tuple[int, ...]:
        """The shape of the numbers that one picture is made from."""
        of = "picture" if "way" in self.outputs else "latent"
        return next(tuple(i.shape[1:]) for i in self.session.get_inputs() if i.name == of)

    def _pictures(self, latent: np.ndarray, given: dict[str, np.ndarray]) -> np.ndarray:
        if "way" not in self.outputs:
            return self.run(["pictures"], latent=latent, **given)[0]

        def way(picture: np.ndarray, time: float) -> np.ndarray:
            return self.run(["way"], picture=picture, time=np.full(len(picture), time, np.float32), **given)[0]

        steps = int(self.session.get_modelmeta().custom_metadata_map["steps"])
        return (follow(way, latent.reshape(-1, *self._noise), steps) + 1) / 2

    def _placed(self, pictures: Pictures, dpi: float, *outputs: str) -> list[Placement]:
        self.need(*outputs)
        return [place(picture, dpi, self.data) for picture in _several(pictures)]

    def _over(self, placements: list[Placement], *outputs: str) -> list[np.ndarray]:
        """Outputs of all placements, a batch at a time."""
        found: list[list[np.ndarray]] = [[] for _ in outputs]
        for start in range(0, len(placements), BATCH):
            prints = np.stack([p.canvas for p in placements[start : start + BATCH]])[:, None]
            for parts, out in zip(found, self.run(list(outputs), prints=prints), strict=True):
                parts.append(out)
        return [np.concatenate(parts) if parts else np.empty((0, 0), np.float32) for parts in found]


def _several(pictures: Pictures) -> list[np.ndarray]:
    return [pictures] if isinstance(pictures, np.ndarray) and pictures.ndim == 2 else list(pictures)


def open_model(name: str, content: bytes, config: dict[str, Any], facts: dict[str, Any]) -> Model:
    """A model from its ONNX bytes. FpmlError where they are none, or the config does not say how prints are placed."""
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        rule = config["input"]
        data = Data(["-"], [], int(rule["height"]), int(rule["width"]), float(rule["dpi"]), rule["crop"])
    except Exception as error:  # ONNX Runtime's errors have no common base
        raise FpmlError(f"{name} can't be used as a model: {' '.join(str(error).split())[:200]}") from None
    return Model(name, session, data, config, facts, hashlib.sha256(content).hexdigest())


def to_bytes(values: np.ndarray) -> np.ndarray:
    """Grey 0..1 as uint8."""
    return (values.clip(0, 1) * 255).round().astype(np.uint8)
