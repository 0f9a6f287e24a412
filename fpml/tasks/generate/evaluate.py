"""generate: made prints beside real ones, by the judge and by their ridges, each number beside real against real, beside random
draws of PCA, and beside what the project's own generator makes without any training."""

import base64
import io
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from fpml.base.errors import FpmlError
from fpml.base.files import root
from fpml.data.placing import whole_print
from fpml.data.split import TRAIN, VALIDATION
from fpml.drawing import figures
from fpml.inference import kept, pattern
from fpml.inference.minutiae import Look
from fpml.metrics import generation
from fpml.metrics.baselines import DRAWS, draws
from fpml.metrics.judge import load_judge
from fpml.metrics.pictures import to_bytes, to_float
from fpml.metrics.results import Row, as_table
from fpml.metrics.ridges import coarseness, orientation
from fpml.metrics.table import MODEL, REAL
from fpml.models import Generator
from fpml.settings.recipe import Data
from fpml.tasks.generate.settings import Generate
from fpml.tasks.protocol import Album, Findings, Trained, some

SYNTH = "fpml synth"
BATCH, SHOWN, MAPPED, PAIRS = 128, 8, 150, 200
MOST = 2000  # training prints that PCA is made of
SEED = 1  # of the samples that are measured
BESIDE, BESIDE_SEED = 300, 555  # prints of a baseline; of the generator each is of another finger


def evaluate(trained: Trained[Generate], album: Album) -> Findings:
    recipe: Generate = trained.recipe
    index, side = trained.prints.index, trained.side
    training, held = np.flatnonzero(side == TRAIN), np.flatnonzero(side == VALIDATION)
    if len(training) < 16 or len(held) < 16:
        raise FpmlError(
            f"made prints are measured against real ones: {len(training)} for training and {len(held)} held out are too few, "
            "16 of each are needed; raise split.validation, or take more prints"
        )
    if recipe.evaluate.beside:
        _known(recipe.evaluate.beside)  # before what takes minutes
    fingers = index["finger_id"].to_numpy(str)
    samples, classes = make(trained, recipe.evaluate.samples, index.iloc[training])
    known, held_out = (to_float(trained.prints.take(rows), torch.device("cpu")) for rows in (training, held))
    few = training[some(len(training), MOST)]
    # What is measured against the training prints.
    kinds = {MODEL: samples, REAL: held_out, DRAWS: draws(trained.prints.take(few), BESIDE, BESIDE_SEED)}
    if recipe.evaluate.beside:
        kinds[SYNTH] = _synthetic(recipe.evaluate.beside, recipe.data)
    judge = load_judge()
    seen = {method: judge(prints) for method, prints in kinds.items()}
    trained_on = judge(known)
    part = str(index["dataset"].iloc[training[0]])
    values = _by_the_judge(seen, trained_on, fingers[training], fingers[held]) + _by_ridges(kinds, known, recipe.data.dpi)
    values += _by_looks(kinds, known, recipe.data.dpi)
    values += [("likeness", method, _likeness(prints), np.nan) for method, prints in kinds.items()]
    if recipe.evaluate.inception:
        count = min(len(samples), len(held))
        values += _by_inception(recipe.evaluate.inception, samples[:count], held_out[:count])
    table = as_table(
        Row(
            side=VALIDATION, part=part, method=method, metric=metric, value=value, low=value - spread, high=value + spread,
            prints=len(kinds[method]), fingers=index["finger_id"].iloc[training].nunique(),
        )
        for metric, method, value, spread in values
    )  # fmt: skip
    _draw(trained, album, samples, classes, training, (seen[MODEL], trained_on))
    notes = [
        f"{len(training):,} prints to train on, {len(held):,} held out, {len(samples):,} made. Judged by {judge.version} "
        f"(SHA-256 {judge.sha256[:12]}…); beside each number what held-out real prints score against the training ones. "
        "KID's interval takes prints for independent, also those of one finger. FID stands from "
        f"{generation.FID_FROM:,} prints of each kind up, KID below.",
        "Memorisation: the share of made prints that lie nearer to a training print than to a held-out one, of as many fingers "
        "of both: about 0.5 where nothing was copied; beside it held-out prints in the place of the made ones.",
        f"Pattern classes are told by {pattern.NAME} from the flow that {kept.JUDGE} sees, of at most {MAPPED} prints each.",
        f"{DRAWS.capitalize()}: {BESIDE} pictures of training prints' principal components, each with a normal number of its "
        "spread.",
        "KS: the largest gap between the distributions of made and real prints. Likeness: mean SSIM of pairs of prints.",
    ]
    if recipe.evaluate.beside:
        what = f"{BESIDE} prints of the sensor {recipe.evaluate.beside}, each of another finger"
        notes.append(f"{SYNTH}: {what}, for which nothing was trained.")
    place, distance = generation.nearest(seen[MODEL], trained_on)
    scores = pd.DataFrame({"nearest_training": index["image_id"].to_numpy(str)[training[place]], "distance": distance})
    judges = {judge.version: judge.sha256, pattern.NAME: pattern.sha256(), kept.JUDGE: kept.judge().sha256}
    steps = recipe.train.epochs * -(-len(training) // recipe.train.batch_size)
    why = (
        f"{steps:,} steps on {len(training):,} prints; what it stands beside has the prints' greys and shapes from "
        "the start, which the judge sees before ridges."
    )
    return Findings(scores, table, {"headline": "kid", "notes": notes, "why": why, "judges": judges, "samples": len(samples)})


@torch.inference_mode()
def make(trained: Trained[Generate], count: int, training: pd.DataFrame) -> tuple[Tensor, np.ndarray]:
    """Made prints (count, 1, H, W) in 0..1 on the CPU, and the numbers of their classes, as often as training has them."""
    family = cast(Generator, trained.family)
    draw = torch.Generator().manual_seed(SEED)
    latent = torch.randn(count, family.numbers(trained.network), generator=draw)
    classes = torch.zeros(count, dtype=torch.int64)
    if trained.classes:
        shares = training[trained.recipe.model.condition].astype(str).value_counts(normalize=True)
        weights = torch.tensor([float(shares.get(name, 0.0)) for name in trained.classes])
        classes = torch.multinomial(weights, count, replacement=True, generator=draw)
    parts = [
        family.draw(trained.network, latent[s : s + BATCH].to(trained.device), classes[s : s + BATCH].to(trained.device))[:, :1]
        for s in range(0, count, BATCH)
    ]
    return torch.cat([part.cpu().clamp(0, 1) for part in parts]), classes.numpy()


Value = tuple[str, str, float, float]  # metric, method, value, spread


def _known(sensor: str) -> None:
    from fpml.synth.sensors import sensor_named

    try:
        sensor_named(sensor)
    except FpmlError as error:
        raise FpmlError(f"evaluate.beside: {error}") from None


def _synthetic(sensor: str, data: Data) -> Tensor:
    """Prints of the project's own generator on the recipe's canvas, (BESIDE, 1, H, W) in 0..1."""
    from fpml.synth.generate import generate
    from fpml.synth.write import FRAME

    made = generate(BESIDE, 1, sensor, BESIDE_SEED, "normal", device="cpu")
    pictures = [picture[FRAME] if made.sensor.border else picture for picture in made.pictures]
    return to_float(np.stack([whole_print(p, made.sensor.dpi, data)[0] for p in pictures]), torch.device("cpu"))


def _by_the_judge(
    seen: dict[str, np.ndarray], training: np.ndarray, training_fingers: np.ndarray, held_fingers: np.ndarray
) -> list[Value]:
    """As many made prints as held-out ones, each kind against the training prints."""
    everyone = seen[REAL]
    count = min(len(seen[MODEL]), len(everyone))
    few = {method: view[:count] for method, view in seen.items()}
    few[REAL] = everyone[np.random.default_rng(0).permutation(len(everyone))[:count]]
    values: list[Value] = [("kid", method, *generation.kid(view, training)) for method, view in few.items()]
    if count >= generation.FID_FROM:
        enough = {method: view for method, view in few.items() if len(view) >= generation.FID_FROM}
        values += [("fid", method, generation.fid(view, training), np.nan) for method, view in enough.items()]
    known = training, training_fingers
    for method, view in seen.items():
        if method != REAL:
            share = generation.nearer_to_training(view, *known, everyone, held_fingers)
            values.append(("memorised", method, share, np.nan))
    half = np.isin(held_fingers, np.unique(held_fingers)[::2])  # held-out fingers in the place of the made ones
    if half.any() and not half.all():
        share = generation.nearer_to_training(everyone[half], *known, everyone[~half], held_fingers[~half])
        values.append(("memorised", REAL, share, np.nan))
    return values


def _by_ridges(kinds: dict[str, Tensor], training: Tensor, dpi: float) -> list[Value]:
    """How far the distributions of ridge period and coherence lie apart."""
    from scipy.stats import ks_2samp

    out: list[Value] = []
    measures = {"ks_coherence": lambda p: orientation(p, dpi)[1].mean((1, 2)), "ks_period": coarseness}
    for name, measure in measures.items():
        known = _in_batches(measure, training)
        for method, prints in kinds.items():
            out.append((name, method, float(ks_2samp(_in_batches(measure, prints), known).statistic), np.nan))
    return out


def _in_batches(measure: Any, prints: Tensor) -> np.ndarray:
    return np.concatenate([measure(prints[s : s + BATCH]).numpy() for s in range(0, len(prints), BATCH)])


def _by_looks(kinds: dict[str, Tensor], training: Tensor, dpi: float) -> list[Value]:
    """What the minutiae model that comes with fpml sees in prints, at most MAPPED of each kind and no more than were made: how
    many minutiae, and which pattern classes."""
    from scipy.stats import ks_2samp

    most = min(MAPPED, len(kinds[MODEL]))  # a look takes longer than all else

    def looks(prints: Tensor) -> list[Look | None]:
        return [kept.look_at(picture, dpi) for picture in to_bytes(prints[torch.from_numpy(some(len(prints), most))])]

    def counts(seen: list[Look | None]) -> list[int]:
        return [len(look.template) if look else 0 for look in seen]

    every, known = {method: looks(prints) for method, prints in kinds.items()}, counts(looks(training))
    out: list[Value] = [
        ("ks_minutiae", method, float(ks_2samp(counts(seen), known).statistic), np.nan) for method, seen in every.items()
    ]
    size = min(len(seen) for seen in every.values())  # the score rises with the number of prints
    for method, seen in every.items():
        classes = pattern.patterns([look for look in seen[:size] if look and pattern.shows_skin(look)])
        if len(classes):
            out.append(("judge_score", method, *generation.score(classes)))
    return out


def _likeness(prints: Tensor) -> float:
    """The mean SSIM of random pairs: 1 where all are one picture."""
    from torchmetrics.functional.image import structural_similarity_index_measure as ssim

    rng = np.random.default_rng(0)
    first = rng.integers(0, len(prints), PAIRS)
    second = (first + rng.integers(1, len(prints), PAIRS)) % len(prints)
    return float(ssim(prints[first], prints[second], data_range=1.0))


def _by_inception(path: str, samples: Tensor, real: Tensor) -> list[Value]:
    """The published score, with ImageNet's Inception as an ONNX file: (B, 3, 299, 299) in -1..1 → logits (B, 1000)."""
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(root() / path, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common base
        raise FpmlError(f"evaluate.inception: {path} can't be used: {' '.join(str(error).split())[:200]}") from None
    out: list[Value] = []
    for method, prints in ((MODEL, samples), (REAL, real)):
        logits = []
        for start in range(0, len(prints), 32):
            large = torch.nn.functional.interpolate(prints[start : start + 32], (299, 299), mode="bilinear", antialias=True)
            batch = (large.expand(-1, 3, -1, -1) * 2 - 1).numpy()
            logits.append(session.run(None, {session.get_inputs()[0].name: batch})[0])
        probabilities = torch.softmax(torch.from_numpy(np.concatenate(logits)), 1).numpy()
        out.append(("inception_score", method, *generation.score(probabilities)))
    return out


def _draw(
    trained: Trained[Generate], album: Album, samples: Tensor, classes: np.ndarray, training: np.ndarray,
    seen: tuple[np.ndarray, np.ndarray],
) -> None:  # fmt: skip
    """The sheets of fixed noise and their animation, samples beside their nearest training prints, t-SNE."""
    # What was made after real prints may show one of them: all figures count as showing the training prints.
    sheets = trained.history.dropna(subset="sheet")
    pictures = [Image.open(io.BytesIO(base64.b64decode(s))) for s in sheets["sheet"]]
    title = f"{trained.name}: fixed noise after epochs {', '.join(str(int(e)) for e in sheets['epoch'])}"
    path = album.add("growth.gif", title, training)
    pictures[0].save(path, format="gif", save_all=True, append_images=pictures[1:], duration=500, loop=0)
    title = f"{trained.name}: fixed noise after epoch {int(sheets['epoch'].iloc[-1])}"
    pictures[-1].save(album.add("sheet.png", title, training), format="png")
    made, real = seen
    chosen = some(len(samples), SHOWN)
    place, _ = generation.nearest(made[chosen], real)
    names = [trained.classes[c] for c in classes[chosen]] if trained.classes else [""] * len(chosen)
    title = f"{trained.name}: made prints {', '.join(dict.fromkeys(names))} and the nearest training print, by the judge"
    path = album.add("nearest.png", title, training)
    figures.rows_of_prints(
        {"made": to_bytes(samples[chosen]), "nearest training": trained.prints.take(training[place])}, title, path
    )
    title = f"{trained.name}: real and made prints as the judge sees them (t-SNE)"
    figures.scatter(_tsne(made, real), title, album.add("t-sne.png", title))


def _tsne(made: np.ndarray, real: np.ndarray) -> dict[str, np.ndarray]:
    from sklearn.manifold import TSNE

    made, real = (s[some(len(s), MAPPED)] for s in (made, real))
    both = np.concatenate([real, made])
    flat = TSNE(perplexity=min(30, (len(both) - 1) / 3), random_state=0, init="pca").fit_transform(both)
    return {"real": flat[: len(real)], "made": flat[len(real) :]}
