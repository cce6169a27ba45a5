"""Routing of P proxies at once: softmax over E experts, the top K of them, and their balance.

    logits = x W;  p = softmax(logits);  g = p of the top K, renormalised;  fp32

Balance is counted over the whole batch of a proxy (arXiv:2501.11873).
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Routing:
    """Where the tokens of P proxies go."""

    logits: Tensor
    """(P, N, E), fp32"""
    probabilities: Tensor
    """(P, N, E), fp32"""
    gates: Tensor
    """(P, N, K), each row summing to 1."""
    experts: Tensor
    """(P, N, K) int64, distinct in a row."""

    def counts(self) -> Tensor:
        """Tokens sent to each expert, (P, E), fp32."""
        chosen = self.experts.flatten(1)
        zeros = torch.zeros_like(self.probabilities[:, 0])
        return zeros.scatter_add_(1, chosen, torch.ones_like(chosen, dtype=zeros.dtype))


def route(x: Tensor, router: Tensor, active: int) -> Routing:
    """Choose `active` experts for each token of x (P, N, D) by router (P, D, E)."""
    logits = torch.bmm(x.float(), router.float())
    probabilities = torch.softmax(logits, dim=-1)
    top, experts = torch.topk(probabilities, active, dim=-1)
    return Routing(logits, probabilities, top / top.sum(-1, keepdim=True), experts)


def balance_loss(probabilities: Tensor, shares: Tensor) -> Tensor:
    """E sum_e shares_e mean(p_e) for each proxy, (P,): 1 at balance, E when one expert has all.

    shares: (P, E) shares of the assignments, summing to 1; only the probabilities (P, N, E) carry
    gradient.
    """
    return probabilities.shape[-1] * (shares * probabilities.mean(1)).sum(-1)


def z_loss(logits: Tensor) -> Tensor:
    """Mean over tokens of logsumexp(logits)^2 for each proxy, (P,) (ST-MoE, arXiv:2202.08906)."""
    return torch.logsumexp(logits, dim=-1).square().mean(-1)
