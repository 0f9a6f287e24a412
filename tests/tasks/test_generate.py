import torch
from torch import nn

from fpml.tasks.generate.train import _Pair


def test_the_average_moves_by_its_share_from_the_first_step_on() -> None:
    """And has the generator's own batch statistics."""
    generator = nn.BatchNorm1d(2)
    pair = _Pair(generator, nn.Linear(1, 1), 0.75)
    expected = generator.weight.detach().clone()
    for step in range(3):
        with torch.no_grad():
            generator.weight += 1 + step
        generator(torch.full((4, 2), 5.0 * step) + torch.arange(4)[:, None])
        pair.average.update_parameters(pair.generator)
        expected = 0.75 * expected + 0.25 * generator.weight.detach()
        torch.testing.assert_close(pair.average.module.weight.detach(), expected)
        torch.testing.assert_close(pair.average.module.running_mean, generator.running_mean)
