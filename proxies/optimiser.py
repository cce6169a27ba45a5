"""AdamW for P stacked proxies that do not feel each other, and the power average of their weights.

    clip each proxy's gradient to its own norm;  AdamW (arXiv:1711.05101), decay on matrices only
    average_t = average_(t-1) + ((weights_t - average_(t-1)) times 1 - (1 - 1/t)^(gamma + 1))

A proxy whose loss or gradient is no number is dead: nothing of it moves again, and its neighbours
get the same bits as if it were not there. The average weighs step t by t^gamma (Karras et al. 2024,
arXiv:2312.02696): it needs no end of training in view, so any moment can be evaluated.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from proxies.config import TrainConfig
from proxies.pace import Pace, pace

_BETA1 = 0.9
_EPS = 1e-8
_GAINS = ("norm", "gain", "router_bias")


class Optimiser:
    """Moves the weights (P, ...) that it is given, in place."""

    def __init__(self, weights: Mapping[str, Tensor], config: TrainConfig) -> None:
        self.config = config
        self.weights = {name: weight.detach() for name, weight in weights.items()}
        self.first = {name: torch.zeros_like(weight) for name, weight in self.weights.items()}
        self.second = {name: torch.zeros_like(weight) for name, weight in self.weights.items()}
        self.average = {name: weight.clone() for name, weight in self.weights.items()}
        any_weight = next(iter(self.weights.values()))
        self.alive = torch.ones(len(any_weight), dtype=torch.bool, device=any_weight.device)
        self.step = 0
        state = (self.weights, self.first, self.second)
        self._own = {
            names: [[_rows(kind, names, p) for kind in state] for p in range(len(any_weight))]
            for _, names in self._groups()
        }

    def update(self, gradients: Mapping[str, Tensor], losses: Tensor) -> None:
        """One step of every living proxy; gradients (P, ...) by name are used up, losses (P,)."""
        self.move(gradients, losses, pace(self.config, self.step))
        self.step += 1

    def move(self, gradients: Mapping[str, Tensor], losses: Tensor, now: Pace) -> None:
        """`update` at a given pace, which counts no step: all that it changes is on the device."""
        norms = gradient_norms(gradients)
        self.alive &= torch.isfinite(norms) & torch.isfinite(losses)
        shrink = (norms / self.config.clip).clamp_min(1.0).unbind()
        dead = (~self.alive).float().unbind()
        for decay, names in self._groups():
            for p, (weights, first, second) in enumerate(self._own[names]):
                own = _rows(gradients, names, p)
                self._move(weights, own, first, second, now, decay, shrink[p], dead[p])
        for name, average in self.average.items():
            average.lerp_(self.weights[name], now.share)

    def _groups(self) -> list[tuple[float, tuple[str, ...]]]:
        """(weight decay, names): matrices decay, gains do not."""
        gains = tuple(name for name in self.weights if name.rpartition(".")[2] in _GAINS)
        matrices = tuple(name for name in self.weights if name not in gains)
        return [(self.config.weight_decay, matrices), (0.0, gains)]

    def _move(
        self,
        weights: list[Tensor],
        gradients: list[Tensor],
        first: list[Tensor],
        second: list[Tensor],
        now: Pace,
        decay: float,
        shrink: Tensor,
        dead: Tensor,
    ) -> None:
        """AdamW on some weights of one proxy: gradients / shrink, and nothing at all if dead."""
        steps = torch.empty(len(weights), device=dead.device).fill_(now.step)
        adamw(
            weights,
            gradients,
            first,
            second,
            [],
            list(steps.unbind()),
            fused=True,
            grad_scale=shrink,
            found_inf=dead,
            amsgrad=False,
            beta1=_BETA1,
            beta2=self.config.beta2,
            lr=now.rate,
            weight_decay=decay,
            eps=_EPS,
            maximize=False,
        )


def _rows(tensors: Mapping[str, Tensor], names: Sequence[str], p: int) -> list[Tensor]:
    """What of some tensors (P, ...) is proxy p's."""
    return [tensors[name][p] for name in names]


def gradient_norms(gradients: Mapping[str, Tensor]) -> Tensor:
    """The gradient norm of each proxy, (P,)."""
    parts = [torch.linalg.vector_norm(one.flatten(1), dim=1) for one in gradients.values()]
    return torch.linalg.vector_norm(torch.stack(parts), dim=0)
