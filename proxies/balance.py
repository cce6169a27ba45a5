"""Balance of the experts of P proxies while they train: counts over each whole optimiser batch.

    shares_t = mean of the last steps' shares of the assignments;  loss = its balance with p_t
    b_(t+1)  = b_t + u (sign(mean count - count), centred)     for styles that balance by a bias

b is no weight: it has neither gradient nor decay. The average of b that is evaluated weighs steps
as the average of the weights does. Evaluation counts nothing.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from proxies.config import TrainConfig
from proxies.pace import Pace
from proxies.router import Routing, balance_loss, moved_bias, sequence_balance_loss, z_loss


class Balance:
    """What P proxies know of the load of their L layers of E experts."""

    def __init__(self, config: TrainConfig, proxies: int, device: torch.device) -> None:
        self.config = config
        layers, experts = config.sizes.layers, config.sizes.experts
        self.shares = torch.zeros(layers, proxies, experts, device=device)
        self.bias = torch.zeros_like(self.shares)
        self.average = torch.zeros_like(self.shares)
        self._counts = torch.zeros_like(self.shares)

    def loss(self, routing: Sequence[Routing], sequences: int, pace: Pace) -> Tensor:
        """Auxiliary losses of one step, averaged over layers, (P,); the batch's counts are kept."""
        config = self.config
        self._counts = torch.stack([layer.counts() for layer in routing])
        now = self._counts / self._counts.sum(-1, keepdim=True)
        self.shares.lerp_(now, pace.counted)
        terms = []
        for layer, shares in zip(routing, self.shares, strict=True):
            term = torch.zeros_like(shares[:, 0])
            if config.balance:
                term = term + config.balance * balance_loss(layer.probabilities, shares)
            if config.z_loss:
                term = term + config.z_loss * z_loss(layer.logits)
            if config.sequence_balance:
                term = term + config.sequence_balance * sequence_balance_loss(layer, sequences)
            terms.append(term)
        return torch.stack(terms).mean(0)

    def update(self, pace: Pace) -> None:
        """Move the bias by the counts of the last batch, after the weights have moved."""
        if not self.config.bias_step:
            return
        self.bias.copy_(moved_bias(self.bias, self._counts, pace.bias))
        self.average.lerp_(self.bias, pace.share)

    def biases(self, bias: Tensor) -> dict[str, Tensor]:
        """A bias (L, P, E), or its average, by the names under which the model looks for it."""
        if not self.config.bias_step:
            return {}
        return {f"{index}.moe.selection_bias": own for index, own in enumerate(bias)}

    def tensors(self) -> dict[str, Tensor]:
        """The state with its leading axis P, by the name it has in a checkpoint: views."""
        named = {"expert_shares": self.shares, "bias": self.bias, "bias_average": self.average}
        return {name: tensor.transpose(0, 1) for name, tensor in named.items()}
