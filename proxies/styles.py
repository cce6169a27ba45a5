"""Styles: how a family of MoE models scores experts, gates them and keeps them balanced.

    softmax   p = softmax(x W);  the top K of p;  g = p, or renormalised to sum to 1
    sigmoid   s = sigmoid(x W);  the top K of s + b;  g = sqrt(K) s, renormalised
    b is no weight: after each step it rises for experts with fewer tokens than the mean

olmoe (arXiv:2409.02060), qwen3 (arXiv:2505.09388), deepseek (V3, arXiv:2412.19437; b of
arXiv:2408.15664, with centred updates), gptoss (a learned bias of the logits; its softmax over the
kept logits is the renormalised one). sqrt(K) gives the routed sum the size of one expert at the
start. A style is the router's: the clamped SwiGLU, the expert biases and the attention sinks of
gpt-oss, and DeepSeek's groups of experts, are not in it.
"""

from dataclasses import dataclass, replace
from typing import Literal

from proxies.presets import Sizes


@dataclass(frozen=True)
class Style:
    """One family's router, gates and balancing; the defaults are those of `default`."""

    scores: Literal["softmax", "sigmoid"] = "softmax"
    renormalised: bool = True
    """Whether the gates of a token are divided by their sum."""
    gates_grow: bool = False
    """Whether gates are multiplied by sqrt(K)."""
    router_bias: bool = False
    """Whether the logits have a learned bias."""
    shared: bool = True
    """Whether the family has shared experts, which every token visits."""
    balance: float = 1e-2
    """Coefficient of the load-balancing loss over the batch."""
    sequence_balance: float = 0.0
    """Coefficient of the same loss within each sequence."""
    z_loss: float = 1e-3
    """Coefficient of the router's z-loss; 0 for sigmoid scores, which a shift changes."""
    bias_step: float = 0.0
    """Size of a step of b; 0 for none."""

    def sized(self, sizes: Sizes) -> Sizes:
        """A preset as this style has it: without shared experts, as many more are routed to, so
        that the active parameters stay (but for none of the router's).

        >>> from proxies.presets import PRESETS
        >>> olmoe = STYLES["olmoe"].sized(PRESETS["pico"])
        >>> olmoe.shared, olmoe.active, PRESETS["pico"].active
        (0, 5, 4)
        """
        if self.shared:
            return sizes
        return replace(sizes, active=sizes.active + sizes.shared, shared=0)


STYLES = {
    "default": Style(),
    "olmoe": Style(renormalised=False, shared=False),
    "qwen3": Style(shared=False, balance=1e-3, z_loss=0.0),
    "deepseek": Style(scores="sigmoid", gates_grow=True, balance=0.0, z_loss=0.0, bias_step=1e-3),
    "gptoss": Style(router_bias=True, shared=False),
}
