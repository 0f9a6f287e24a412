import numpy as np
import pytest
import torch

from fpml.base.errors import FpmlError
from fpml.synth.field import draw_finger
from fpml.synth.generate import generate, pick_device, prints_of
from fpml.synth.sensors import SENSORS


def test_arrays_in_memory() -> None:
    prints = generate(fingers=2, impressions=3, sensor="fvc2002-db3", seed=7, pattern="whorl")
    assert prints.pictures.shape == prints.masks.shape == (6, 300, 300)
    assert (prints.pictures.dtype, prints.masks.dtype) == (np.uint8, bool)
    assert prints.orientation.shape == prints.period.shape == (6, 38, 38)
    assert (prints.orientation >= 0).all()
    assert (prints.orientation <= np.pi).all()
    assert [f.number for f in prints.fingers] == [1, 1, 1, 2, 2, 2]
    assert {f.pattern for f in prints.fingers} == {"whorl"}
    assert prints.impressions == [1, 2, 3, 1, 2, 3]
    assert all(len(m) for m in prints.minutiae)
    again = generate(fingers=2, impressions=3, sensor="fvc2002-db3", seed=7, pattern="whorl")
    assert np.array_equal(prints.pictures, again.pictures)


def test_prints_come_without_changing_how_torch_works_for_others() -> None:
    parts = prints_of([draw_finger(1, 1)], 2, [SENSORS["socofing"]], "fvc", torch.device("cpu"))
    next(parts)
    assert not torch.is_inference_mode_enabled()


def test_what_makes_no_prints() -> None:
    for wrong in ({"fingers": 2.5}, {"seed": None}, {"fingers": 0}, {"impressions": 0}, {"seed": -1}, {"fingers": 10**9}):
        with pytest.raises(FpmlError, match="there can be 1 to"):
            generate(**wrong)
    with pytest.raises(FpmlError, match="unknown condition 'frozen'; allowed: fvc, normal"):
        generate(1, 1, condition="frozen")
    with pytest.raises(FpmlError, match="unknown pattern class"):
        generate(1, 1, pattern="spiral")
    with pytest.raises(FpmlError, match="unknown sensor"):
        generate(1, 1, "camera")
    with pytest.raises(FpmlError, match="unknown device 'gpu'"):
        generate(1, 1, device="gpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_a_gpu_that_is_not_there() -> None:
    with pytest.raises(FpmlError, match="no CUDA device"):
        pick_device("cuda")
    assert pick_device("auto").type == "cpu"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_makes_the_same_prints() -> None:
    for sensor in ("fvc2002-db2", "thermal-sweep", "low-cost", "socofing"):
        here, there = (generate(20, 8, sensor, 7, device=d) for d in ("cpu", "cuda"))
        gap = np.abs(here.pictures.astype(int) - there.pictures.astype(int))
        assert (gap > 8).mean() < 0.01
        assert (here.masks != there.masks).mean() < 0.01
        assert np.allclose(here.period, there.period, rtol=1e-3)
        counts = np.array([[len(m) for m in p.minutiae] for p in (here, there)])
        assert np.abs(counts[0] - counts[1]).mean() < 0.5
