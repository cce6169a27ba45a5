"""Routing of P proxies at once: scores of E experts, the top K of them, and losses on the balance.

    logits = x W (+ learned bias);  p = softmax(logits), or s = sigmoid(logits), p = s / sum s
    chosen = top K of p, or of s + b;  g = p or s of the chosen, renormalised or not;  fp32

What differs between families is a `Style`. Balance is counted over the whole batch of a proxy
(arXiv:2501.11873); b is the bias of auxiliary-loss-free balancing (arXiv:2408.15664): it moves the
choice, never a gate.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from proxies.kernels.softmax import softmax
from proxies.styles import STYLES, Style


@dataclass(frozen=True)
class Routing:
    """Where the tokens of P proxies go."""

    logits: Tensor
    """(P, N, E), fp32"""
    probabilities: Tensor
    """(P, N, E), fp32, each row summing to 1."""
    gates: Tensor
    """(P, N, K): of renormalised styles each row sums to 1, or to sqrt(K) where gates grow."""
    experts: Tensor
    """(P, N, K) int64, distinct in a row."""

    def counts(self) -> Tensor:
        """Tokens sent to each expert, (P, E), fp32."""
        return _counts(self.experts.flatten(1), self.probabilities)


def route(
    x: Tensor,
    router: Tensor,
    active: int,
    style: Style = STYLES["default"],
    learned_bias: Tensor | None = None,
    selection_bias: Tensor | None = None,
) -> Routing:
    """Choose `active` experts for each token of x (P, N, D) by router (P, D, E).

    learned_bias (P, E) is added to the logits, selection_bias (P, E) to the scores by which experts
    are chosen.
    """
    logits = torch.bmm(x.float(), router.float())
    if learned_bias is not None:
        logits = logits + learned_bias.float().unsqueeze(1)
    if style.scores == "sigmoid":
        scores = torch.sigmoid(logits)
        probabilities = scores / scores.sum(-1, keepdim=True)
    else:
        scores = probabilities = softmax(logits)
    chosen_by = scores if selection_bias is None else scores + selection_bias.unsqueeze(1)
    experts = torch.topk(chosen_by, active, dim=-1).indices
    gates = scores.gather(-1, experts)
    if style.renormalised:
        gates = gates / gates.sum(-1, keepdim=True)
    if style.gates_grow:
        gates = gates * active**0.5
    return Routing(logits, probabilities, gates, experts)


def balance_loss(probabilities: Tensor, shares: Tensor) -> Tensor:
    """E sum_e shares_e mean(p_e) for each proxy, (P,): 1 at balance, E when one expert has all.

    shares: (P, E) shares of the assignments, summing to 1; only the probabilities (P, N, E) carry
    gradient.
    """
    return probabilities.shape[-1] * (shares * probabilities.mean(1)).sum(-1)


def sequence_balance_loss(routing: Routing, sequences: int) -> Tensor:
    """The balance loss within each of a proxy's B sequences, their mean, (P,)."""
    own = routing.probabilities.unflatten(1, (sequences, -1)).flatten(0, 1)
    counts = _counts(routing.experts.unflatten(1, (sequences, -1)).flatten(0, 1).flatten(1), own)
    shares = counts / counts.sum(-1, keepdim=True)
    return balance_loss(own, shares).unflatten(0, (-1, sequences)).mean(-1)


def z_loss(logits: Tensor) -> Tensor:
    """Mean over tokens of logsumexp(logits)^2 for each proxy, (P,) (ST-MoE, arXiv:2202.08906)."""
    return torch.logsumexp(logits, dim=-1).square().mean(-1)


def moved_bias(bias: Tensor, counts: Tensor, step: float | Tensor) -> Tensor:
    """b + step (sign(mean count - count) less its mean): b (..., E) stays centred.

    counts (..., E) are those of the whole optimiser batch.
    """
    move = torch.sign(counts.mean(-1, keepdim=True) - counts)
    return bias + step * (move - move.mean(-1, keepdim=True))


def _counts(chosen: Tensor, probabilities: Tensor) -> Tensor:
    """How often each of E experts is among `chosen` (P, N K); the type is the probabilities'."""
    zeros = torch.zeros_like(probabilities[:, 0])
    return zeros.scatter_add_(1, chosen, torch.ones_like(chosen, dtype=zeros.dtype))
