"""prepare: every print of a run on the recipe's canvas, in shards."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fpml.base.errors import FpmlError
from fpml.base.files import new_folder
from fpml.base.parallel import Workers, in_parallel
from fpml.data import manifest, store
from fpml.data.pictures import BadPicture, pixel_hash
from fpml.data.placing import place_print
from fpml.data.readers import read_print, reader_named
from fpml.settings.recipe import Data


def _prepare_one(row: dict[str, Any], root: Path, data: Data, readers: dict[str, str]) -> Any:
    path, reader = root / row["file"], readers[row["dataset"]]
    try:
        grey = read_print(row, reader, root, 2 * int(row["width"]) * int(row["height"]))
    except (BadPicture, OSError) as error:
        raise FpmlError(f"{path} was fine when it was ingested and is not now: {error}; ingest it again") from None
    if pixel_hash(grey) != row["sha256"]:
        raise FpmlError(f"{path} has changed since it was ingested; run: fpml ingest {row['dataset']}")
    return place_print(reader_named(reader).crop(grey), float(row["dpi"]), data)


def select(manifests: dict[str, pd.DataFrame], entries: list[str], what: str) -> pd.DataFrame:
    """The usable rows of DATASET or DATASET/SENSOR entries. FpmlError where an entry selects nothing."""
    parts = []
    for entry in entries:
        dataset, _, sensor = entry.partition("/")
        frame = manifests[dataset]
        usable = frame[frame["status"] == manifest.OK]
        chosen = usable[usable["sensor"] == sensor] if sensor else usable
        if chosen.empty:
            raise FpmlError(
                f"data.{what} entry '{entry}' selects no prints; {dataset} has the sensors: "
                f"{', '.join(sorted(usable['sensor'].unique())) or 'none'}"
            )
        parts.append(chosen)
    return pd.concat(parts).drop_duplicates("image_id") if parts else manifests[next(iter(manifests))].iloc[:0]


def prepare(
    name: str, data: Data, manifests: dict[str, pd.DataFrame], readers: dict[str, str], root: Path, out: Path, workers: Workers
) -> pd.DataFrame:
    """Write the prepared prints of a recipe into `out`; returns the index. Same input, same bytes."""
    train, test = select(manifests, data.train, "train"), select(manifests, data.test, "test")
    index = pd.concat([train.assign(role="train"), test.assign(role="test")]).drop_duplicates("image_id")
    index = index.drop(columns=["status", "reason"]).reset_index(drop=True)
    each, sizes = store.shard_sizes(len(index), data.height, data.width)
    with new_folder(out) as folder:
        boxes: list[Any] = []
        plates: list[Any] = []
        work = partial(_prepare_one, root=root, data=data, readers=readers)
        for number, size in enumerate(sizes):  # one shard in memory at a time
            rows = index.iloc[number * each : number * each + size].to_dict("records")
            done = in_parallel(work, rows, workers, f"prepare {name} {number + 1}/{len(sizes)}", "prints")
            for kind, place in (("images", 0), ("masks", 1)):
                np.save(folder / f"{kind}-{number:03d}.npy", np.stack([d[place] for d in done]))
            boxes += [d[2] for d in done]
            plates += [d[3] for d in done]
        index["plate"] = plate = _plates(index, plates)
        index[list(store.BOX)] = np.array(boxes, np.int32)
        for number in range(len(sizes)):
            shard = np.load(folder / f"images-{number:03d}.npy", mmap_mode="r+")
            for place in range(len(shard)):
                row = number * each + place
                _fill(shard[place], boxes[row], int(plate[row]))
            shard.flush()
        index.to_parquet(folder / "index.parquet", index=False)
        meta = {
            "height": data.height, "width": data.width, "dpi": data.dpi, "crop": data.crop, "rows": len(index),
            "rows_per_shard": each, "shards": store.digest(sorted(folder.glob("*.npy"))),
        }  # fmt: skip
        (folder / "meta.json").write_text(json.dumps(meta, indent=1) + "\n", encoding="utf-8")
    return index


def _plates(index: pd.DataFrame, plates: list[int | None]) -> np.ndarray:
    """The empty plate's grey for each print: its own; where it shows none, its sensor's median; else white."""
    frame = pd.DataFrame({"sensor": index["dataset"] + "/" + index["sensor"], "plate": pd.array(plates, "Float64")})
    by_sensor = frame.groupby("sensor")["plate"].transform("median")
    return frame["plate"].fillna(by_sensor).fillna(255).round().to_numpy(np.uint8)


def _fill(canvas: np.ndarray, box: tuple[int, ...], plate: int) -> None:
    top, bottom, left, right = box
    canvas[:top], canvas[bottom:], canvas[:, :left], canvas[:, right:] = plate, plate, plate, plate
