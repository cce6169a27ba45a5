"""The MoE language model of P proxies in one program: every weight has a leading axis P.

    h = embed(tokens);  h += attention(norm(h));  h += experts(norm(h)), L times;  norm(h)

Causal attention with rotary positions (theta 1e4) and normalised queries and keys, RMSNorm, SwiGLU
experts, a head tied to the embeddings, no biases. A batch has N = B T tokens a proxy.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from proxies.config import TrainConfig
from proxies.kernels.experts import routed_experts, slots_on
from proxies.kernels.linear import add_product, product
from proxies.kernels.norm import norm
from proxies.kernels.rope import queries_keys_values, rotation
from proxies.kernels.swiglu import swiglu
from proxies.presets import Sizes
from proxies.router import Routing, route
from proxies.seeds import key
from proxies.styles import STYLES, Style

_ROUTER_SD = 0.02

Weights = Mapping[str, Tensor]
"""Name -> weight; of one proxy, or of P proxies with a leading axis P."""


@dataclass(frozen=True)
class Output:
    """What the model makes of a batch."""

    hidden: Tensor
    """(P, N, D), ready for the head."""
    routing: tuple[Routing, ...]
    """One for each layer."""


def shapes(
    sizes: Sizes, vocabulary: int, style: Style = STYLES["default"]
) -> dict[str, tuple[int, ...]]:
    """The shape of each weight of one proxy; matrices are (in, out)."""
    width, experts, hidden = sizes.width, sizes.experts, sizes.hidden
    layer = {
        "attention.norm": (width,),
        "attention.qkv": (width, 3 * width),
        "attention.gain": (2, sizes.head_width),
        "attention.out": (width, width),
        "moe.norm": (width,),
        "moe.router": (width, experts),
        "moe.in": (experts, width, 2 * hidden),
        "moe.out": (experts, hidden, width),
    }
    if style.router_bias:
        layer["moe.router_bias"] = (experts,)
    if sizes.shared:
        layer["moe.shared_in"] = (width, 2 * hidden * sizes.shared)
        layer["moe.shared_out"] = (hidden * sizes.shared, width)
    named = {
        f"{index}.{name}": shape for index in range(sizes.layers) for name, shape in layer.items()
    }
    return {"embedding": (vocabulary, width), **named, "norm": (width,)}


def initial(config: TrainConfig, seed: int) -> dict[str, Tensor]:
    """First weights of one proxy, the same in every swarm.

    Each weight has a generator of its own, seeded by (seed, name): neither the neighbours nor, for
    attention, the number of experts change it. Matrices have sd init_scale / sqrt(fan in), those
    that write to the residual stream a further 1 / sqrt(2 L), all cut at 3 sd.
    """
    weights = {}
    for name, shape in shapes(config.sizes, config.vocabulary, config.style).items():
        sd = _initial_sd(name, shape, config)
        if sd is None:
            zero = name.endswith("router_bias")
            weights[name] = torch.zeros(shape) if zero else torch.ones(shape)
            continue
        generator = torch.Generator().manual_seed(key(seed, "weights", name))
        weights[name] = torch.empty(shape)
        torch.nn.init.trunc_normal_(weights[name], std=sd, a=-3 * sd, b=3 * sd, generator=generator)
    return weights


def stack(members: Sequence[Weights], device: torch.device) -> dict[str, Tensor]:
    """The weights of P proxies side by side, (P, ...)."""
    return {name: torch.stack([one[name] for one in members]).to(device) for name in members[0]}


def forward(weights: Weights, config: TrainConfig, tokens: Tensor) -> Output:
    """Run P proxies on tokens (P, B, T) int64; beside weights there may be biases (`Balance`)."""
    sizes = config.sizes
    turn = rotation(tokens.shape[2], sizes.head_width, tokens.device)
    x = _embed(tokens.flatten(1), weights["embedding"], config.embedding_scale)
    routing = []
    for index in range(sizes.layers):
        layer = {
            name.removeprefix(f"{index}."): weight
            for name, weight in weights.items()
            if name.startswith(f"{index}.")
        }
        x = _attention(x, layer, tokens.shape[1], sizes.heads, turn)
        x, routed = _moe(x, layer, sizes.active, config.style)
        routing.append(routed)
    return Output(norm(x, weights["norm"]), tuple(routing))


def _embed(tokens: Tensor, embedding: Tensor, scale: float) -> Tensor:
    """Look up (P, N) tokens in (P, V, D), with rms 1 at the start."""
    proxies, vocabulary, width = embedding.shape
    offsets = torch.arange(0, proxies * vocabulary, vocabulary, device=tokens.device).unsqueeze(1)
    rows = functional.embedding(tokens + offsets, embedding.view(-1, width))
    return rows * (math.sqrt(width) / scale)


def _attention(x: Tensor, layer: Weights, sequences: int, heads: int, turn: Tensor) -> Tensor:
    """x + attention(norm(x)), (P, N, D)."""
    proxies, count, width = x.shape
    split = (proxies, sequences, count // sequences, 3, heads, width // heads)
    qkv = product(norm(x, layer["attention.norm"]), layer["attention.qkv"]).view(split)
    q, k, v = queries_keys_values(qkv, layer["attention.gain"], turn)
    mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    return add_product(x, mixed.transpose(1, 2).reshape(x.shape), layer["attention.out"])


def _moe(x: Tensor, layer: Weights, active: int, style: Style) -> tuple[Tensor, Routing]:
    """x + shared(norm(x)) + routed(norm(x)), (P, N, D), and where the tokens went."""
    u = norm(x, layer["moe.norm"])
    biases = (layer.get("moe.router_bias"), layer.get("moe.selection_bias"))
    routing = route(u, layer["moe.router"], active, style, *biases)
    slots = slots_on(u.device, u.shape[1], active, layer["moe.in"].shape[1])
    weights = layer["moe.in"], layer["moe.out"]
    out = x + routed_experts(u, routing.gates, routing.experts, *weights, slots)
    if "moe.shared_in" in layer:
        inner = swiglu(product(u, layer["moe.shared_in"]))
        out = add_product(out, inner, layer["moe.shared_out"])
    return out, routing


def _initial_sd(name: str, shape: tuple[int, ...], config: TrainConfig) -> float | None:
    """The sd of a weight before training; None for gains, which start at 1, and biases, at 0."""
    kind = name.rpartition(".")[2]
    if kind in ("norm", "gain", "router_bias"):
        return None
    if kind == "router":  # never 0: equal logits would send every token to the same experts
        return _ROUTER_SD
    if kind == "embedding":
        return config.embedding_scale / math.sqrt(shape[1])
    residual = math.sqrt(2 * config.sizes.layers) if kind in ("out", "shared_out") else 1.0
    return config.init_scale / (math.sqrt(shape[-2]) * residual)
