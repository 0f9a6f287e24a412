"""Train the judge anew, from generated prints alone (about twenty minutes on two cores, four of them for the prints):

fpml synth --out judge-prints --fingers 600 --impressions 3 --sensor fvc2002-db1 fvc2002-db2 fvc2002-db3 socofing --seed 11
python docs/scripts/make_judge.py judge-prints

It writes fpml/shipped/judge-2. A judge that differs gets another number: scores by one are no
scores by another."""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor, nn

from fpml.base.progress import progress
from fpml.data.pictures import read_grey
from fpml.metrics.judge import FOLDER, NUMBERS, VERSION, JudgeNetwork, as_seen
from fpml.metrics.verification import all_pairs, eer
from fpml.synth.field import CLASS_SHARES
from fpml.tasks.recognise.settings import TrainRecognise
from fpml.tasks.recognise.train import augmented
from fpml.training.batches import Draws

WIDTH, EPOCHS, BATCH, SEED, HELD = 32, 25, 64, 1, 60  # HELD: fingers that are measured on
AUGMENT = TrainRecognise(
    seed=SEED, epochs=EPOCHS, batch_size=BATCH, learning_rate=2e-3, schedule="cosine", fc_penalty=0.0, flips=False, crops=0.15,
    turns=20.0, distortion=0.03, start_from="",
)  # fmt: skip


class Learner(nn.Module):
    """The judge with a class for each finger and for each pattern beside it, for training only."""

    def __init__(self, fingers: int, patterns: int) -> None:
        super().__init__()
        self.judge = JudgeNetwork(WIDTH)
        self.pattern = nn.Linear(NUMBERS, patterns)
        self.fingers = nn.Parameter(torch.randn(fingers, NUMBERS))

    def forward(self, prints: Tensor) -> tuple[Tensor, Tensor]:
        embedding = self.judge(prints)
        return 16 * F.linear(embedding, F.normalize(self.fingers)), self.pattern(embedding)


def load(folder: Path) -> tuple[Tensor, pd.DataFrame]:
    table = pd.read_parquet(folder / "truth" / "impressions")
    prints = []
    for file in progress(table["file"], "read", len(table), "prints"):
        grey = torch.from_numpy(read_grey(folder / file, 10**8).copy())[None, None].float() / 255
        prints.append(as_seen(grey))
    return torch.cat(prints), table


def main() -> None:
    prints, table = load(Path(sys.argv[1]))
    patterns = list(CLASS_SHARES)
    finger, pattern = table["finger"].to_numpy() - 1, table["pattern"].map(patterns.index).to_numpy()
    held = finger >= finger.max() + 1 - HELD
    rows = np.flatnonzero(~held)
    torch.manual_seed(SEED)
    learner = Learner(int(finger[rows].max()) + 1, len(patterns))
    optimiser = torch.optim.Adam(learner.parameters(), AUGMENT.learning_rate)
    fingers, classes = torch.from_numpy(finger), torch.from_numpy(pattern)
    for epoch in range(EPOCHS):
        for group in optimiser.param_groups:
            group["lr"] = AUGMENT.learning_rate * 0.5 * (1 + np.cos(np.pi * epoch / EPOCHS))
        learner.train()
        order = torch.from_numpy(np.random.default_rng(epoch).permutation(rows))
        total = 0.0
        for start in range(0, len(order) - 1, BATCH):
            here = order[start : start + BATCH]
            generator = torch.Generator().manual_seed(epoch * 100_003 + start)
            draws = Draws(generator, len(here), torch.arange(len(here)), prints.device)
            seen = augmented(prints[here], AUGMENT, draws)
            said, kind = learner(seen)
            loss = F.cross_entropy(said, fingers[here]) + F.cross_entropy(kind, classes[here])
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            total += float(loss.detach()) * len(here)
        print(f"epoch {epoch + 1}/{EPOCHS}: loss {total / len(order):.4f}", flush=True)
    measure_and_write(learner.judge.eval(), prints[held], table[held])


@torch.inference_mode()
def measure_and_write(judge: JudgeNetwork, prints: Tensor, table: pd.DataFrame) -> None:
    weights = {k: v.half() if v.is_floating_point() else v for k, v in judge.state_dict().items()}
    judge.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in weights.items()})
    embedding = judge(prints)
    measured: dict[str, Any] = {"prints": len(prints), "eer": {}}
    for sensor, part in table.reset_index(drop=True).groupby("sensor"):
        rows = part.index.to_numpy()
        pairs = all_pairs(part["finger"].to_numpy())
        vectors = embedding.numpy()[rows]
        measured["eer"][str(sensor)] = eer((vectors[pairs.a] * vectors[pairs.b]).sum(1), pairs.genuine)
    content = save({k: v.contiguous() for k, v in weights.items()})
    (FOLDER / "weights.safetensors").write_bytes(content)
    card = {
        "name": VERSION, "licence": "Apache-2.0",
        "trained_on": f"generated prints only: those of the first command, but for {HELD} fingers",
        "sha256": hashlib.sha256(content).hexdigest(), "width": WIDTH,
        "command": __doc__.splitlines()[2:4], "measured on held-out fingers": measured,
    }  # fmt: skip
    (FOLDER / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main()
