"""AdamW for P stacked proxies that do not feel each other, and the power average of their weights.

    clip each proxy's gradient to its own norm;  AdamW (arXiv:1711.05101), decay on matrices only
    average_t = average_(t-1) + ((weights_t - average_(t-1)) times 1 - (1 - 1/t)^(gamma + 1))

A proxy whose loss or gradient is no number is dead: nothing of it moves again, and its neighbours
get the same bits as if it were not there. The average weighs step t by t^gamma (Karras et al. 2024,
arXiv:2312.02696): it needs no end of training in view, so any moment can be evaluated.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from proxies.config import TrainConfig

_BETA1 = 0.9
_EPS = 1e-8
_GAINS = ("norm", "gain")


def learning_rate(config: TrainConfig, step: int) -> float:
    """The rate of step 0, 1, ...: linear warm-up, constant, linear to 0 over the last `decay`."""
    rise = (step + 1) / config.warmup_steps if config.warmup_steps else 1.0
    tail = config.decay * config.steps
    fall = (config.steps - step) / tail if tail else 1.0
    return config.learning_rate * min(1.0, rise, fall)


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

    def update(self, gradients: Mapping[str, Tensor], losses: Tensor) -> None:
        """One step of every living proxy; gradients (P, ...) by name are used up, losses (P,)."""
        norms = gradient_norms(gradients)
        self.alive &= torch.isfinite(norms) & torch.isfinite(losses)
        shrink = (norms / self.config.clip).clamp_min(1.0)
        dead = (~self.alive).float()
        rate = learning_rate(self.config, self.step)
        for index in range(len(self.alive)):
            for decay, names in self._groups():
                self._move(index, names, gradients, rate, decay, shrink[index], dead[index])
        self.step += 1
        share = 1.0 - (1.0 - 1.0 / self.step) ** (self.config.average + 1.0)
        for name, average in self.average.items():
            average.lerp_(self.weights[name], share)

    def _groups(self) -> list[tuple[float, list[str]]]:
        """(weight decay, names): matrices decay, gains do not."""
        gains = [name for name in self.weights if name.rpartition(".")[2] in _GAINS]
        matrices = [name for name in self.weights if name not in gains]
        return [(self.config.weight_decay, matrices), (0.0, gains)]

    def _move(
        self,
        index: int,
        names: list[str],
        gradients: Mapping[str, Tensor],
        rate: float,
        decay: float,
        shrink: Tensor,
        dead: Tensor,
    ) -> None:
        """AdamW on some weights of one proxy: gradients / shrink, and nothing at all if dead."""
        steps = torch.full((len(names),), float(self.step), device=dead.device)
        adamw(
            [self.weights[name][index] for name in names],
            [gradients[name][index] for name in names],
            [self.first[name][index] for name in names],
            [self.second[name][index] for name in names],
            [],
            list(steps.unbind()),
            fused=True,
            grad_scale=shrink,
            found_inf=dead,
            amsgrad=False,
            beta1=_BETA1,
            beta2=self.config.beta2,
            lr=rate,
            weight_decay=decay,
            eps=_EPS,
            maximize=False,
        )


def gradient_norms(gradients: Mapping[str, Tensor]) -> Tensor:
    """The gradient norm of each proxy, (P,)."""
    parts = [torch.linalg.vector_norm(one.flatten(1), dim=1) for one in gradients.values()]
    return torch.linalg.vector_norm(torch.stack(parts), dim=0)
