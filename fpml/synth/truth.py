"""What is true of every generated print: its mask, orientation field, ridge periods and minutiae, on disk and in memory.

Below a folder's truth/ lie, each cut into the same numbered shards:

fingers/SHARD.parquet        a row for each finger: class, singular points, every number it was grown from
impressions/SHARD.parquet    a row for each picture: file, finger, sensor, how it was laid down, shard and row
minutiae/SHARD.parquet       a row for each minutia that lies in a print: file, x, y, angle, type, clarity, depth, number
mask/SENSOR/SHARD.npy        uint8 (n, H, ceil(W / 8)): where skin touched, eight pixels a byte (numpy.packbits)
orientation/SENSOR/SHARD.npy float16 (n, ceil(H / 8), ceil(W / 8)), radians in 0..pi, counter-clockwise from the right
period/SENSOR/SHARD.npy      float16, the same shape: the ridge period in pixels of the picture
alterations/SHARD.parquet    a row for each altered copy (SOCOFing's layout has them): file, source, level, kind, and
                             all that was done as JSON, of which `Truth.alteration` makes an Alteration
passports/SHARD.parquet      a row for each picture, where they were asked for: file, what an extractor finds of it
                             (fpml/inference/passport.py), the draws that it took, and whether it meets the rules
sensors.parquet              a row for each sensor; synth.json: the settings, and the mark of a generated folder

In a picture, positions are pixels from the middle of the upper left one, x to the right and y down; a minutia's angle
is that of ISO/IEC 19794-2: counter-clockwise from the right, along an ending's ridge or into a bifurcation's valley.
Its clarity (0..1) is how sure its type is, its depth how many pixels it lies inside the print's edge. All prints of a finger
have the same numbers for the same minutiae.
In fingers/, places are pixels at 500 dpi from the middle of the master, y up; the pose in impressions/ is explained at
`Capture` (fpml/synth/capture.py). In alterations/ they are (y, x) pixels inside the frame that SOCOFing's files have. An
alteration's fields are drawn from its row: `Alteration.map` gives where each pixel was taken from and what covers it, and
fpml.alteration.apply its damage. All else that is true of an altered copy is its source's.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import ndimage
from torch import Tensor

from fpml.alteration.kinds import Alteration, from_dict
from fpml.base.errors import FpmlError
from fpml.synth.capture import Capture, pressed, swept, touch
from fpml.synth.field import DPI, Finger, orientation, period_map
from fpml.synth.minutiae import Minutiae
from fpml.synth.sensors import Sensor

BLOCK = 8  # pixels from one value of a field to the next
MINUTIAE = ("x", "y", "angle", "type", "clarity", "depth", "number")


def _jacobian(captures: list[Capture], sensor: Sensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """How the place on the finger moves with the place on the plate: dX/dx, dX/dy, dY/dx, dY/dy. The frames of a sweep
    are shifted as wholes: inside one nothing is sheared."""
    reach = 2.0
    x, y = swept(captures, sensor, x, y)
    right, left = pressed(captures, sensor, x + reach, y), pressed(captures, sensor, x - reach, y)
    above, below = pressed(captures, sensor, x, y + reach), pressed(captures, sensor, x, y - reach)
    xx, yx = ((a - b) / (2 * reach) for a, b in zip(right, left, strict=True))
    xy, yy = ((a - b) / (2 * reach) for a, b in zip(above, below, strict=True))
    return xx, xy, yx, yy


def _to_plate(sensor: Sensor, column: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels of the picture, its border included, to places on the plate: pixels at 500 dpi from its middle, y up."""
    scale, bare = DPI / sensor.dpi, 3 * sensor.border
    middle_x, middle_y = (sensor.border + (size - bare) / 2 - 0.5 for size in (sensor.width, sensor.height))
    return (column - middle_x) * scale, (middle_y - row) * scale


def true_fields(fingers: list[Finger], captures: list[Capture], sensor: Sensor) -> tuple[Tensor, Tensor]:
    """The orientation (radians in 0..pi) and the ridge period (pixels of the picture) in the middle of every block
    of BLOCK x BLOCK pixels, (B, ceil(H / BLOCK), ceil(W / BLOCK)), carried through the skin's distortion."""
    x, y = _to_plate(
        sensor, torch.arange(0, sensor.width, BLOCK) + (BLOCK - 1) / 2, torch.arange(0, sensor.height, BLOCK) + (BLOCK - 1) / 2
    )
    x, y = x[None, None, :], y[None, :, None]
    on_x, on_y = touch(captures, sensor, x, y)
    theta, period = orientation(fingers, on_x, on_y), period_map(fingers, on_x, on_y)
    xx, xy, yx, yy = _jacobian(captures, sensor, x, y)
    # The ridges' wave vector, pulled back to the plate.
    wave_x, wave_y = -torch.sin(theta) / period, torch.cos(theta) / period
    plate_x, plate_y = xx * wave_x + yx * wave_y, xy * wave_x + yy * wave_y
    angle = torch.remainder(torch.atan2(plate_y, plate_x) - torch.pi / 2, torch.pi)
    length = (sensor.dpi / DPI) / torch.hypot(plate_x, plate_y)
    return angle, length


def true_minutiae(minutiae: list[Minutiae], captures: list[Capture], sensor: Sensor, masks: np.ndarray) -> list[pd.DataFrame]:
    """The minutiae of each impression's finger that lie in its print, as they lie there: a table of MINUTIAE for each.

    masks: (B, H, W) bool. The way from the plate to the finger is turned about by fixed-point iteration."""
    count = max(len(m.x) for m in minutiae)

    def padded(name: str) -> Tensor:
        rows = [np.pad(np.asarray(getattr(m, name), np.float32), (0, count - len(m.x))) for m in minutiae]
        return torch.from_numpy(np.stack(rows))[:, None]

    to_x, to_y, angle = padded("x"), padded("y"), padded("angle")
    turn = torch.tensor([c.rotation for c in captures], dtype=torch.float32)[:, None, None]
    c, s = turn.cos() * sensor.magnification, turn.sin() * sensor.magnification
    x, y = torch.zeros_like(to_x), torch.zeros_like(to_y)
    for _ in range(6):
        at_x, at_y = touch(captures, sensor, x, y)
        x, y = x + c * (to_x - at_x) - s * (to_y - at_y), y + s * (to_x - at_x) + c * (to_y - at_y)
    at_x, at_y = touch(captures, sensor, x, y)
    met = (torch.hypot(to_x - at_x, to_y - at_y) < 1)[:, 0].numpy()  # not what fell between two frames of a sweep
    xx, xy, yx, yy = _jacobian(captures, sensor, x, y)
    ahead_x, ahead_y = angle.cos(), angle.sin()  # a direction is pushed back by the inverse of the Jacobian
    angle = torch.remainder(torch.atan2(xx * ahead_y - yx * ahead_x, yy * ahead_x - xy * ahead_y), 2 * torch.pi)
    origin_x, origin_y = _to_plate(sensor, torch.zeros(1), torch.zeros(1))
    column = ((x - origin_x) * (sensor.dpi / DPI))[:, 0].numpy()
    row = ((origin_y - y) * (sensor.dpi / DPI))[:, 0].numpy()
    tables = []
    for number, one in enumerate(minutiae):
        n = len(one.x)
        at = np.rint([row[number, :n], column[number, :n]]).astype(int)
        inside = ((at >= 0) & (at < np.array([[sensor.height], [sensor.width]]))).all(0)
        seen = inside & met[number, :n] & masks[number][tuple(np.clip(at, 0, [[sensor.height - 1], [sensor.width - 1]]))]
        kinds = np.where(one.ending, "ending", "bifurcation")
        inner = ndimage.distance_transform_edt(np.pad(masks[number][::4, ::4], 1))[1:-1, 1:-1]  # a picture's edge is an edge
        depth = 4 * inner[tuple(np.clip(at // 4, 0, np.array(inner.shape)[:, None] - 1))].astype(np.float32)
        columns = (column[number, :n], row[number, :n], angle[number, 0, :n].numpy(), kinds, one.clarity, depth, np.arange(n))
        tables.append(pd.DataFrame({name: v[seen] for name, v in zip(MINUTIAE, columns, strict=True)}))
    return tables


@dataclass(frozen=True)
class Truth:
    """The ground truth of a generated folder, read as it is asked for. `file`: a picture's path below the folder."""

    folder: Path  # that holds truth/

    def __post_init__(self) -> None:
        if not (self.folder / "truth" / "synth.json").is_file():
            raise FpmlError(f"{self.folder} has no truth/synth.json; give a folder that fpml synth made")

    @cached_property
    def _opened(self) -> dict[Path, np.ndarray]:
        return {}

    @cached_property
    def fingers(self) -> pd.DataFrame:
        return pd.read_parquet(self.folder / "truth" / "fingers")

    @cached_property
    def impressions(self) -> pd.DataFrame:
        """A row for each picture, indexed by file."""
        return pd.read_parquet(self.folder / "truth" / "impressions").set_index("file")

    @cached_property
    def _minutiae(self) -> dict[str, pd.DataFrame]:
        table = pd.read_parquet(self.folder / "truth" / "minutiae")
        return {str(file): rows[list(MINUTIAE)].reset_index(drop=True) for file, rows in table.groupby("file")}

    def minutiae(self, file: str) -> pd.DataFrame:
        """x, y (pixels from the upper left), angle (radians, counter-clockwise), type (ending or bifurcation), clarity
        of the type (0..1), depth inside the print (pixels), number on the finger."""
        self._row(file)
        return self._minutiae.get(file, pd.DataFrame(columns=list(MINUTIAE)))

    @cached_property
    def alterations(self) -> pd.DataFrame:
        """A row for each altered copy, indexed by file. FpmlError where the folder has none."""
        if not (self.folder / "truth" / "alterations").is_dir():
            raise FpmlError(
                f"{self.folder} has no altered prints; those of SOCOFing's layout are made by `fpml synth` of params.yaml"
            )
        return pd.read_parquet(self.folder / "truth" / "alterations").set_index("file")

    @cached_property
    def passports(self) -> pd.DataFrame:
        """A row for each picture, indexed by file. FpmlError where none were kept."""
        if not (self.folder / "truth" / "passports").is_dir():
            raise FpmlError(f"{self.folder} has no passports; make it with `fpml synth --passports`")
        return pd.read_parquet(self.folder / "truth" / "passports").set_index("file")

    def alteration(self, file: str) -> Alteration:
        """What was done to an altered copy, exactly; places are inside the frame."""
        if file not in self.alterations.index:
            raise FpmlError(f"'{file}' is no altered copy of {self.folder}; they look like '{self.alterations.index[0]}'")
        return from_dict(json.loads(str(self.alterations.loc[file, "said"])))

    def mask(self, file: str) -> np.ndarray:
        """Where skin touched: bool (H, W)."""
        width = int(self._row(file)["width"])
        return np.unpackbits(self._array("mask", file), axis=1, count=width).astype(bool)

    def orientation(self, file: str) -> np.ndarray:
        """Radians, one value a block of 8 x 8 pixels."""
        return self._array("orientation", file).astype(np.float32)

    def period(self, file: str) -> np.ndarray:
        """Ridge period in pixels, one value a block of 8 x 8 pixels."""
        return self._array("period", file).astype(np.float32)

    def _row(self, file: str) -> pd.Series:
        if file not in self.impressions.index:
            raise FpmlError(f"'{file}' is not a picture of {self.folder}; its pictures look like '{self.impressions.index[0]}'")
        return self.impressions.loc[[file]].iloc[0]

    def _array(self, what: str, file: str) -> np.ndarray:
        row = self._row(file)
        path = self.folder / "truth" / what / str(row["sensor"]) / f"{row['shard']}.npy"
        if path not in self._opened:
            self._opened[path] = np.load(path, mmap_mode="r", allow_pickle=False)
        return np.asarray(self._opened[path][int(row["row"])])
