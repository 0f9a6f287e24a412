from typing import Any

import pytest
import torch

from fpml import tasks
from fpml.base.errors import FpmlError
from fpml.models import autoencoder, dcgan, embedder, family, family_of, gated, layers, tight
from fpml.models.layers import summary
from fpml.settings.recipe import Model
from fpml.tasks.generate.settings import ModelAdversary
from fpml.tasks.recognise.settings import ModelRecognise
from fpml.tasks.repair.train import repaired

PUBLISHED = Model(widths=[32, 64, 128])
WIDTHS = {"autoencoder": [4, 4, 4], "tight": [4, 8], "gated": [4, 4, 4], "small": [4, 4, 4]}

SIZES = {"small": (28, 28)}


def test_the_published_small_autoencoder_has_its_parameters() -> None:
    network = family("small").build(Model(widths=[16, 8, 8]), 28, 28, 0)
    assert sum(p.numel() for p in network.parameters()) == 4_385
    assert sum(p.numel() for p in network.encoder.parameters()) == 1_904
    assert network.encoder(torch.zeros(1, 1, 28, 28)).shape == (1, 128)
    with pytest.raises(FpmlError, match="made for 28 x 28"):
        family("small").build(Model(widths=[16, 8, 8]), 32, 32, 0)


def test_the_published_autoencoder_has_its_parameters() -> None:
    network = family("autoencoder").build(PUBLISHED, 224, 224, 0)
    assert sum(p.numel() for p in network.parameters()) == 314_625
    assert autoencoder.code_size(PUBLISHED, 224, 224) == 401_408
    assert network.encoder(torch.zeros(1, 1, 224, 224)).numel() == 401_408  # type: ignore[operator]


@pytest.mark.parametrize("name", WIDTHS)
def test_output_has_the_shape_and_range_of_the_input(name: str) -> None:
    size = SIZES.get(name, (64, 48))
    network = family(name).build(Model(widths=WIDTHS[name]), *size, 0)
    output = repaired(network, torch.rand(2, 1, *size))[0]
    assert output.shape == (2, 1, *size)
    assert output.min() >= 0
    assert output.max() <= 1


@pytest.mark.parametrize("name", WIDTHS)
def test_the_summary_counts_every_parameter(name: str) -> None:
    size = SIZES.get(name, (32, 40))
    network = family(name).build(Model(widths=WIDTHS[name]), *size, 0)
    rows = summary(network, lambda: network(torch.zeros(1, 1, *size)))
    assert sum(row["parameters"] for row in rows) == sum(p.numel() for p in network.parameters())
    assert rows[0]["type"] == {"tight": "PixelUnshuffle"}.get(name, "Conv2d")
    assert rows[-1]["output"] == [{"gated": 2}.get(name, 1), *size]


def test_the_tight_code_is_an_eighth_of_the_print() -> None:
    model = Model(widths=[4, 8])
    network = tight.build(model, 64, 48, 0)
    assert network.encoder(torch.zeros(1, 1, 64, 48)).numel() == tight.code_size(model, 64, 48) == 64 * 48 // 8
    with pytest.raises(FpmlError, match="at most an eighth"):
        tight.build(Model(widths=[4, 9]), 64, 48, 0)
    for widths, size, says in (([4, 4, 8], (64, 48), "two numbers"), ([4, 8], (60, 48), "multiples of 8")):
        with pytest.raises(FpmlError, match=says):
            tight.build(Model(widths=widths), *size, 0)
    with pytest.raises(FpmlError, match="three numbers"):
        autoencoder.build(Model(widths=[4, 4, 4, 8]), 64, 48, 0)


def test_weights_start_as_keras_starts_them() -> None:
    torch.manual_seed(0)
    layer = family("autoencoder").build(PUBLISHED, 32, 32, 0).encoder[6]  # type: ignore[index]
    limit = (6 / (9 * 64 + 9 * 128)) ** 0.5
    assert layer.weight.abs().max() <= limit
    assert layer.weight.abs().max() > 0.99 * limit
    assert (layer.bias == 0).all()


def test_a_size_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(FpmlError, match="50 x 52"):
        family("autoencoder").build(PUBLISHED, 50, 52, 0)


def test_bytes_are_scaled_inside_the_exported_network() -> None:
    network = family("autoencoder").build(Model(widths=[4, 4, 4]), 32, 32, 0)
    prints = torch.randint(0, 256, (2, 1, 32, 32), dtype=torch.uint8)
    assert torch.allclose(layers.FromBytes(network)(prints), network(prints / 255))


def test_the_folded_upsampling_is_upsampling_then_convolution() -> None:
    layer = layers.UpsampledConv(3, 5)
    maps = torch.randn(2, 3, 7, 6)
    enlarged = torch.nn.functional.interpolate(maps, scale_factor=2, mode="nearest")
    plain = torch.nn.functional.conv2d(enlarged, layer.weight, layer.bias, padding=1)
    assert torch.allclose(layer(maps), plain, atol=1e-5)


def test_gated_repair_leaves_undamaged_pixels_as_they_were() -> None:
    torch.manual_seed(3)
    network = gated.build(Model(widths=[4, 4, 4]), 50, 46, 0).eval()
    prints = torch.rand(3, 1, 50, 46)
    with torch.inference_mode():
        network.heads.weight.mul_(300)  # so that some pixels are sure and some are not
        repaired, damage = network(prints)
    sure = damage > gated.SURE
    assert sure.any()
    assert not sure.all()
    assert torch.equal(repaired[~sure], prints[~sure])
    assert not torch.isclose(repaired[sure], prints[sure]).any()


def test_the_damage_map_learns_the_true_difference() -> None:
    real = torch.rand(2, 1, 24, 24)
    altered = real.clone()
    altered[:, :, 8:16, 8:16] = 1 - altered[:, :, 8:16, 8:16]
    right, wrong = torch.full_like(real, 0.01), torch.full_like(real, 0.99)
    right[:, :, 7:17, 7:17], wrong[:, :, 7:17, 7:17] = 0.99, 0.01

    def loss(repaired: torch.Tensor, damage: torch.Tensor) -> float:
        return float(gated.loss((repaired, damage), altered, real, torch.nn.functional.mse_loss))

    assert loss(real, right) < 0.1 < loss(real, wrong)
    assert loss(real, right) < loss(altered, right)


def test_a_task_trains_its_own_kinds_of_models_only() -> None:
    with pytest.raises(FpmlError, match="'gated' can't be trained to reconstruct; for that: autoencoder, small, tight"):
        family_of("gated", "reconstruct", tasks.kinds("reconstruct"))
    with pytest.raises(FpmlError, match="two to six numbers"):
        gated.build(Model(widths=[4]), 50, 46, 0)
    with pytest.raises(FpmlError, match="too many for prints of 16 x 46"):
        gated.build(Model(widths=[4] * 6), 16, 46, 0)


def generator_settings(**more: Any) -> ModelAdversary:
    settings = {"latent": 100, "generator_width": 64, "discriminator_width": 64, "channels": 3, "condition": "none"}
    return ModelAdversary(**{**settings, "spectral_norm": False, **more})


def test_the_published_dcgan_has_its_shapes_and_parameters() -> None:
    generator = dcgan.build(generator_settings(), 64, 64, 0).eval()
    assert sum(p.numel() for p in generator.parameters()) == 3_576_704
    pictures = generator(torch.randn(2, 100), torch.zeros(2, dtype=torch.int64))
    assert pictures.shape == (2, 3, 64, 64)
    assert 0 <= pictures.min() <= pictures.max() <= 1
    opponent = dcgan.discriminator(generator_settings(), 64, 0)
    assert sum(p.numel() for p in opponent.parameters()) == 2_765_568
    assert opponent(pictures, torch.zeros(2, dtype=torch.int64)).shape == (2,)


@pytest.mark.parametrize("side", [64, 128, 256])
def test_a_generator_of_any_size_listens_to_its_class(side: int) -> None:
    settings = generator_settings(latent=8, generator_width=4, discriminator_width=4, channels=1, spectral_norm=True)
    generator = dcgan.build(settings, side, side, 3).eval()
    latent = torch.randn(1, 8).expand(3, -1)
    pictures = generator(latent, torch.arange(3))
    assert pictures.shape == (3, 1, side, side)
    assert not torch.equal(pictures[0], pictures[1])
    opponent = dcgan.discriminator(settings, side, 3).eval()
    said = opponent(pictures[:1].expand(3, -1, -1, -1), torch.arange(3))
    assert said.unique().numel() == 3
    with pytest.raises(FpmlError, match="makes squares"):
        dcgan.build(settings, side, side // 2, 3)
    with pytest.raises(FpmlError, match="channels is 2"):
        dcgan.build(generator_settings(channels=2), 64, 64, 0)


def test_an_embedding_has_length_one_and_its_size_is_checked() -> None:
    settings = ModelRecognise(blocks=[], width=4, init="none", weights="", synthetic_fingers=2, synthetic_epochs=1)
    logits, embedding = embedder.build(settings, 96, 48, 5)(torch.rand(2, 1, 96, 48))
    assert logits.shape == (2, 5)
    assert embedding.shape == (2, embedder.NUMBERS)
    assert torch.allclose(embedding.norm(dim=1), torch.ones(2))
    with pytest.raises(FpmlError, match="multiples of 48"):
        embedder.build(settings, 100, 48, 5)
