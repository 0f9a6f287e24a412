"""split: which prints train and which are held out, so that nothing of a finger is on both sides."""

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from fpml.config import Split, SplitRecognise
from fpml.errors import FpmlError

TRAIN, VALIDATION, TEST, UNSEEN, EXCLUDED = "train", "validation", "test", "unseen", "excluded"


def groups(index: pd.DataFrame, by: str) -> np.ndarray:
    """A number for each row; rows that must stay together share it.

    By finger: one finger, its altered copies, and all pixel-identical pictures. By subject: all fingers of
    a person too (the finger, where no subject is known)."""
    if by in ("image", "given"):
        return np.arange(len(index))
    identity = index["finger_id"]
    if by == "subject":
        subject = index["dataset"] + "/subject/" + index["subject"]
        identity = subject.where(index["subject"].notna(), identity)
        if index["subject"].isna().all():
            raise FpmlError("split.by is subject, but no print of the recipe says whose it is; use by: finger")
    nodes = pd.factorize(pd.concat([identity.astype(str), index["sha256"].astype(str)]))[0]
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


def split_prints_of_fingers(index: pd.DataFrame, settings: SplitRecognise) -> pd.DataFrame:
    """image_id and side for telling fingers apart: of each sensor some fingers 'unseen' as a whole, of every other one some
    prints to 'test', 'validation' and 'train'. Of pixel-identical prints one is used, the others are 'excluded', and so are
    altered copies, which are no impressions of their own.

    FpmlError for a finger with too few prints."""
    rng = np.random.default_rng(settings.seed)
    side = np.full(len(index), UNSEEN, object)
    own = (index["role"] == "train").to_numpy()
    finger = index["finger_id"].astype(str).to_numpy()
    copies = index.assign(own=~own).sort_values("own", kind="stable")["sha256"].duplicated().sort_index().to_numpy()
    copies = copies | (index["source_id"].notna() | index["alteration"].notna()).to_numpy()
    side[copies] = EXCLUDED
    side[~own & np.isin(finger, finger[own])] = EXCLUDED
    first = pd.DataFrame({"finger": finger, "sensor": index["dataset"] + "/" + index["sensor"]})[own & ~copies]
    seen: list[str] = []
    for _, members in sorted(first.drop_duplicates("finger").groupby("sensor")["finger"]):
        mixed = rng.permutation(members.to_numpy(str))
        seen += mixed[round(settings.unseen * len(mixed)) :].tolist()
    short = []
    for name in sorted(seen):
        rows = rng.permutation(np.flatnonzero(own & (finger == name) & ~copies))
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


def split(index: pd.DataFrame, settings: Split | SplitRecognise) -> pd.DataFrame:
    """image_id and side of every prepared print.

    The recipe's training sets are divided, sensor by sensor, into train and validation; its test sets are
    'unseen'. An unseen print whose finger is trained on is 'excluded'. FpmlError where a side is empty."""
    if isinstance(settings, SplitRecognise):
        return split_prints_of_fingers(index, settings)
    if settings.by == "given":
        return _given(index)
    group = groups(index, settings.by)
    side = np.where(index["role"] == "train", TRAIN, UNSEEN).astype(object)
    own = (index["role"] == "train").to_numpy()
    rng = np.random.default_rng(settings.seed)
    first = pd.DataFrame({"group": group[own], "sensor": (index["dataset"] + "/" + index["sensor"])[own]})
    first = first.drop_duplicates("group")
    held: list[int] = []
    for _, members in sorted(first.groupby("sensor")["group"]):
        shuffled = rng.permutation(members.to_numpy())
        held += shuffled[: round(settings.validation * len(shuffled))].tolist()
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
