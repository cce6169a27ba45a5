"""ODM: a bandit (EXP3) over domains whose reward is the loss (Albalak et al., arXiv:2312.02406).

    eps_t = min(1/K, sqrt(ln K / (K t)))      pi_j = (1 - K eps_t) p_j + eps_t

paper       R_j <- a R_j + (1 - a) l_j / pi_j if j is drawn;   p = softmax(eps_(t-1) R)
published   R_j <- a R_j + (1 - a) exp(l_j);                   p = R / sum R    (their code)
cumulative  R_j <- R_j + l_j / pi_j if j is drawn;             p = softmax(eps_(t-1) R)    (EXP3)

A batch draws many domains at once, so "if j is drawn" is its share of the batch: its expectation is
pi_j, and the estimate stays unbiased. The paper's moving average makes R bounded while eps falls,
so that it tends to equal shares; only the cumulative form concentrates on the best arm.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import ConfigError
from mixopt.online.adaptive import Adaptive
from mixopt.online.base import Feedback

Array = NDArray[np.float64]
Form = Literal["paper", "published", "cumulative"]

_FORMS = ("paper", "published", "cumulative")
_MOST_NATS = 50.0  # exp of more says nothing more


@dataclass
class ODM(Adaptive):
    """Draws more of what is badly predicted.

    >>> from mixopt.online.budget import Budget
    >>> ODM(Budget.of(["web", "law"])).weights()
    array([0.5, 0.5])
    """

    form: Form = "paper"
    memory: float = 0.9
    """a, the weight of the past in the moving averages."""

    kept = ("_rewards", "_time")

    def _begin(self) -> None:
        if self.form not in _FORMS:
            raise ConfigError(f"odm: form must be one of {', '.join(_FORMS)}, got {self.form!r}")
        self._rewards = np.zeros(self.d)
        self._time = 1

    def _wanted(self) -> Array:
        return odm_weights(self._rewards, self._time, self.form)

    def _learn(self, feedback: Feedback) -> None:
        drawn = np.maximum(np.asarray(feedback.drawn) - self._drawn, 0.0)
        share = drawn / drawn.sum() if drawn.sum() > 0 else drawn
        losses = np.where(share > 0, feedback.train_loss, np.nan)
        self._rewards = updated_rewards(
            self._rewards, losses, share, self.weights(), self.form, self.memory
        )
        self._time += 1

    def reasons(self) -> dict[str, Any]:
        """The estimated rewards by domain."""
        return {"rewards": dict(zip(self.budget.names, self._rewards.tolist(), strict=True))}


def odm_weights(rewards: Array, time: int, form: Form) -> Array:
    """pi (K,) at time 1, 2, ...; never below eps, and equal shares at time 1."""
    arms = len(rewards)
    eps = exploration(arms, time)
    if form == "published":
        total = rewards.sum()
        chosen = rewards / total if total > 0 else np.full(arms, 1.0 / arms)
    else:
        scaled = exploration(arms, time - 1) * rewards
        chosen = np.exp(scaled - scaled.max())
        chosen /= chosen.sum()
    return (1.0 - arms * eps) * chosen + eps


def exploration(arms: int, time: int) -> float:
    """eps: the least probability of an arm.

    >>> exploration(2, 1), round(exploration(2, 100), 4)
    (0.5, 0.0589)
    """
    return min(1.0 / arms, float(np.sqrt(np.log(arms) / (arms * max(time, 1)))))


def updated_rewards(
    rewards: Array, losses: Array, share: Array, weights: Array, form: Form, memory: float
) -> Array:
    """Rewards (K,) after a batch: losses (K,), NaN where not drawn; share (K,) of the batch."""
    seen = np.isfinite(losses) & (weights > 0)
    loss = np.where(seen, losses, 0.0)
    if form == "published":
        news = np.exp(np.minimum(loss, _MOST_NATS))
        return np.where(seen, memory * rewards + (1.0 - memory) * news, rewards)
    estimate = np.divide(loss * share, weights, out=np.zeros_like(loss), where=seen)
    if form == "cumulative":
        return rewards + estimate
    return memory * rewards + (1.0 - memory) * estimate
