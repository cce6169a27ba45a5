"""The plain eager model that `swarm.py` compares with: what one writes with torch.nn.

The same architecture, loss, clipping, AdamW and averaged weights as `proxies/`, in the ordinary
way: experts in a loop over the tokens of each, torch's cross-entropy, norms and AdamW.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from proxies.config import TrainConfig
from proxies.pace import learning_rate
from proxies.presets import Sizes

_EPS = 1e-6


class Attention(nn.Module):
    """Causal attention with normalised queries and keys, and rotary positions."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.heads = sizes.heads
        self.norm = nn.RMSNorm(sizes.width, eps=_EPS)
        self.qkv = nn.Linear(sizes.width, 3 * sizes.width, bias=False)
        self.q_norm = nn.RMSNorm(sizes.head_width, eps=_EPS)
        self.k_norm = nn.RMSNorm(sizes.head_width, eps=_EPS)
        self.out = nn.Linear(sizes.width, sizes.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """x (B, T, D)."""
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.qkv(self.norm(x)).chunk(3, dim=-1)
        )
        q, k = rotated(self.q_norm(q), cos, sin), rotated(self.k_norm(k), cos, sin)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Experts(nn.Module):
    """Routed SwiGLU experts in a loop, and a shared one; keeps what the auxiliary losses need."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.active = sizes.active
        self.norm = nn.RMSNorm(sizes.width, eps=_EPS)
        self.router = nn.Linear(sizes.width, sizes.experts, bias=False)
        self.w_in = nn.Parameter(torch.empty(sizes.experts, sizes.width, 2 * sizes.hidden))
        self.w_out = nn.Parameter(torch.empty(sizes.experts, sizes.hidden, sizes.width))
        shared = sizes.hidden * sizes.shared
        self.shared_in = nn.Linear(sizes.width, 2 * shared, bias=False)
        self.shared_out = nn.Linear(shared, sizes.width, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x (B, T, D) -> its change, the balancing loss and the z-loss."""
        u = self.norm(x).flatten(0, 1)
        logits = self.router(u)
        probabilities = torch.softmax(logits, dim=-1)
        top, chosen = torch.topk(probabilities, self.active, dim=-1)
        gates = top / top.sum(-1, keepdim=True)
        out = torch.zeros_like(u)
        counts = []
        weights = zip(self.w_in.unbind(), self.w_out.unbind(), strict=True)
        for expert, (w_in, w_out) in enumerate(weights):
            token, slot = torch.where(chosen == expert)
            counts.append(len(token))
            inner = swiglu(u[token] @ w_in)
            out.index_add_(0, token, inner @ w_out * gates[token, slot].unsqueeze(-1))
        out = out + self.shared_out(swiglu(self.shared_in(u)))
        shares = torch.tensor(counts) / sum(counts)
        balance = len(counts) * (shares * probabilities.mean(0)).sum()
        return out.view_as(x), balance, torch.logsumexp(logits, -1).square().mean()


class PlainModel(nn.Module):
    """One proxy."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        sizes = config.sizes
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, sizes.width)
        self.attention = nn.ModuleList(Attention(sizes) for _ in range(sizes.layers))
        self.experts = nn.ModuleList(Experts(sizes) for _ in range(sizes.layers))
        self.norm = nn.RMSNorm(sizes.width, eps=_EPS)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.trunc_normal_(parameter, std=parameter.shape[-1] ** -0.5)
        rates = 1e4 ** (-torch.arange(0, sizes.head_width, 2) / sizes.head_width)
        angles = torch.arange(sizes.context).unsqueeze(1) * rates
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, tokens: Tensor) -> Tensor:
        """The training loss of (B, T + 1) tokens."""
        x = self.embedding(tokens[:, :-1]) * math.sqrt(self.config.sizes.width)
        extra = torch.zeros(())
        for attention, experts in zip(self.attention, self.experts, strict=True):
            x = x + attention(x, self.cos, self.sin)
            change, balance, z = experts(x)
            x = x + change
            extra = extra + self.config.balance * balance + self.config.z_loss * z
        logits = functional.linear(self.norm(x), self.embedding.weight)
        loss = functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        return loss + extra / len(self.experts)


class PlainTrainer:
    """Trains one plain model, a step at a time."""

    def __init__(self, config: TrainConfig, seed: int) -> None:
        torch.manual_seed(seed)
        self.config = config
        self.model = PlainModel(config)
        self.average = [parameter.detach().clone() for parameter in self.model.parameters()]
        matrices = [p for p in self.model.parameters() if p.dim() > 1]
        gains = [p for p in self.model.parameters() if p.dim() == 1]
        self.optimiser = torch.optim.AdamW(
            [{"params": matrices}, {"params": gains, "weight_decay": 0.0}],
            betas=(0.9, config.beta2),
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.step = 0

    def advance(self, tokens: Tensor) -> None:
        """One optimiser step on (B, T + 1) tokens."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.config, self.step)
        self.optimiser.zero_grad()
        self.model(tokens).backward()
        parameters = list(self.model.parameters())
        nn.utils.clip_grad_norm_(parameters, self.config.clip)
        self.optimiser.step()
        self.step += 1
        share = 1.0 - (1.0 - 1.0 / self.step) ** (self.config.average + 1.0)
        for average, parameter in zip(self.average, parameters, strict=True):
            average.lerp_(parameter.detach(), share)


def swiglu(hidden: Tensor) -> Tensor:
    """silu(gate) * up of hidden = gate | up."""
    gate, up = hidden.chunk(2, dim=-1)
    return functional.silu(gate) * up


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions of x (B, H, T, d_head), the first half of a head with the second."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
