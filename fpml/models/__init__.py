"""The networks: one family a file, its loss beside it. MODELS is the table of them."""

from collections.abc import Callable

from torch import nn

from fpml.models import autoencoder

# model name in params.yaml → how to build it from (recipe.model, height, width)
MODELS: dict[str, Callable[..., nn.Module]] = {"autoencoder": autoencoder.build}
