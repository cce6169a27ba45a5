"""What the evidence of controllers costs in FLOPs: of one look, and of a whole run beforehand.

    eval_loss    m x WINDOWS windows forward                  gram         d x SEQUENCES windows
    probe_loss   forks x steps of training, m x WINDOWS       influence    (m + d) x SEQUENCES
                 windows forward for each fork

A forward pass is a third of training on the same tokens. Which looks a controller needs is asked of
the controller itself: it is led through the run with losses that are all missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mixopt.online.base import Feedback

if TYPE_CHECKING:
    from mixopt.runs import Run
    from proxies.config import TrainConfig
    from proxies.study import Study

Array = NDArray[np.float64]
Mixtures = tuple[Array, int] | None

WINDOWS = 8
"""Of each evaluation domain: held-out text for losses."""
SEQUENCES = 4
"""Of each domain: text for a gradient."""
FREE = frozenset({"reference"})
"""Needs that cost nothing beyond the run that they name."""


def look_flops(
    config: TrainConfig, needs: frozenset[str], mixtures: Mixtures, d: int, m: int
) -> float:
    """FLOPs of measuring `needs` once; `mixtures` (a, d) and steps of the forks, if any."""
    token = config.sizes.flops_per_token(config.vocabulary)
    held_out = m * WINDOWS * config.sizes.context * token / 3.0
    gradient = SEQUENCES * config.sizes.context * token
    flops = held_out if "eval_loss" in needs else 0.0
    if needs & {"gram", "influence"}:
        flops += d * gradient
    if "influence" in needs:
        flops += m * gradient
    if "probe_loss" in needs and mixtures is not None:
        rows, steps = mixtures
        flops += len(rows) * (steps * config.step_tokens * token + held_out)
    return flops


def planned_flops(study: Study, run: Run) -> float:
    """FLOPs of all the evidence that a run which is not trained yet will need."""
    if run.controller is None:
        return 0.0
    config, controller = study.config(run.proxy), study.controller(run)
    if controller.needs <= FREE:
        return 0.0
    d, m = len(study.names), len(study.data.evaluation_names)
    total = 0.0
    for step in range(controller.every, config.steps + 1, controller.every):
        needs, mixtures = controller.needs, controller.probes()
        total += look_flops(config, needs, mixtures, d, m)
        controller.observe(_nothing_seen(config, step, needs, mixtures, d, m))
    return total


def _nothing_seen(
    config: TrainConfig, step: int, needs: frozenset[str], mixtures: Mixtures, d: int, m: int
) -> Feedback:
    """Feedback in which everything that is needed is missing; domains were drawn evenly."""
    shapes = {"eval_loss": (m,), "gram": (d, d), "influence": (m, d), "reference": (d,)}
    if mixtures is not None:
        shapes["probe_loss"] = (len(mixtures[0]), m)
    found: dict[str, Array] = {
        name: np.full(shape, np.nan) for name, shape in shapes.items() if name in needs
    }
    tokens = step * config.step_tokens
    return Feedback(step, config.steps, tokens, np.full(d, tokens / d), np.full(d, np.nan), **found)
