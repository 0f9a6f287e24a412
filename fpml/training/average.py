"""A network beside the running average of its weights, which is what stands at the end."""

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class Averaged(nn.Module):
    """All that is trained or averaged. share: of the average that stays at each step, 0..1."""

    def __init__(self, network: nn.Module, share: float) -> None:
        super().__init__()
        self.network = network
        self.average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(share), use_buffers=True)  # type: ignore[no-untyped-call]
        self.average.n_averaged += 1  # the first weights are in it: without this the first step would replace them
