"""split: which prints train and which are held out, so that nothing of a finger is on both sides.

Who is held out is drawn by a hash of each finger's name, not by its place in a list: when data are added, almost every
known finger keeps its side, so that a model trained before and one trained after can be compared on prints new to both.
"""

import hashlib

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from fpml.base.errors import FpmlError
from fpml.settings.recipe import Split, SplitWithinFingers

TRAIN, VALIDATION, TEST, UNSEEN, EXCLUDED = "train", "validation", "test", "unseen", "excluded"


def lots(names: pd.Series, seed: int) -> np.ndarray:
    """(n,) uint64: each name's place in a shuffled order, which other names don't change."""
    codes, distinct = pd.factorize(names.astype(str))
    drawn = [int.from_bytes(hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()) for name in distinct]
    return np.array(drawn, np.uint64)[codes]


def identities(index: pd.DataFrame, by: str) -> pd.Series:
    """The name of what stays on one side: the print, its finger, or its person (the finger, where no person is known)."""
    if by == "image":
        return index["image_id"]
    if by == "finger":
        return index["finger_id"]
    if index["subject"].isna().all():
        raise FpmlError("split.by is subject, but no print of the recipe says whose it is; use by: finger")
    return (index["dataset"] + "/subject/" + index["subject"]).where(index["subject"].notna(), index["finger_id"])


def groups(index: pd.DataFrame, by: str) -> np.ndarray:
    """A number for each row; rows that must stay together share it.

    By finger: one finger, its altered copies, and all pixel-identical pictures. By subject: all fingers of
    a person too."""
    if by == "image":
        return np.arange(len(index))
    nodes = pd.factorize(pd.concat([identities(index, by).astype(str), index["sha256"].astype(str)]))[0]
    count = len(index)
    graph = coo_matrix((np.ones(count, bool), (nodes[:count], nodes[count:])), shape=(nodes.max() + 1,) * 2)
    return np.asarray(connected_components(graph, directed=False)[1][nodes[:count]])


def _given(index: pd.DataFrame) -> pd.DataFrame:
    """The set's own division, by its sensors 'train' and 'test'."""
    sensor = index["sensor"].astype(str)
    side = np.where(sensor == "train", TRAIN, VALIDATION).astype(object)
    side[(index["role"] != "train").to_numpy()] = UNSEEN
    own = set(sensor[index["role"] == "train"])
    if own != {"train", "test"}:
        raise FpmlError(
            f"split.by is given, but the training sets have the sensors {', '.join(sorted(own))}, not train and test; "
            "use by: finger"
        )
    return pd.DataFrame({"image_id": index["image_id"].astype("string"), "side": pd.array(side, "string")})


def split_prints_of_fingers(index: pd.DataFrame, settings: SplitWithinFingers) -> pd.DataFrame:
    """image_id and side for telling fingers apart: of each sensor some fingers 'unseen' as a whole, of every other one some
    prints to 'test', 'validation' and 'train'. Of pixel-identical prints one is used, the others are 'excluded', and so are
    altered copies, which are no impressions of their own.

    FpmlError for a finger with too few prints."""
    side = np.full(len(index), UNSEEN, object)
    own = (index["role"] == "train").to_numpy()
    finger = index["finger_id"].astype(str).to_numpy()
    copies = index.assign(own=~own).sort_values("own", kind="stable")["sha256"].duplicated().sort_index().to_numpy()
    copies = copies | (index["source_id"].notna() | index["alteration"].notna()).to_numpy()
    side[copies] = EXCLUDED
    side[~own & np.isin(finger, finger[own])] = EXCLUDED
    rows_of = pd.DataFrame({
        "finger": finger, "sensor": index["dataset"] + "/" + index["sensor"], "row": np.arange(len(index)),
        "lot": lots(index["finger_id"], settings.seed), "print_lot": lots(index["image_id"], settings.seed),
    })[own & ~copies]  # fmt: skip
    seen: list[str] = []
    for _, members in rows_of.drop_duplicates("finger").sort_values("lot").groupby("sensor")["finger"]:
        seen += members.tolist()[round(settings.unseen * len(members)) :]
    short = []
    for name, prints in rows_of[rows_of["finger"].isin(seen)].sort_values("print_lot").groupby("finger"):
        rows = prints["row"].to_numpy()
        left = len(rows) - settings.test
        held = max(1, round(settings.validation * left))
        if left - held < 1:
            short.append(f"{name} ({len(rows)})")
            continue
        side[rows[: settings.test]] = TEST
        side[rows[settings.test : settings.test + held]] = VALIDATION
        side[rows[settings.test + held :]] = TRAIN
    if short:
        raise FpmlError(
            f"{len(short)} finger(s) have too few prints: {', '.join(short[:3])}; with {settings.test} to test a finger needs "
            f"{settings.test + 2} (one to validate, one to train); lower split.test (to 1 at least), take more prints, "
            "or move those fingers' files away"
        )
    return pd.DataFrame({"image_id": index["image_id"].astype("string"), "side": pd.array(side, "string")})


def split(index: pd.DataFrame, settings: Split | SplitWithinFingers) -> pd.DataFrame:
    """image_id and side of every prepared print.

    The recipe's training sets are divided, sensor by sensor, into train and validation; its test sets are
    'unseen'. An unseen print whose finger is trained on is 'excluded'. FpmlError where a side is empty."""
    if isinstance(settings, SplitWithinFingers):
        return split_prints_of_fingers(index, settings)
    if settings.by == "given":
        return _given(index)
    group = groups(index, settings.by)
    side = np.where(index["role"] == "train", TRAIN, UNSEEN).astype(object)
    own = (index["role"] == "train").to_numpy()
    table = pd.DataFrame({"group": group, "sensor": index["dataset"] + "/" + index["sensor"]})
    table["lot"] = lots(identities(index, settings.by), settings.seed)
    first = table[own].groupby("group", sort=False).agg({"sensor": "first", "lot": "min"}).reset_index().sort_values("lot")
    held: list[int] = []
    for _, members in first.groupby("sensor")["group"]:
        held += members.tolist()[: round(settings.validation * len(members))]
    held_out = np.isin(group, held)
    side[own & held_out] = VALIDATION
    if settings.by != "image":
        side[~own & np.isin(group, group[own & ~held_out])] = EXCLUDED
    if not own.all() and not (side == UNSEEN).any():
        raise FpmlError("the split leaves 'unseen' empty: every print of data.test is of a finger that is trained on")
    for name in (TRAIN, VALIDATION):
        if not (side == name).any():
            raise FpmlError(
                f"the split leaves '{name}' empty: {len(first)} {settings.by}(s) with validation {settings.validation}; "
                "give more prints or another share"
            )
    return pd.DataFrame({"image_id": index["image_id"].astype("string"), "side": pd.array(side, "string")})
