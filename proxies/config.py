"""TrainConfig: every number that changes how a proxy trains, resolved from `proxy.toml`.

Learning rate and batch of a preset follow three laws of other people, of which the smallest rate
counts, because each was fitted on far larger models (N total parameters, D tokens, C FLOPs):

    StepLaw (arXiv:2503.04715)  lr = 1.79 N^-0.713 D^0.307     batch = 0.58 D^0.571 tokens
    Ling    (arXiv:2507.17702)  lr = 1.1576 C^-0.1529          batch = 0.0694 C^0.3644 tokens
    cap     lr <= 5e-3, the best rate seen on models below 1M; batch: the geometric mean of the two

A batch has at least 32 sequences, because the balance of experts is counted over it and needs
sequences of every domain, even where that leaves a short run fewer than 1,500 steps. Counts are
averaged over 8 steps whatever the mixture: 1 domain in 100 is then seen in the 256 sequences that
they come from, and no member of a swarm, nor a confirming run, is balanced differently.

`tiny` is too short for any of them and has settings of its own, found by trial.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from math import ceil, inf, isfinite, sqrt
from typing import Any

from mixopt.errors import ConfigError, nearest
from mixopt.files import digest
from mixopt.runs import CALIBRATION, LR_SCALE
from proxies.presets import PRESETS, Sizes
from proxies.styles import STYLES, Style

_KEYS = (
    "preset",
    "style",
    "tokens",
    "sizes",
    "training",
    "simulated_epochs",
    LR_SCALE,
    CALIBRATION,
)
_FIXED = ("sizes", "style", "vocabulary", "tokens")
_LEAST_SEQUENCES = 32
_LEAST_STEPS = 1500
_LEAST_BATCH = 4096
_LARGE_BATCH = 524_288
"""Tokens a step from which gradients are so exact that Adam may forget them sooner."""
_SMOOTHING = 8.0


@dataclass(frozen=True)
class TrainConfig:
    """One proxy's training; two runs of one config differ by mixture and seed alone."""

    sizes: Sizes
    style: Style
    vocabulary: int
    tokens: int
    """Training tokens, rounded up to whole steps."""
    sequences: int
    """Sequences a step."""
    learning_rate: float
    """Peak, for every parameter."""
    warmup_steps: int
    decay: float
    """Share of the steps, at the end, in which the rate falls linearly to 0."""
    beta2: float = 0.99
    weight_decay: float = 0.1
    """On matrices, not on gains."""
    clip: float = 1.0
    """Largest gradient norm of one proxy."""
    average: float = 16.0
    """Exponent of the power average of the weights, which is evaluated; 1e9: the last weights."""
    balance: float = STYLES["default"].balance
    """Coefficient of the load-balancing loss over the batch."""
    sequence_balance: float = 0.0
    """Coefficient of the load-balancing loss within each sequence."""
    z_loss: float = STYLES["default"].z_loss
    """Coefficient of the router's z-loss."""
    bias_step: float = 0.0
    """Step of the bias that balances the choice of experts; 0 for none."""
    count_smoothing: float = _SMOOTHING
    """Steps over which expert counts are averaged for the balancing loss."""
    init_scale: float = 1.0
    """Initial sd of matrices times sqrt(fan in)."""
    embedding_scale: float = 0.5
    """Initial sd of embeddings times sqrt(width), and so of the first logits."""

    @property
    def step_tokens(self) -> int:
        """Tokens a step."""
        return self.sequences * self.sizes.context

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        return ceil(self.tokens / self.step_tokens)

    @property
    def scale(self) -> tuple[float, float, float]:
        """(N, N_a, tokens) of a run, N without embeddings."""
        sizes = self.sizes
        tokens = self.steps * self.step_tokens
        return float(sizes.parameters()), float(sizes.active_parameters()), float(tokens)

    @property
    def flops(self) -> float:
        """Training FLOPs of a run."""
        return self.sizes.flops_per_token(self.vocabulary) * self.scale[2]

    def digest(self) -> str:
        """A short name for these settings; a checkpoint of other settings is refused."""
        return digest(asdict(self))


def resolve(proxy: Mapping[str, Any], vocabulary: int) -> TrainConfig:
    """The settings behind the training identity of `proxy.toml`.

    `proxy`: preset, tokens, and optionally style, sizes and training (what differs from preset and
    style) and lr_scale, which multiplies the rate and keeps it constant. simulated_epochs is read
    by whoever chooses the pools. Raises ConfigError for an unknown preset, style or setting and for
    sizes that do not fit together.

    >>> config = resolve({"preset": "tiny", "tokens": 200_000}, vocabulary=4096)
    >>> config.steps
    782
    """
    _check_known("key", proxy, _KEYS)
    preset = proxy["preset"]
    if preset not in PRESETS:
        raise ConfigError(f"no preset is called {preset!r}, {nearest(preset, PRESETS)}")
    name = proxy.get("style", "default")
    if name not in STYLES:
        raise ConfigError(f"no style is called {name!r}, {nearest(name, STYLES)}")
    style = STYLES[name]
    sizes = _overridden(style.sized(PRESETS[preset]), proxy.get("sizes", {}), "sizes", ())
    _check_sizes(sizes, style)
    settings = _tiny if preset == "tiny" else rule
    plain = settings(sizes, vocabulary, int(proxy["tokens"]), style)
    config = _overridden(plain, proxy.get("training", {}), "training", _FIXED)
    _check_training(config)
    return _at_rate(config, float(proxy[LR_SCALE])) if LR_SCALE in proxy else config


def rule(
    sizes: Sizes, vocabulary: int, tokens: int, style: Style = STYLES["default"]
) -> TrainConfig:
    """Settings by the laws named above, with warm-up, a constant rate and a linear decay."""
    rate, batch = learning_rate_and_batch(sizes, tokens)
    context = sizes.context
    wanted = round(max(batch, _LEAST_BATCH) / context)
    sequences = max(_LEAST_SEQUENCES, min(wanted, int(tokens / _LEAST_STEPS / context)))
    if sequences < wanted:
        rate *= max(sqrt(sequences / wanted), 0.5)
    warmup = min(0.05 * tokens, sizes.parameters()) / (sequences * context)
    return TrainConfig(
        sizes=sizes,
        style=style,
        vocabulary=vocabulary,
        tokens=tokens,
        sequences=sequences,
        learning_rate=rate,
        warmup_steps=ceil(warmup),
        decay=0.2,
        beta2=0.99 if sequences * context < _LARGE_BATCH else 0.95,
        **_router(style),
    )


def learning_rate_and_batch(sizes: Sizes, tokens: int) -> tuple[float, float]:
    """(learning rate, batch in tokens) by StepLaw and Ling, before any rounding of the batch.

    >>> mini = Sizes(8, 192, 3, 32, 4, 1, 96, 1024)
    >>> rate, batch = learning_rate_and_batch(mini, 64 * mini.active_parameters())
    >>> round(rate, 4), round(batch, -3)
    (0.0044, 37000.0)
    """
    per_token = 6.0 * sizes.active_parameters() + sizes.attention_flops_per_token()
    flops = per_token * tokens
    step_law = 1.79 * sizes.parameters() ** -0.713 * tokens**0.307
    ling = 1.1576 * flops**-0.1529
    batch = sqrt(0.58 * tokens**0.571 * 0.0694 * flops**0.3644)
    return min(step_law, ling, 5e-3), batch


def _tiny(sizes: Sizes, vocabulary: int, tokens: int, style: Style) -> TrainConfig:
    """Settings that take a `tiny` past word frequencies within 0.2M tokens.

    Many small steps at a high rate, and no decay: the averaged weights can be judged at any time.
    The rate falls with the width, as Adam's best rate for a hidden matrix does.
    """
    return TrainConfig(
        sizes=sizes,
        style=style,
        vocabulary=vocabulary,
        tokens=tokens,
        sequences=2,
        learning_rate=7e-3 * PRESETS["tiny"].width / sizes.width,
        warmup_steps=40,
        decay=0.0,
        weight_decay=0.0,
        average=8.0,
        **_router(style),
    )


def _router(style: Style) -> dict[str, float]:
    """What [training] may change of a style's balancing."""
    names = ("balance", "sequence_balance", "z_loss", "bias_step")
    return {name: getattr(style, name) for name in names}


def _at_rate(config: TrainConfig, scale: float) -> TrainConfig:
    """The same training at another rate, which is constant from the first step to the last."""
    if not 0 < scale < inf:
        raise ConfigError(f"{LR_SCALE} must be a positive number, got {scale}")
    rate = scale * config.learning_rate
    return replace(config, learning_rate=rate, warmup_steps=0, decay=0.0)


def _overridden(base: Any, changes: Mapping[str, Any], table: str, fixed: tuple[str, ...]) -> Any:
    """`base`, a dataclass, with some fields changed and their types kept."""
    known = {field.name: type(getattr(base, field.name)) for field in fields(base)}
    known = {name: kind for name, kind in known.items() if name not in fixed}
    _check_known(f"key of [{table}]", changes, tuple(known))
    typed = {}
    for name, value in changes.items():
        if not isfinite(value):
            raise ConfigError(f"[{table}] {name} must be a finite number, got {value}")
        if known[name] is int and value != int(value):
            raise ConfigError(f"[{table}] {name} must be a whole number, got {value}")
        typed[name] = known[name](value)
    return replace(base, **typed)


def _check_known(what: str, given: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name in given:
        if name not in known:
            raise ConfigError(f"unknown {what}: {name!r}, {nearest(name, known)}")


def _check_sizes(sizes: Sizes, style: Style) -> None:
    for name, value in asdict(sizes).items():
        if value < (0 if name == "shared" else 1):
            raise ConfigError(f"[sizes] {name} must be at least 1, got {value}")
    if sizes.width % (2 * sizes.heads):
        raise ConfigError(
            f"[sizes] width must be an even multiple of heads, got {sizes.width} and {sizes.heads}"
        )
    if sizes.width % 8 or sizes.hidden % 8:
        raise ConfigError(
            f"[sizes] width and hidden must be multiples of 8, got {sizes.width} and {sizes.hidden}"
        )
    least = 2 if style.renormalised else 1
    if not least <= sizes.active <= sizes.experts:
        reason = " (one expert with a gate of 1 gives its router no gradient)" * (least == 2)
        raise ConfigError(
            f"[sizes] active must lie between {least}{reason} and experts, got {sizes.active} of "
            f"{sizes.experts}"
        )
    if sizes.experts > 1023:
        raise ConfigError(f"[sizes] experts must be at most 1023, got {sizes.experts}")


def _check_training(config: TrainConfig) -> None:
    for name in ("tokens", "sequences", "learning_rate", "clip", "average", "init_scale"):
        if not getattr(config, name) > 0:
            raise ConfigError(f"[training] {name} must be positive, got {getattr(config, name)}")
    for name in (
        "warmup_steps",
        "weight_decay",
        "balance",
        "sequence_balance",
        "z_loss",
        "bias_step",
    ):
        if not getattr(config, name) >= 0:
            raise ConfigError(f"[training] {name} must be 0 or more, got {getattr(config, name)}")
    for name, end in (("decay", 1.0), ("beta2", 1.0)):
        if not 0 <= getattr(config, name) <= end:
            raise ConfigError(
                f"[training] {name} must lie between 0 and {end:g}, got {getattr(config, name)}"
            )
    if not config.count_smoothing >= 1:
        raise ConfigError(
            f"[training] count_smoothing must be at least 1 step, got {config.count_smoothing}"
        )
    if config.z_loss and config.style.scores == "sigmoid":
        raise ConfigError(
            f"[training] z_loss must be 0 where scores are sigmoids, got {config.z_loss}: "
            "shifting their logits changes the scores"
        )
