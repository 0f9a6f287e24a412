import pytest
import torch

from fpml.config import Model
from fpml.errors import FpmlError
from fpml.models import MODELS, autoencoder, layers, summary, tight

PUBLISHED = Model(widths=[32, 64, 128])
WIDTHS = {"autoencoder": [4, 4, 4], "tight": [4, 4, 4, 8]}


def test_the_published_autoencoder_has_its_parameters() -> None:
    network = MODELS["autoencoder"].build(PUBLISHED, 224, 224)
    assert sum(p.numel() for p in network.parameters()) == 314_625
    assert autoencoder.code_size(PUBLISHED, 224, 224) == 401_408
    assert network.encoder(torch.zeros(1, 1, 224, 224)).numel() == 401_408  # type: ignore[operator]


@pytest.mark.parametrize("size", [(32, 32), (64, 48)])
@pytest.mark.parametrize("name", MODELS)
def test_output_has_the_shape_and_range_of_the_input(name: str, size: tuple[int, int]) -> None:
    network = MODELS[name].build(Model(widths=WIDTHS[name]), *size)
    output = network(torch.rand(2, 1, *size))
    assert output.shape == (2, 1, *size)
    assert output.min() >= 0
    assert output.max() <= 1


@pytest.mark.parametrize("name", MODELS)
def test_the_summary_counts_every_parameter(name: str) -> None:
    network = MODELS[name].build(Model(widths=WIDTHS[name]), 32, 40)
    rows = summary(network, 32, 40)
    assert sum(row["parameters"] for row in rows) == sum(p.numel() for p in network.parameters())
    assert rows[0] == {"layer": "encoder.0", "type": "Conv2d", "output": [4, 32, 40], "parameters": 40}
    assert rows[-1]["output"] == [1, 32, 40]


def test_the_tight_code_is_an_eighth_of_the_print() -> None:
    model = Model(widths=[4, 4, 4, 8])
    network = tight.build(model, 64, 48)
    assert network.encoder(torch.zeros(1, 1, 64, 48)).numel() == tight.code_size(model, 64, 48) == 64 * 48 // 8
    with pytest.raises(FpmlError, match="at most an eighth"):
        tight.build(Model(widths=[4, 4, 4, 9]), 64, 48)
    for widths, size, says in (([4, 4, 4], (64, 48), "four numbers"), ([4, 4, 4, 8], (60, 48), "multiples of 8")):
        with pytest.raises(FpmlError, match=says):
            tight.build(Model(widths=widths), *size)
    with pytest.raises(FpmlError, match="three numbers"):
        autoencoder.build(Model(widths=[4, 4, 4, 8]), 64, 48)


def test_weights_start_as_keras_starts_them() -> None:
    torch.manual_seed(0)
    layer = MODELS["autoencoder"].build(PUBLISHED, 32, 32).encoder[6]  # type: ignore[index]
    limit = (6 / (9 * 64 + 9 * 128)) ** 0.5
    assert layer.weight.abs().max() <= limit
    assert layer.weight.abs().max() > 0.99 * limit
    assert (layer.bias == 0).all()


def test_a_size_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(FpmlError, match="50 x 52"):
        MODELS["autoencoder"].build(PUBLISHED, 50, 52)


def test_bytes_are_scaled_inside_the_exported_network() -> None:
    network = MODELS["autoencoder"].build(Model(widths=[4, 4, 4]), 32, 32)
    prints = torch.randint(0, 256, (2, 1, 32, 32), dtype=torch.uint8)
    assert torch.allclose(layers.FromBytes(network)(prints), network(prints / 255))


def test_the_folded_upsampling_is_upsampling_then_convolution() -> None:
    layer = layers.UpsampledConv(3, 5)
    maps = torch.randn(2, 3, 7, 6)
    enlarged = torch.nn.functional.interpolate(maps, scale_factor=2, mode="nearest")
    plain = torch.nn.functional.conv2d(enlarged, layer.weight, layer.bias, padding=1)
    assert torch.allclose(layer(maps), plain, atol=1e-5)
