import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fpml.synth.field import HEIGHT, WIDTH, Finger, draw_finger, grid, period_map
from fpml.synth.ridges import grow_masters

WINDOW = np.outer(np.hanning(64), np.hanning(64))
FREQUENCY = np.hypot(*np.meshgrid(np.fft.fftfreq(256), np.fft.rfftfreq(256), indexing="ij"))


def test_ridges_have_the_period_that_is_asked_for(fingers: dict[str, Finger], masters: dict[str, torch.Tensor]) -> None:
    """The spectrum's peak in small windows against the map: the truth's periods are those of the picture."""
    ratios = []
    for pattern, finger in fingers.items():
        asked = period_map([finger], *grid(HEIGHT, WIDTH, "cpu"))[0].numpy()
        master = masters[pattern].numpy()
        for top in range(32, 460, 64):
            for left in range(32, 320, 64):
                block = slice(top, top + 64), slice(left, left + 64)
                values = master[block] - master[block].mean()
                power = np.abs(np.fft.rfft2(values * WINDOW, (256, 256))) ** 2 * (FREQUENCY > 1 / 18)
                peak = FREQUENCY[np.unravel_index(power.argmax(), power.shape)]
                near = power * (np.abs(FREQUENCY - peak) < 0.012)
                ratios.append(near.sum() / (near * FREQUENCY).sum() / asked[block].mean())
    assert np.median(ratios) == pytest.approx(1, abs=0.03)
    assert np.quantile(ratios, [0.1, 0.9]) == pytest.approx([1, 1], abs=0.12)


def test_ridges_fill_the_master_without_holes_seams_or_grids(masters: dict[str, torch.Tensor]) -> None:
    together = torch.stack(list(masters.values()))
    assert together.shape == (5, HEIGHT, WIDTH)
    assert together.abs().max() <= 1
    energy = F.avg_pool2d(together[:, None].square(), 16, 8)
    assert energy.amin() > 0.1  # of about 0.6
    power = torch.fft.rfft2(together).abs().square().mean(0)
    frequency = torch.hypot(torch.fft.fftfreq(HEIGHT)[:, None], torch.fft.rfftfreq(WIDTH)[None])
    assert power[frequency > 0.19].sum() < 0.05 * power.sum()  # nothing finer than ridges: no grids
    for axis in (1, 2):  # a seam or a line would differ from its neighbours more than any row or column of ridges does
        steps = together.diff(dim=axis).abs().mean(3 - axis)
        assert steps.amax() < 2 * steps.mean()
        assert together.mean(3 - axis).abs().amax() < 0.6


def test_a_finger_is_the_same_in_any_batch() -> None:
    fingers = [draw_finger(11, n) for n in range(2)]
    with torch.inference_mode():
        together, alone = grow_masters(fingers), grow_masters(fingers[1:])
    assert torch.allclose(together[1], alone[0], atol=1e-3)
    assert not torch.allclose(together[0], together[1], atol=0.5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_grows_the_same_finger() -> None:
    fingers = [draw_finger(11, n) for n in range(3)]
    with torch.inference_mode():
        here, there = grow_masters(fingers), grow_masters(fingers, "cuda").cpu()
    assert ((here > 0) != (there > 0)).float().mean() < 0.01
