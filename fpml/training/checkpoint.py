"""Checkpoints that a killed run goes on from: safetensors and json only, moved into place, two kept.

They lie outside every stage's outputs, since DVC deletes those before it runs a stage:
$FPML_STATE/checkpoints/<recipe>-<key>/epoch-00012/{network,optimizer}.safetensors, state.json
"""

import fcntl
import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from fpml.base.files import new_folder

KEPT = 2


class Checkpoints:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One training at a time: a second one of the same settings and data waits for the first."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"another process trains this already; waiting for it ({self.folder}/lock)", file=sys.stderr)
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def save(self, network: nn.Module, optimisers: list[Any], history: list[dict[str, float]]) -> None:
        with new_folder(self.folder / f"epoch-{len(history):05d}") as folder:
            # As bytes, so that a full disk is an OSError like any other.
            weights = {k: v.contiguous() for k, v in network.state_dict().items()}
            (folder / "network.safetensors").write_bytes(to_bytes(weights))
            flat = [_flatten(o.state_dict()) for o in optimisers]
            tensors = {f"{number}/{key}": tensor for number, (each, _) in enumerate(flat) for key, tensor in each.items()}
            (folder / "optimizer.safetensors").write_bytes(to_bytes({**tensors, "rng": torch.get_rng_state()}))
            state = {"history": history, "optimizers": [groups for _, groups in flat], "sha256": _digests(folder)}
            (folder / "state.json").write_text(json.dumps(state), encoding="utf-8")
        for old in self._epochs()[:-KEPT]:
            shutil.rmtree(old)

    def restore(self, network: nn.Module, optimisers: list[Any]) -> list[dict[str, float]]:
        """Load the newest whole checkpoint into network and optimisers; its history, [] where there is none."""
        found = self._newest()
        if found is None:
            return []
        folder, state, weights, tensors = found
        network.load_state_dict(weights)
        torch.set_rng_state(tensors.pop("rng"))
        for number, (optimiser, groups) in enumerate(zip(optimisers, state["optimizers"], strict=True)):
            mine = {k.removeprefix(f"{number}/"): t for k, t in tensors.items() if k.startswith(f"{number}/")}
            optimiser.load_state_dict(_unflatten(mine, groups))
            _lay_as_weights(optimiser)
        history: list[dict[str, float]] = state["history"]
        print(f"going on after epoch {len(history)}, from {folder}", file=sys.stderr)
        return history

    def clear(self) -> None:
        """Remove all but the lock, which others may be waiting for. Done once DVC has the outputs (by evaluate):
        a kill between the last epoch and that moment costs no training."""
        if self.folder.is_dir():  # outputs that came from a cache left none here
            for folder in (p for p in self.folder.iterdir() if p.is_dir()):
                shutil.rmtree(folder)

    def begun(self) -> bool:
        """Whether there is a whole checkpoint to go on from."""
        return self._newest() is not None

    def _newest(self) -> tuple[Path, dict[str, Any], dict[str, Tensor], dict[str, Tensor]] | None:
        """The newest whole checkpoint: its folder, state, weights and the optimisers' tensors."""
        for folder in reversed(self._epochs()):
            try:
                state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
                if state["sha256"] != _digests(folder):
                    raise ValueError("its files are not those that were written")
                weights, tensors = (load_file(folder / f"{n}.safetensors") for n in ("network", "optimizer"))
            except (OSError, ValueError, KeyError) as error:
                print(f"checkpoint {folder} can't be used ({error}); trying the one before it", file=sys.stderr)
                continue
            return folder, state, weights, tensors
        return None

    def _epochs(self) -> list[Path]:
        return sorted(self.folder.glob("epoch-*"))


def _flatten(state: dict[str, Any]) -> tuple[dict[str, Tensor], Any]:
    """An optimiser's state as flat tensors ('0/exp_avg') and its groups as plain json."""
    tensors = {
        f"{number}/{name}": torch.as_tensor(value).contiguous()
        for number, values in state["state"].items()
        for name, value in values.items()
    }
    return tensors, state["param_groups"]


def _unflatten(tensors: dict[str, Tensor], groups: Any) -> dict[str, Any]:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, name = key.split("/")
        state.setdefault(int(number), {})[name] = value
    return {"state": state, "param_groups": groups}


def _lay_as_weights(optimiser: Any) -> None:
    """What an optimiser knows of a weight, in that weight's order of memory: a fused step takes it for granted, and a file does
    not keep it."""
    for weight, known in optimiser.state.items():
        for name, value in known.items():
            if value.shape == weight.shape:
                known[name] = torch.empty_like(weight, dtype=value.dtype).copy_(value)


def _digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.glob("*.safetensors"))}
