"""compress: what a small code is good for. De-noising, compression, telling the strange from the known, and fewer
dimensions: each use that was claimed for it has a measured answer, beside something that costs nothing."""

import io
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from fpml.data.split import TRAIN, UNSEEN, VALIDATION
from fpml.drawing import figures
from fpml.metrics.baselines import PCA, fit_pca
from fpml.metrics.intervals import bootstrap
from fpml.metrics.pictures import CODED, WHOLE, Outcome, decibels, measure, to_bytes, to_float
from fpml.metrics.results import Row, as_table, summarise
from fpml.metrics.table import FLOOR, MODEL
from fpml.models import Autoencoder
from fpml.tasks.compress.settings import Compress
from fpml.tasks.protocol import Album, Findings, Trained, some

NEIGHBOURS = 5
SHOWN, SHEET = 10, 100
JPEG_PRINTS = 400  # at most so many are sent through JPEG, which goes one by one
Apply = Callable[[Tensor], Tensor]  # (B, 1, H, W) float 0..1 → the same


@torch.inference_mode()
def in_batches(function: Apply, prints: Tensor, size: int = 512) -> Tensor:
    return torch.cat([function(prints[start : start + size]) for start in range(0, len(prints), size)])


def evaluate(trained: Trained[Compress], album: Album) -> Findings:
    recipe, index, side = trained.recipe, trained.prints.index, trained.side
    settings = recipe.evaluate
    training, held = np.flatnonzero(side == TRAIN), np.flatnonzero(side == VALIDATION)
    fitted = training[some(len(training), settings.pca_prints)]
    code = cast(Autoencoder, trained.family).code_size(recipe.model, 28, 28)
    components = min(code, len(fitted) - 1)
    pca = fit_pca(trained.prints.take(fitted), components)
    prints = to_float(trained.prints.take(held), trained.device)
    name = str(index["dataset"].iloc[held[0]])

    scores = pd.concat([_scores(trained.network, MODEL, prints), _scores(pca, PCA, prints)], ignore_index=True)
    scores = scores.assign(side=VALIDATION, part=f"{name}/held out")
    for column in ("image_id", "finger_id"):
        scores[column] = np.tile(index[column].to_numpy(object)[held], 2)
    floor = _entropy(prints)
    table = as_table([
        *summarise(scores, settings.bootstrap),
        _row(trained, "held out", "bce", FLOOR, floor, len(prints)),
        *_denoising(trained, prints, settings.noise),
        *_compression(trained, fitted, prints, settings.bits),
        *_anomalies(trained, pca, prints, held),
        *_neighbours(trained, fitted, held, components),
    ])  # fmt: skip
    _draw(trained, album, held, table)
    notes = [
        f"The code has {code} numbers for 784 pixels; PCA was given {components} "
        f"components, fitted on {len(fitted):,} prints. Cross-entropy of grey pictures has a floor above 0, their own entropy.",
        "De-noising: the network was trained without noise. Compression: bytes of the code at so many bits a number, and of "
        "JPEG without its headers and tables at the best quality that is no larger. Anomalies: area under the ROC curve of the "
        f"reconstruction error, strange against held out. Fewer dimensions: accuracy of {NEIGHBOURS} nearest neighbours.",
    ]
    parameters = sum(p.numel() for p in trained.network.parameters())
    why = (
        f"The network has {parameters:,} parameters, PCA with as many numbers {784 * (components + 1):,}, which are "
        "the best that a linear code can have."
    )
    facts = {"headline": "psnr", "notes": notes, "why": why, "bce_floor": floor, "pca_components": components}
    return Findings(scores, table, facts)


def _scores(function: Apply, method: str, prints: Tensor) -> pd.DataFrame:
    output = in_batches(function, prints).float().clamp(0, 1)
    parts = []
    for start in range(0, len(prints), 512):
        part = slice(start, start + 512)
        parts.append(pd.DataFrame({"method": method, **measure(Outcome(output[part], prints[part]), WHOLE, CODED)}))
    found = pd.concat(parts, ignore_index=True)
    if method != MODEL:  # PCA cuts its values at 0 and 1 and has no cross-entropy to speak of
        found["bce"] = np.nan
    return found


def _entropy(prints: Tensor) -> float:
    """The least binary cross-entropy that grey targets allow: their own entropy, in nats a pixel."""
    return float(F.binary_cross_entropy(prints, prints))


def _row(
    trained: Trained[Compress], part: str, metric: str, method: str, value: float, prints: int,
    interval: tuple[float, float] = (np.nan, np.nan),
) -> Row:  # fmt: skip
    """A row on the fingers that were held out."""
    held = trained.prints.index[trained.side == VALIDATION]
    return Row(
        side=VALIDATION, part=f"{held['dataset'].iloc[0]}/{part}", method=method, metric=metric, value=value,
        low=interval[0], high=interval[1], prints=prints, fingers=held["finger_id"].nunique(),
    )  # fmt: skip


def _psnr(output: Tensor, prints: Tensor) -> float:
    return float(decibels((output.clamp(0, 1) - prints).square().mean((1, 2, 3))).mean())


def _denoising(trained: Trained[Compress], prints: Tensor, levels: list[float]) -> list[Row]:
    out = []
    noise = torch.randn(prints.shape, generator=torch.Generator().manual_seed(0)).to(prints.device)
    for level in levels:
        noisy = (prints + level * noise).clamp(0, 1)
        blurred = F.avg_pool2d(F.pad(noisy, (1, 1, 1, 1), mode="replicate"), 3, 1)
        methods = {MODEL: in_batches(trained.network, noisy), "noisy input": noisy, "3×3 mean": blurred}
        out += [_row(trained, f"noise {level:g}", "psnr", name, _psnr(o, prints), len(prints)) for name, o in methods.items()]
    return out


def _compression(trained: Trained[Compress], fitted: np.ndarray, prints: Tensor, bits: list[int]) -> list[Row]:
    network: Any = trained.network
    some_prints = prints[some(len(prints), JPEG_PRINTS)]
    codes = in_batches(network.encoder, some_prints)
    top = in_batches(network.encoder, to_float(trained.prints.take(fitted[:2000]), trained.device)).amax(0).clamp(min=1e-6)
    out = []
    for each in bits:
        levels = 2**each - 1
        quantised = (codes / top).clamp(0, 1).mul(levels).round().div(levels) * top
        size = codes.shape[1] * each // 8
        part = f"{size} bytes"
        jpegs = torch.stack([_jpeg(p, size) for p in to_bytes(some_prints)])[:, None].to(prints.device)
        for method, output in ((MODEL, in_batches(network.decode, quantised)), ("JPEG", jpegs)):
            out.append(_row(trained, part, "psnr", method, _psnr(output, some_prints), len(some_prints)))
    return out


def _jpeg(print_: np.ndarray, size: int) -> Tensor:
    """A print through JPEG at the best quality whose pixels take at most `size` bytes, headers and tables not counted;
    at quality 1 where none does."""
    low, high = 1, 95
    while low < high:
        quality = (low + high + 1) // 2
        low, high = (quality, high) if _scan_bytes(_encoded(print_, quality)) <= size else (low, quality - 1)
    picture = Image.open(io.BytesIO(_encoded(print_, low)))
    return torch.from_numpy(np.asarray(picture).astype(np.float32) / 255)


def _encoded(print_: np.ndarray, quality: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(print_).save(buffer, "jpeg", quality=quality, optimize=True)
    return buffer.getvalue()


def _scan_bytes(jpeg: bytes) -> int:
    """The bytes between a JPEG's start-of-scan header and its end marker."""
    start = jpeg.index(b"\xff\xda") + 2
    return len(jpeg) - start - int.from_bytes(jpeg[start : start + 2], "big") - 2


def _anomalies(trained: Trained[Compress], pca: Apply, prints: Tensor, held: np.ndarray) -> list[Row]:
    out = []
    strange = {"non-prints": _textures(prints)}
    index = trained.prints.index
    unseen = np.flatnonzero(trained.side == UNSEEN)
    for sensor in sorted(index["sensor"].iloc[unseen].astype(str).unique()):
        mine = unseen[(index["sensor"].iloc[unseen] == sensor).to_numpy()]
        strange[f"other sensor {sensor}"] = to_float(trained.prints.take(mine), trained.device)
    for what, others in strange.items():
        for method, function in ((MODEL, trained.network), (PCA, pca)):
            out.append(_row(trained, what, "auroc", method, _auroc(function, prints, others), len(prints) + len(others)))
    return out + _other_class(trained, held)


def _other_class(trained: Trained[Compress], held: np.ndarray) -> list[Row]:
    """A network and a PCA that have seen one class only: do they know the others by their error?"""
    settings, index = trained.recipe.evaluate, trained.prints.index
    classes = class_names(index)
    training = np.flatnonzero(trained.side == TRAIN)
    known = classes.iloc[training].value_counts()
    known = known[known.index.isin(classes.iloc[held])]
    if settings.one_class_epochs == 0 or known.empty or classes.iloc[held].nunique() < 2:
        return []
    one = str(known.index[0])
    mine = training[(classes.iloc[training] == one).fillna(False).to_numpy(bool)]
    held = held[classes.iloc[held].notna().to_numpy()]
    network = trained.family.build(trained.recipe.model, 28, 28, 0).to(trained.device)
    _train_briefly(network, to_float(trained.prints.take(mine), trained.device), settings.one_class_epochs)
    fitted = mine[some(len(mine), settings.pca_prints)]
    if len(fitted) < 2:
        return []
    code = cast(Autoencoder, trained.family).code_size(trained.recipe.model, 28, 28)
    pca = fit_pca(trained.prints.take(fitted), min(code, len(fitted) - 1))
    is_one = (classes.iloc[held] == one).to_numpy(bool)
    own, others = (to_float(trained.prints.take(held[m]), trained.device) for m in (is_one, ~is_one))
    part = f"other class than {one}"
    methods: dict[str, Apply] = {MODEL: network.eval(), PCA: pca}
    return [_row(trained, part, "auroc", name, _auroc(f, own, others), len(held)) for name, f in methods.items()]


def _train_briefly(network: nn.Module, prints: Tensor, epochs: int) -> None:
    optimiser = torch.optim.Adam(network.parameters(), 2e-3, fused=True)
    for epoch in range(epochs):
        order = torch.randperm(len(prints), generator=torch.Generator().manual_seed(epoch))
        for start in range(0, len(order), 32):
            batch = prints[order[start : start + 32].to(prints.device)]
            F.binary_cross_entropy(network(batch), batch).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            optimiser.zero_grad()


def class_names(index: pd.DataFrame) -> pd.Series:
    """Each print's category, or its pattern class where it has none."""
    return index["category"].fillna(index["pattern"])


def _auroc(function: Apply, normal: Tensor, strange: Tensor) -> float:
    from sklearn.metrics import roc_auc_score

    errors = [
        (in_batches(function, prints).clamp(0, 1) - prints).square().mean((1, 2, 3)).cpu().numpy()
        for prints in (normal, strange)
    ]
    return float(roc_auc_score(np.repeat([0, 1], [len(e) for e in errors]), np.concatenate(errors)))


def _textures(prints: Tensor) -> Tensor:
    """Smooth noise with each print's own mean and contrast: things that are no prints."""
    from fpml.metrics.ridges import blur

    noise = torch.randn(prints.shape, generator=torch.Generator().manual_seed(1)).to(prints.device)
    noise = blur(noise, 1.5)
    mean, spread = prints.mean((2, 3), keepdim=True), prints.std((2, 3), keepdim=True)
    return (mean + noise / noise.std((2, 3), keepdim=True) * spread).clamp(0, 1)


def _neighbours(trained: Trained[Compress], fitted: np.ndarray, held: np.ndarray, components: int) -> list[Row]:
    """Which class a held-out print is of, by its nearest neighbours in the code, in PCA and in the pixels."""
    from sklearn.decomposition import PCA as Axes
    from sklearn.neighbors import KNeighborsClassifier

    classes = class_names(trained.prints.index)
    known = classes.notna().to_numpy()
    fitted, held = fitted[known[fitted]], held[known[held]]
    if len(held) == 0 or classes.iloc[fitted].nunique() < 2 or len(fitted) < NEIGHBOURS:
        return []
    network: Any = trained.network
    before, after = (to_float(trained.prints.take(rows), trained.device) for rows in (fitted, held))
    flat = [p.flatten(1).cpu().numpy() for p in (before, after)]
    axes = Axes(min(components, len(fitted) - 1), svd_solver="full").fit(flat[0])
    spaces = {
        MODEL: [in_batches(network.encoder, p).cpu().numpy() for p in (before, after)],
        PCA: [axes.transform(f) for f in flat],
        "pixels": flat,
    }
    out = []
    for method, (a, b) in spaces.items():
        said = KNeighborsClassifier(NEIGHBOURS).fit(a, classes.iloc[fitted].astype(str)).predict(b)
        right = (said == classes.iloc[held].astype(str).to_numpy()).astype(float)
        part = f"{classes.iloc[fitted].nunique()} classes"
        fingers = trained.prints.index["finger_id"].to_numpy(object)[held]
        interval = bootstrap(right, fingers, trained.recipe.evaluate.bootstrap)
        out.append(_row(trained, part, "knn_accuracy", method, float(right.mean()), len(held), interval))
    return out


def _draw(trained: Trained[Compress], album: Album, held: np.ndarray, table: pd.DataFrame) -> None:
    network: Any = trained.network
    rng = np.random.default_rng(0)
    rows = rng.choice(held, min(SHOWN, len(held)), replace=False)
    prints = to_float(trained.prints.take(rows), trained.device)
    with torch.inference_mode():
        codes = network.encoder(prints)
        output = network.decode(codes)
    pictures = (codes / codes.amax().clamp(min=1e-6)).reshape(len(rows), 1, -1, 8)
    title = f"{trained.name}: {len(rows)} random prints, their codes as pictures, and what the codes give back"
    path = album.add("codes.png", title, rows)
    figures.rows_of_prints(
        {"original": to_bytes(prints), "code": to_bytes(pictures), "reconstruction": to_bytes(output)}, title, path
    )
    rows = rng.choice(held, min(SHEET, len(held)), replace=False)
    names = class_names(trained.prints.index).iloc[rows].fillna("").astype(str).tolist()
    title = f"{trained.name}: {len(rows)} random held-out samples"
    figures.sheet(trained.prints.take(rows), names, title, album.add("samples.png", title, rows))
    for file, pattern, label in (
        ("noise.png", r"/noise ([\d.]+)$", "standard deviation of the noise"),
        ("bytes.png", r"/(\d+) bytes$", "bytes"),
    ):
        x = table["part"].str.extract(pattern)[0].astype(float)
        wide = table.assign(x=x).dropna(subset="x").pivot_table(index="x", columns="method", values="value")
        title = f"{trained.name}: PSNR by {label}"
        figures.curves(wide, title, (label, "PSNR, dB"), album.add(file, title))
