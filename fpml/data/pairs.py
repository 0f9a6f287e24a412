"""Altered prints with the real ones they were made from."""

import sys

import numpy as np
import pandas as pd

from fpml.base.errors import FpmlError


def unaltered(index: pd.DataFrame) -> np.ndarray:
    """bool (N,): which prints are as they were taken."""
    return (index["alteration"].isna() & index["level"].isna()).to_numpy()


def pairs(index: pd.DataFrame) -> pd.DataFrame:
    """altered, real: the rows of each altered print and of the capture it was made from.

    Altered prints whose real one is missing are counted on stderr; FpmlError where no pair is left."""
    altered = ~unaltered(index)
    rows = pd.Series(np.arange(len(index)), index=index["image_id"].astype(str))
    table = pd.DataFrame({"altered": np.flatnonzero(altered), "source": index.loc[altered, "source_id"].to_numpy(object)})
    table["real"] = table["source"].map(rows)
    lost = int(table["real"].isna().sum())
    if lost == len(table):
        raise FpmlError(
            f"repair needs altered prints and the real ones they were made from; of {len(table)} altered prints "
            f"{lost} have none. data.train and data.test name both, as [socofing] or [socofing/real, socofing/altered]"
        )
    if lost:
        print(f"repair: {lost} of {len(table)} altered prints are left out: their real print is not there", file=sys.stderr)
    return table.dropna(subset="real").astype({"real": np.int64})[["altered", "real"]].reset_index(drop=True)
