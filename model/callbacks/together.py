"""Training by several processes.

fastai's own callback for it repeats samples where a batch does not part evenly, and needs GPUs.
"""

import torch
from fastai.callback.core import Callback
from torch import Tensor, nn
from torch.distributed import all_gather, broadcast
from torch.nn.parallel import DistributedDataParallel

from utils.ranks import own_rank, rank_count


class TrainTogether(Callback):
    """Each process computes a part of every batch; losses, gradients and metrics are those of the whole.

    The loaders give each process its own part. Batch norm sees the whole batch on GPUs and the own part on CPUs.
    """

    order = 11  # after the network is where it computes, before Recorder reads the metrics

    def before_fit(self) -> None:
        """Have each backward pass average the gradients of all processes."""
        network = self.learn.model
        if torch.cuda.is_available():
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        # buffers are shared before validation, where processes may have different numbers of batches; a static graph
        # bears parameters that no output depends on, as those of the deepest layers in PSPNet
        self.learn.model = DistributedDataParallel(network, forward_sync_buffers=False, static_graph=True)

    def after_pred(self) -> None:
        """Show the loss, which may be of a batch as a whole, the whole batch."""
        if self.training:
            self.learn.pred = WholeBatch.apply(self.pred)
            self.learn.yb = tuple(_gather(each) for each in self.yb)

    def before_validate(self) -> None:
        """Validate one network: where batch norm saw parts, that of rank 0."""
        for buffer in self.learn.model.buffers():
            broadcast(buffer, src=0)

    def after_validate(self) -> None:
        """Have losses and metrics count what all processes have seen."""
        for metric in (self.learn.recorder.loss, *self.learn.metrics):
            metric.pool()

    def after_fit(self) -> None:
        """Leave the network as it was."""
        self.learn.model = self.learn.model.module


class WholeBatch(torch.autograd.Function):
    """The outputs (n, ...) of all processes, in the order of ranks, as (count * n, ...).

    Each process goes back from the whole loss to its own part; as gradients are averaged over the processes afterwards,
    that of a part is multiplied with their number.
    """

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, part: Tensor) -> Tensor:
        """Gather the parts."""
        return _gather(part)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:
        """The gradient of the own part."""
        return gradient.chunk(rank_count())[own_rank()] * rank_count()


def _gather(part: Tensor) -> Tensor:
    part = part.detach().as_subclass(Tensor).contiguous()
    parts = [torch.empty_like(part) for _ in range(rank_count())]
    all_gather(parts, part)
    return torch.cat(parts)
