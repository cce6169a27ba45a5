"""Named sizes of the MoE proxies, and what a size counts: N, N_a and training FLOPs a token.

Every layer is attention and an MoE block; embeddings are tied; s shared experts are one SwiGLU of
s times the width. With letters L layers, d width, E experts, K active, s shared, d_e hidden:

    N = L [4 d^2 + (E + s) 3 d d_e + E d + 2 d + 2 d_head] + d      (embeddings are not counted)
    N_a: K in place of E in the expert term; the router is always active
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """The sizes of one proxy."""

    layers: int
    width: int
    heads: int
    experts: int
    active: int
    """Routed experts that a token visits."""
    shared: int
    """Shared experts, which every token visits; 0 for none."""
    hidden: int
    """Width of one expert."""
    context: int
    """Tokens a sequence."""

    @property
    def head_width(self) -> int:
        """Width of one attention head."""
        return self.width // self.heads

    def parameters(self) -> int:
        """N, all parameters but the embeddings.

        >>> PRESETS["pico"].parameters()
        488256
        """
        return self._parameters(self.experts)

    def active_parameters(self) -> int:
        """N_a, the parameters that one token uses, without the embeddings."""
        return self._parameters(self.active)

    def flops_per_token(self, vocabulary: int) -> float:
        """Training FLOPs a token, forward and backward: 6 (N_a + V d) + 6 L d context.

        The head is counted (it is not small in a proxy), looking up embeddings is not; causal
        attention is counted at half of its square.
        """
        head = vocabulary * self.width
        return 6.0 * (self.active_parameters() + head) + self.attention_flops_per_token()

    def attention_flops_per_token(self) -> float:
        """The share of the FLOPs that grows with the context: 6 L d context."""
        return 6.0 * self.layers * self.width * self.context

    def _parameters(self, routed: int) -> int:
        width = self.width
        attention = 4 * width**2 + 2 * self.head_width
        experts = (routed + self.shared) * 3 * width * self.hidden
        router_and_norms = self.experts * width + 2 * width
        return self.layers * (attention + experts + router_and_norms) + width


PRESETS = {
    "tiny": Sizes(
        layers=2, width=64, heads=2, experts=8, active=2, shared=1, hidden=64, context=128
    ),
    "pico": Sizes(
        layers=4, width=64, heads=2, experts=16, active=4, shared=1, hidden=32, context=256
    ),
    "nano": Sizes(
        layers=6, width=96, heads=3, experts=16, active=4, shared=1, hidden=48, context=512
    ),
    "micro": Sizes(
        layers=8, width=128, heads=4, experts=32, active=4, shared=1, hidden=64, context=512
    ),
    "mini": Sizes(
        layers=8, width=192, heads=3, experts=32, active=4, shared=1, hidden=96, context=1024
    ),
    "small": Sizes(
        layers=10, width=256, heads=4, experts=32, active=4, shared=1, hidden=96, context=1024
    ),
    "base": Sizes(
        layers=10, width=320, heads=5, experts=64, active=8, shared=1, hidden=80, context=2048
    ),
}
"""By name; `tiny` is for tests and demonstrations, `base` for confirming what the others found."""
