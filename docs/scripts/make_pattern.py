"""Train what tells a print's pattern class, from orientation fields of drawn fingers alone (about ten minutes on one core):

    python docs/scripts/make_pattern.py

It writes fpml/shipped/pattern-1. No picture is drawn: fpml/inference/pattern.py gives it the flow that a minutiae model
sees in a print. Fields are turned, moved, scaled, cut to areas of contact, rolled and small, and disturbed as networks err:
smoothly everywhere, wildly in places."""

import hashlib
import json
import math
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from ship_minutiae import halved
from torch import Tensor, nn

from fpml.base.progress import progress
from fpml.inference.pattern import CLASSES, FOLDER, NAME, SIDE, STEP
from fpml.metrics.intervals import wilson
from fpml.models.layers import convolution
from fpml.synth.field import KNOTS, Finger, draw_finger, opening, orientation
from fpml.training.export import Registered, export

FINGERS, HELD, STEPS, BATCH, RATE, SEED = 15_000, 1_500, 2_500, 64, 0.002, 3
DRAWN, APART = 96, 12.0  # places along a field's side, and pixels at 500 dpi from one to the next


def varied(number: int) -> Finger:
    """A finger whose singular points lie further apart, and nearer, than those that prints are generated of."""
    rng = np.random.default_rng([SEED, number])
    pattern, u = CLASSES[number % len(CLASSES)], rng.uniform
    core = np.array([u(-25, 25), u(0, 60)])
    loops: list[np.ndarray] = []
    deltas: list[np.ndarray] = []
    if pattern == "tented-arch":
        loops, deltas = [core], [core + (u(-14, 14), -u(35, 130))]
    elif pattern in ("left-loop", "right-loop"):
        side = 1 if pattern == "left-loop" else -1
        loops, deltas = [core], [core + (side * u(40, 200), -u(30, 210))]
    elif pattern == "whorl":
        half = np.array([rng.normal(0, 22), u(5, 60)])
        loops, deltas = [core + half, core - half], [core + (side * u(55, 200), -u(40, 220)) for side in (-1, 1)]

    def points(of: list[np.ndarray]) -> Any:
        return tuple((float(x), float(y)) for x, y in of)

    finger = replace(
        draw_finger(SEED, number, pattern), loops=points(loops), deltas=points(deltas), opens=(0.0,) * len(loops),
        knots=tuple(tuple(float(v) for v in rng.normal(0, 0.18, KNOTS)) for _ in range(len(loops) + len(deltas))),
        roundness=0.0 if pattern == "tented-arch" else u(0.4, 1.0),
        spiral=float(rng.normal(0, 0.25)) if pattern == "whorl" else 0.0,
        arch=u(0.7, 1.8) if pattern == "arch" else u(0.15, 0.7), arch_top=u(-40, 60), tilt=float(rng.normal(0, 0.08)),
    )  # fmt: skip
    return replace(finger, opens=tuple(opening(finger, loop) for loop in range(len(loops))))


def fields(fingers: list[Finger]) -> Tensor:
    """Cosine and sine of twice the orientation, float16 (B, 2, DRAWN, DRAWN)."""
    at = (torch.arange(DRAWN) - (DRAWN - 1) / 2) * APART
    theta = orientation(fingers, at[None, None, :], -at[None, :, None])
    return torch.stack([(2 * theta).cos(), (2 * theta).sin()], 1).half()


def as_seen(drawn: Tensor, rng: np.random.Generator) -> Tensor:
    """Fields (B, 2, DRAWN, DRAWN) as a network might see them in some print: (B, 3, SIDE, SIDE), as `flow` gives them."""
    count, generator = len(drawn), torch.Generator().manual_seed(int(rng.integers(2**40)))

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, 1, 1, generator=generator)

    def smooth(nodes: int) -> Tensor:
        return F.interpolate(normal(count, 1, nodes, nodes), (SIDE, SIDE), mode="bicubic", align_corners=False)[:, 0]

    at = (torch.arange(SIDE) - (SIDE - 1) / 2) * STEP
    x, y = at[None, None, :].expand(count, SIDE, SIDE), -at[None, :, None].expand(count, SIDE, SIDE)
    turn, scale = math.radians(14) * normal(count, 1, 1), uniform(0.75, 1.3)
    c, s = turn.cos(), turn.sin()
    moved_x, moved_y = x + 35 * normal(count, 1, 1), y + 45 * normal(count, 1, 1)
    on_x, on_y = (c * moved_x + s * moved_y) / scale, (-s * moved_x + c * moved_y) / scale
    whole = DRAWN * APART / 2
    found = F.grid_sample(
        drawn.float(), torch.stack([on_x / whole, -on_y / whole], -1), padding_mode="border", align_corners=False
    )
    wrong = 2 * (turn + uniform(0, 0.25) * smooth(9) + uniform(0, 0.3) * smooth(20))
    wrong = torch.where(smooth(8) > uniform(1.2, 3.5), wrong + 6 * smooth(10), wrong)
    c, s = wrong.cos(), wrong.sin()
    found = torch.stack([found[:, 0] * c - found[:, 1] * s, found[:, 0] * s + found[:, 1] * c], 1)
    half_width, half_height = uniform(95, 300), uniform(120, 320)
    oval = ((x / half_width).square() + (y / half_height).square()).sqrt()
    square = torch.maximum(x.abs() / half_width, y.abs() / half_height)
    edge = torch.where(uniform(0, 1) < 0.6, oval, square)
    skin = (edge + 0.12 * smooth(7) < 1) & ~(smooth(10) + 0.6 * smooth(20) > uniform(1.2, 3.2))
    found = found / found.norm(dim=1, keepdim=True).clamp(min=0.1) * skin[:, None]
    return torch.cat([found, skin[:, None].float()], 1)


def network() -> nn.Sequential:
    return nn.Sequential(
        convolution(3, 24), convolution(24, 48, stride=2), convolution(48, 48), convolution(48, 96, stride=2),
        convolution(96, 96), convolution(96, 96, stride=2), nn.Flatten(), nn.Dropout(0.3), nn.Linear(96 * 36, 128), nn.ReLU(),
        nn.Linear(128, len(CLASSES)),
    )  # fmt: skip


def main() -> None:
    torch.manual_seed(SEED)
    drawn = torch.cat(
        [fields([varied(n) for n in range(k, k + 100)]) for k in progress(range(0, FINGERS, 100), "fields", 150, "")]
    )
    kinds, kept = torch.arange(FINGERS) % len(CLASSES), FINGERS - HELD
    learner = network()
    optimiser = torch.optim.AdamW(learner.parameters(), RATE, weight_decay=0.02)
    for step in progress(range(STEPS), "train", STEPS, "steps"):
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 100) * (0.02 + 0.49 * (1 + math.cos(math.pi * step / STEPS)))
        rng = np.random.default_rng([SEED, step])
        rows = torch.from_numpy(rng.integers(kept, size=BATCH))
        loss = F.cross_entropy(learner.train()(as_seen(drawn[rows], rng)), kinds[rows], label_smoothing=0.05)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    learner.eval()
    with torch.inference_mode():
        said = torch.cat([
            learner(as_seen(drawn[k : k + 100], np.random.default_rng([SEED, STEPS, k]))) for k in range(kept, FINGERS, 100)
        ]).argmax(1)  # fmt: skip
    right = int((said == kinds[kept:]).sum())
    measured = {"fields of drawn fingers": HELD, "right": right / HELD, "interval": wilson(right, HELD)}
    print(measured)
    whole = nn.Sequential(learner, nn.Softmax(1))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export(Registered(whole, {"flow": as_seen(drawn[:2], np.random.default_rng(0))}, ("patterns",)), path)
        content = halved(path.read_bytes())
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "model.onnx").write_bytes(content)
    card = {
        "name": NAME, "licence": "Apache-2.0", "sha256": hashlib.sha256(content).hexdigest(),
        "trained_on": "orientation fields of drawn fingers: nobody's fingers",
        "command": ["python docs/scripts/make_pattern.py"], "classes": CLASSES, "measured": measured,
    }  # fmt: skip
    (FOLDER / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    print(f"{FOLDER}: {len(content):,} bytes")


if __name__ == "__main__":
    main()
