"""Train the first weights anew, from generated prints alone (on two cores twenty minutes for the prints, and an hour and a half
to learn):

    python docs/scripts/make_first.py FOLDER

FOLDER keeps the prints and the last epoch: a killed run goes on. It writes fpml/shipped/first-1. Each finger is drawn on four
sensors that nobody built, twice on each, as it may come; what is learnt is whose it is, and how it lies, which is known. Some
fingers have twins, whose ridges flow alike and are others: else the flow would be all that is looked at."""

import hashlib
import json
import math
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load, save
from torch import Tensor

from fpml.base.files import new_file
from fpml.base.parallel import in_parallel
from fpml.data.placing import box_of, segment, whole_print
from fpml.metrics.verification import all_pairs, eer
from fpml.models.aligned import DPI, HEIGHT, SCALE, UNIT, WIDTH, Aligned
from fpml.settings.recipe import Data
from fpml.synth.capture import Capture
from fpml.synth.field import Finger, draw_finger
from fpml.synth.generate import prints_of
from fpml.synth.sensors import Sensor, random_sensor
from fpml.synth.write import GENERATOR
from fpml.training.checkpoint import Checkpoints
from fpml.training.first_weights import FIRST

SEED, PARTS, TWINNED, EACH, SENSORS, IMPRESSIONS = 3101, 70, 27, 50, 4, 2  # of a part's fingers, each on SENSORS
TWINS = 3  # of each finger that has any
HELD = 100  # fingers that are measured on, the first
NETWORK, EPOCHS, BATCH, RATE, DECAY = 48, 30, 96, 0.0015, 0.02
MARGIN = 0.25  # by which a print's cosine with its own finger is lowered (CosFace; Wang et al. 2018)
WARM, EASED = 200, 1000  # steps over which the rate, and the margin, come up
OFF = (3.0, 3.0, 0.07)  # standard deviations, pixels and radians, by which prints are laid wrong, as real ones will be
MOST = 2.5  # of what is kept of ridges, in bytes
CANVAS = Data(train=["generated"], test=[], height=HEIGHT, width=WIDTH, dpi=DPI, crop="print")


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    every = list(range(PARTS + TWINNED))
    in_parallel(partial(draw, folder=folder), every, 0, "fingers", "parts", chunk=1)
    parts = [np.load(folder / f"{part:04d}.npz") for part in every]
    ridges, lies = (torch.from_numpy(np.concatenate([p[what] for p in parts])) for what in ("ridges", "lies"))
    write(train(folder / "epochs", ridges, lies), ridges, lies)


def finger(place: int) -> Finger:
    """The finger of a place among all; behind PARTS stand twins of those that are not held out."""
    first = PARTS * EACH
    if place < first:
        return draw_finger(SEED, place + 1)
    whose, which = HELD + 1 + (place - first) // TWINS, 1 + (place - first) % TWINS
    return replace(draw_finger(SEED, whose), number=whose + 100_000 * which)


def draw(part: int, folder: Path) -> None:
    """What is ridges in the prints of a part's fingers, int8 (N, HEIGHT, WIDTH) of MOST / 127; and how they lie, (N, 3)."""
    out = folder / f"{part:04d}.npz"
    if out.exists():
        return
    torch.set_num_threads(1)
    prints, lies = [], []
    for place in range(part * EACH, (part + 1) * EACH):
        drawn = finger(place)
        sensors = [random_sensor(int(n)) for n in np.random.default_rng([drawn.number, 77]).integers(0, 2000, SENSORS)]
        for made in prints_of([drawn], IMPRESSIONS, sensors, "any", torch.device("cpu")):
            # Of the finger's own size: a sensor's magnification is made good, as a true dpi does.
            dpi = made.sensor.dpi * made.sensor.magnification
            for picture, capture in zip(made.pictures, made.captures, strict=True):
                prints.append(whole_print(picture, dpi, CANVAS)[0])
                lies.append(lie(capture, made.sensor, box_of(segment(picture, dpi), dpi), dpi))
    seen, at = toned(torch.from_numpy(np.stack(prints)), torch.tensor(lies), torch.Generator().manual_seed(part))
    with torch.inference_mode():
        network = Aligned(2, 1)
        ridges = torch.cat([network.ridges(some) for some in seen.split(50)])[:, 0]  # type: ignore[no-untyped-call]
    kept = (ridges.clamp(-MOST, MOST) * (127 / MOST)).round().to(torch.int8)
    with new_file(out) as temporary, temporary.open("wb") as stream:
        np.savez(stream, ridges=kept.numpy(), lies=at.numpy())


def lie(capture: Capture, sensor: Sensor, box: tuple[int, int, int, int], dpi: float) -> tuple[float, float, float]:
    """Where the middle of the finger lies on the canvas, x and y in pixels from its middle; and how far the finger is turned,
    in radians counter-clockwise. By the inverse of fpml.synth.capture.pressed, but for the skin's distortion."""
    c, s = math.cos(capture.rotation), math.sin(capture.rotation)
    x, y = -c * capture.shift_x + s * capture.shift_y, -s * capture.shift_x - c * capture.shift_y
    top, bottom, left, right = box
    scale = DPI / dpi
    across = x * DPI / 500 + (sensor.width - left - right) / 2 * scale
    return across, -y * DPI / 500 + (sensor.height - top - bottom) / 2 * scale, capture.rotation


def toned(prints: Tensor, lies: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Prints of other greys, noisy, and enlarged, since adults' ridges are wider than the generator's: float (N, 1, H, W)."""
    count = len(prints)
    zoom = torch.rand(count, generator=generator) * 0.18 + 0.84
    seen = prints[:, None].float() / 255
    seen = seen.clamp(min=1e-3) ** (2 ** (torch.rand(count, 1, 1, 1, generator=generator) * 1.2 - 0.6))
    noise = torch.rand(count, 1, 1, 1, generator=generator) * 0.04
    seen = seen + torch.randn(seen.shape, generator=generator) * noise
    matrix = torch.zeros(count, 2, 3)
    matrix[:, 0, 0] = matrix[:, 1, 1] = zoom
    grid = F.affine_grid(matrix, list(seen.shape), align_corners=False)
    enlarged = F.grid_sample(seen, grid, padding_mode="border", align_corners=False)
    return enlarged, torch.cat([lies[:, :2] / zoom[:, None], lies[:, 2:]], 1)


def train(kept: Path, ridges: Tensor, lies: Tensor) -> Aligned:
    torch.manual_seed(1)
    fingers = torch.arange(len(ridges)) // (SENSORS * IMPRESSIONS) - HELD
    rows = np.flatnonzero((fingers >= 0).numpy())
    network = Aligned(NETWORK, int(fingers.max()) + 1)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
    each, checkpoints = len(rows) // BATCH, Checkpoints(kept)
    history = checkpoints.restore(network, [optimiser])
    for epoch in range(len(history), EPOCHS):
        network.train()
        order = np.random.default_rng(epoch).permutation(rows)
        said = np.zeros(2)
        for number in range(each):
            step = epoch * each + number
            for group in optimiser.param_groups:
                falling = 0.5 * (1 + math.cos(math.pi * step / (EPOCHS * each)))
                group["lr"] = RATE * min(1, (step + 1) / WARM) * falling
            here = order[number * BATCH : (number + 1) * BATCH]
            generator = torch.Generator().manual_seed(epoch * 100_003 + number * BATCH)
            with torch.autocast("cpu", torch.bfloat16):
                whose, how = losses(network, ridges[here], lies[here], fingers[here], epoch, step, generator)
            (whose + how).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            optimiser.zero_grad()
            said += float(whose.detach()), float(how.detach())
        history.append({"whose": said[0] / each, "how": said[1] / each})
        checkpoints.save(network, [optimiser], history)
        print(f"epoch {epoch + 1}/{EPOCHS}: {history[-1]}, {measured(network, ridges, lies)}", flush=True)
    return network


def losses(
    network: Aligned, ridges: Tensor, lies: Tensor, fingers: Tensor, epoch: int, step: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Of whose the prints are, and of how they lie. The embedding sees them laid by what the network told, a little off; in the
    first epochs, in which it can't tell yet, often by the truth."""
    seen, middle, turn = varied(ridges, lies, generator)
    shift, direction = network.lie(seen)
    agree = direction[:, 0] * turn.cos() + direction[:, 1] * turn.sin()
    how = F.smooth_l1_loss(shift / UNIT, middle / UNIT) + 2 * (1 - agree).mean()
    truth = torch.rand(len(seen), 1, generator=generator) < max(0.1, 0.8 - epoch / 3)
    off = torch.randn(len(seen), 3, generator=generator) * torch.tensor(OFF)
    laid = torch.where(truth, middle, shift.detach()) + off[:, :2]
    angle = torch.where(truth[:, 0], turn, torch.atan2(direction[:, 1], direction[:, 0]).detach()) + off[:, 2]
    logits, _ = network.embedded(network.straight(seen, laid, torch.stack([angle.cos(), angle.sin()], 1)))
    own = F.one_hot(fingers, logits.shape[1])
    return F.cross_entropy(logits.float() - SCALE * MARGIN * min(1, (step + 1) / EASED) * own, fingers), how


def varied(ridges: Tensor, lies: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Ridges turned, moved, scaled, pulled, weaker and noisy, cut off at a side and round about, and with holes, all at random;
    and how they lie now."""
    count = len(ridges)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand((count, *shape), generator=generator) * (high - low) + low

    angle, zoom, shift = uniform(-20, 20) * torch.pi / 180, uniform(0.95, 1.06), uniform(-8, 8, 2)
    c, s = angle.cos(), angle.sin()
    y, x = torch.meshgrid(torch.arange(HEIGHT) - (HEIGHT - 1) / 2, torch.arange(WIDTH) - (WIDTH - 1) / 2, indexing="ij")
    pulled = F.interpolate(uniform(-2.5, 2.5, 2, 4, 4), (HEIGHT, WIDTH), mode="bicubic", align_corners=True)
    across = (zoom * c)[:, None, None] * x - (zoom * s)[:, None, None] * y + shift[:, 0, None, None] + pulled[:, 0]
    down = (zoom * s)[:, None, None] * x + (zoom * c)[:, None, None] * y + shift[:, 1, None, None] + pulled[:, 1]
    grid = torch.stack([across / (WIDTH / 2), down / (HEIGHT / 2)], -1)
    seen = F.grid_sample(as_seen(ridges), grid, align_corners=False)
    side = uniform(0, 2 * math.pi, 1, 1)
    gone = (side.cos() * x + side.sin() * y > uniform(8, 55, 1, 1)) & (uniform(0, 1, 1, 1) < 0.4)
    above, below, left, right = (rim[:, None, None] for rim in uniform(0, 24, 4).unbind(1))
    row, column = torch.arange(HEIGHT)[:, None], torch.arange(WIDTH)
    rim = (row < above) | (row >= HEIGHT - below) | (column < left) | (column >= WIDTH - right)
    gone |= rim & (uniform(0, 1, 1, 1) < 0.4)
    cloud = F.interpolate(torch.randn((count, 1, 8, 7), generator=generator), (HEIGHT, WIDTH), mode="bicubic")[:, 0]
    gone |= (cloud > uniform(0.6, 1.6, 1, 1)) & (uniform(0, 1, 1, 1) < 0.5)
    seen = seen * ~gone[:, None] * uniform(0.7, 1.2, 1, 1, 1)
    seen = seen + torch.randn(seen.shape, generator=generator) * uniform(0, 0.15, 1, 1, 1)
    at = lies[:, :2] - shift
    middle = torch.stack([(c * at[:, 0] + s * at[:, 1]) / zoom, (c * at[:, 1] - s * at[:, 0]) / zoom], 1)
    return seen, middle, lies[:, 2] + angle


def as_seen(ridges: Tensor) -> Tensor:
    return ridges[:, None].float() * (MOST / 127)


@torch.inference_mode()
def measured(network: Aligned, ridges: Tensor, lies: Tensor) -> dict[str, Any]:
    """On the held-out fingers: EER over all pairs, and how far off the middle and the turn are, medians."""
    network.eval()
    rows = torch.arange(HELD * SENSORS * IMPRESSIONS)
    vectors, shifts, turns = [], [], []
    for some in rows.split(64):  # type: ignore[no-untyped-call]
        seen = as_seen(ridges[some])
        shift, turn = network.lie(seen)
        vectors.append(network.embedded(network.straight(seen, shift, turn))[1])
        shifts.append((shift - lies[some, :2]).norm(dim=1))
        angle = torch.atan2(turn[:, 1], turn[:, 0]) - lies[some, 2]
        turns.append(torch.atan2(angle.sin(), angle.cos()).abs())
    embedding = torch.cat(vectors).numpy()
    pairs = all_pairs(rows.numpy() // (SENSORS * IMPRESSIONS))
    scores = (embedding[pairs.a] * embedding[pairs.b]).sum(1)
    found = {
        "EER, %": 100 * eer(scores, pairs.genuine), "middle off, mm": float(torch.cat(shifts).median()) * 25.4 / DPI,
        "turn off, degrees": math.degrees(float(torch.cat(turns).median())),
    }  # fmt: skip
    return {what: round(value, 2) for what, value in found.items()}


def write(network: Aligned, ridges: Tensor, lies: Tensor) -> None:
    """In half precision, which is measured as it is shipped."""
    kept = {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items() if not k.startswith("fc.")}
    content = save({k: v.contiguous() for k, v in kept.items()})
    network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in load(content).items()}, strict=False)
    FIRST.mkdir(exist_ok=True)
    (FIRST / "weights.safetensors").write_bytes(content)
    fingers = f"{PARTS * EACH - HELD:,} fingers and {TWINNED * EACH:,} twins of some"
    card = {
        "name": FIRST.name, "licence": "Apache-2.0",
        "trained_on": f"generated prints only: {SENSORS * IMPRESSIONS} of each of {fingers}, on sensors drawn at random",
        "sha256": hashlib.sha256(content).hexdigest(), "width": NETWORK, "dpi": DPI, "generator": GENERATOR,
        "command": __doc__.splitlines()[3].strip(),
        f"measured on {HELD} other fingers": measured(network, ridges, lies),
    }  # fmt: skip
    (FIRST / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(card, indent=1))


if __name__ == "__main__":
    main()
