"""reconstruct: every sensor's prints given back, beside PCA, of whole prints and of patches, and a low-pass copy."""

from typing import cast

import numpy as np
import pandas as pd
import torch

from fpml.base.progress import progress
from fpml.data.split import TRAIN, UNSEEN, VALIDATION
from fpml.data.store import Prepared
from fpml.drawing import figures
from fpml.inference.kept import kept, template
from fpml.metrics.baselines import (
    COARSE,
    LOW_PASS,
    PATCH,
    PATCH_PCA,
    PCA,
    PictureToPicture,
    fit_patch_pca,
    fit_pca,
    low_pass,
)
from fpml.metrics.pictures import INSIDE, WHOLE, Masked, measure, to_bytes, to_float
from fpml.metrics.results import as_table, summarise
from fpml.metrics.table import MODEL
from fpml.models import Autoencoder
from fpml.tasks.protocol import Album, Findings, Trained, sensor_labels, some
from fpml.tasks.reconstruct.settings import Reconstruct

BATCH = 32


def evaluate(trained: Trained[Reconstruct], album: Album) -> Findings:
    recipe, prints = trained.recipe, trained.prints
    training = np.flatnonzero(trained.side == TRAIN)
    training = training[some(len(training), recipe.evaluate.pca_prints)]  # evenly over the sensors
    pixels = recipe.data.height * recipe.data.width
    code = cast(Autoencoder, trained.family).code_size(recipe.model, recipe.data.height, recipe.data.width)
    components = min(code, len(training) - 1, pixels)
    methods: dict[str, PictureToPicture] = {
        MODEL: trained.network,
        PCA: fit_pca(prints.take(training), components),
        LOW_PASS: low_pass,
    }
    each = code * PATCH**2 // pixels  # the code's numbers for one patch; with as many as it has pixels PCA copies it
    if 0 < each < PATCH**2 and recipe.data.height % PATCH == recipe.data.width % PATCH == 0:
        methods[PATCH_PCA] = fit_patch_pca(prints.take(training), each)
    rows = np.flatnonzero((trained.side == VALIDATION) | (trained.side == UNSEEN))
    looked = rows[some(len(rows), recipe.evaluate.looked)]
    scores = measured(methods, prints, rows, looked, trained.device, recipe.data.dpi)
    scores["side"] = trained.side[scores["row"]]
    scores["part"] = sensor_labels(prints.index).to_numpy()[scores["row"]]
    for column in ("image_id", "finger_id"):
        scores[column] = prints.index[column].to_numpy(object)[scores["row"]]
    table = as_table(summarise(scores, recipe.evaluate.bootstrap))

    own = scores[scores["method"] == MODEL]
    for number, ((side, part), of_part) in enumerate(own.groupby(["side", "part"], sort=True)):
        shown = of_part["row"].to_numpy()[some(len(of_part), recipe.evaluate.pictures)]
        with torch.inference_mode():
            output = trained.network(to_float(prints.take(shown), trained.device))
        quality = of_part["psnr_mask"]
        title = f"{part} ({side} fingers): {quality.mean():.1f} dB inside the prints, mean of {quality.count()}"
        path = album.add(f"reconstructions-{number:02d}.png", title, shown)
        figures.reconstructions(prints.take(shown), to_bytes(output), title, path)
    trained_on = ", ".join(recipe.data.train)
    title = f"{trained.name}: PSNR inside the print, by sensor"
    figures.heat_map(figures.matrix(table, "psnr_mask", trained_on), title, "PSNR, dB", album.add("cross-sensor.png", title))
    over = " (over-complete: copying is possible)" if code > pixels else ""
    notes = [
        f"The code has {code:,} numbers for {pixels:,} pixels{over}. PCA was given {components} components; the low-pass "
        f"copy keeps one number for {COARSE}×{COARSE} pixels.",
        f"_mask: inside the print only. Minutiae are those of {len(looked)} prints.",
    ]
    if PATCH_PCA in methods:
        notes.append(f"PCA of patches: of {PATCH}×{PATCH} pixels, {each} components each, as many numbers as the code has.")
    facts = {
        "pca_components": components, "code_size": code, "pixels": pixels, "headline": "psnr_mask", "matrix": "psnr_mask",
        "notes": notes,
    }  # fmt: skip
    return Findings(scores.drop(columns="row"), table, facts)


@torch.inference_mode()
def measured(
    methods: dict[str, PictureToPicture],
    prints: Prepared,
    rows: np.ndarray,
    looked: np.ndarray,
    device: torch.device,
    dpi: float,
) -> pd.DataFrame:
    """A row for each print and method: row (in the prepared set), method, and the metrics; minutiae of the `looked` rows."""
    parts: list[pd.DataFrame] = []
    starts = range(0, len(rows), BATCH)
    for start in progress(starts, "evaluate", len(starts), "batches"):
        here = rows[start : start + BATCH]
        batch = to_float(prints.take(here), device)
        masks = torch.from_numpy(prints.take(here, "masks"))[:, None].float().to(device)
        places = np.flatnonzero(np.isin(here, looked))
        true = [template(print_, dpi) for print_ in to_bytes(batch[places])]
        for name, reconstruct in methods.items():
            outcome = Masked(reconstruct(batch).float(), batch, masks)
            seen = [template(picture, dpi) for picture in to_bytes(outcome.output[places])]
            minutiae = pd.DataFrame([kept(mine, theirs) for mine, theirs in zip(seen, true, strict=True)], places)
            found = pd.DataFrame({"row": here, "method": name, **measure(outcome, WHOLE, INSIDE)})
            parts.append(found.join(minutiae))
    return pd.concat(parts, ignore_index=True)
