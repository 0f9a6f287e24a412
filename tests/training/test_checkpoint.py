import multiprocessing
from pathlib import Path

import torch
from torch import nn

from fpml.training.checkpoint import KEPT, Checkpoints


def trained(steps: int) -> tuple[nn.Module, list[torch.optim.Optimizer]]:
    torch.manual_seed(1)
    network = nn.Linear(3, 2)
    optimiser = torch.optim.RMSprop(network.parameters(), 0.01)
    for _ in range(steps):
        network(torch.ones(4, 3)).square().mean().backward()
        optimiser.step()
        optimiser.zero_grad()
    return network, [optimiser]


def history(epochs: int) -> list[dict[str, float]]:
    return [{"epoch": e, "train/loss": 1 / e} for e in range(1, epochs + 1)]


def test_weights_optimiser_and_rng_come_back(tmp_path: Path) -> None:
    network, optimisers = trained(3)
    Checkpoints(tmp_path).save(network, optimisers, history(3))
    after = torch.rand(2)
    other, others = trained(0)
    torch.manual_seed(5)
    assert Checkpoints(tmp_path).restore(other, others) == history(3)
    assert torch.equal(torch.rand(2), after)
    for a, b in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(optimisers[0].state[a]["square_avg"], others[0].state[b]["square_avg"])


def test_a_fused_step_goes_on_with_weights_in_another_order_of_memory(tmp_path: Path) -> None:
    def made() -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(1)
        network = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network, torch.optim.Adam(network.parameters(), 0.01, fused=True)

    def stepped(network: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        picture = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(2))
        network(picture.contiguous(memory_format=torch.channels_last)).square().mean().backward()
        optimiser.step()
        optimiser.zero_grad()

    network, optimiser = made()
    stepped(network, optimiser)
    Checkpoints(tmp_path).save(network, [optimiser], history(1))
    stepped(network, optimiser)
    other, another = made()
    Checkpoints(tmp_path).restore(other, [another])
    stepped(other, another)
    for a, b in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_two_are_kept_and_none_after_clear(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    for epochs in range(1, 5):
        checkpoints.save(*trained(1), history(epochs))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["epoch-00003", "epoch-00004"]
    assert KEPT == 2
    checkpoints.clear()
    assert checkpoints.restore(*trained(0)) == []


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path: Path) -> None:
    for epochs in (1, 2):
        Checkpoints(tmp_path).save(*trained(epochs), history(epochs))
    weights = tmp_path / "epoch-00002" / "network.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1  # one bit in one weight: still a readable file
    weights.write_bytes(content)
    network, optimisers = trained(0)
    assert len(Checkpoints(tmp_path).restore(network, optimisers)) == 1
    assert torch.equal(network.weight, trained(1)[0].weight)  # type: ignore[arg-type]


def test_only_safetensors_and_json(tmp_path: Path) -> None:
    Checkpoints(tmp_path).save(*trained(1), history(1))
    assert {p.suffix for p in (tmp_path / "epoch-00001").iterdir()} == {".safetensors", ".json"}


def _hold(folder: Path, held: "multiprocessing.synchronize.Event", release: "multiprocessing.synchronize.Event") -> None:
    with Checkpoints(folder).lock():
        held.set()
        release.wait(60)


def test_a_second_training_waits(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    held, release, held_too = spawn.Event(), spawn.Event(), spawn.Event()
    first = spawn.Process(target=_hold, args=(tmp_path, held, release))
    second = spawn.Process(target=_hold, args=(tmp_path, held_too, release))
    first.start()
    assert held.wait(60)
    second.start()
    assert not held_too.wait(3)
    release.set()
    assert held_too.wait(60)
    first.join(60)
    second.join(60)
    assert first.exitcode == second.exitcode == 0
