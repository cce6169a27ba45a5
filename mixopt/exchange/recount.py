"""A decision for a trainer whose tokens are not the target's: the same bytes, counted in its own.

Of a mixture w, D tokens of the target are D sum_j w_j held_j / wanted_j of the trainer's; shares,
the fractions of phases, caps, D and the sources' tokens follow; how often each domain is read
stays what it was.
"""

from collections.abc import Mapping
from dataclasses import replace

from mixopt.exchange.base import TRAINER_TOKENS, Decision, Schedule
from mixopt.exchange.sources import recounted
from mixopt.tokens import Bytes, convert_mixture


def recount(decision: Decision, held: Bytes, wanted: Bytes) -> Decision:
    """The decision in the trainer's tokens of `wanted` bytes; `held` are those of the target's.

    Raises DataError for a domain with a share of which either is unknown.

    >>> pick = Decision("pick", ((1.0, {"web": 0.5, "law": 0.5}),), target_tokens=1e6)
    >>> told = recount(pick, {"web": 4.0, "law": 4.0}, {"web": 4.0, "law": 2.0})
    >>> told.target_tokens, {name: round(share, 3) for name, share in told.schedule[0][1].items()}
    (1500000.0, {'web': 0.333, 'law': 0.667})
    """
    schedule = recount_schedule(decision.schedule, held, wanted)
    ratio = recount_ratio(decision.schedule, held, wanted)
    target = decision.target_tokens
    caps = {
        name: min(1.0, cap * held[name] / wanted[name] / ratio)
        for name, cap in decision.caps.items()
        if held.get(name) and wanted.get(name)
    }
    return replace(
        decision,
        schedule=schedule,
        target_tokens=None if target is None else target * ratio,
        caps=caps,
        unit=TRAINER_TOKENS,
        sources=recounted(decision.sources, held, wanted),
    )


def recount_schedule(schedule: Schedule, held: Bytes, wanted: Bytes) -> Schedule:
    """Mixtures and fractions of a schedule in the trainer's tokens."""
    mixtures = [convert_mixture(mixture, held, wanted) for _, mixture in schedule]
    parts = [part * _ratio(mixture, held, wanted) for part, mixture in schedule]
    return tuple(zip((part / sum(parts) for part in parts), mixtures, strict=True))


def recount_ratio(schedule: Schedule, held: Bytes, wanted: Bytes) -> float:
    """Tokens of the trainer for one of the target's, in the text of a schedule."""
    return sum(part * _ratio(mixture, held, wanted) for part, mixture in schedule)


def _ratio(mixture: Mapping[str, float], held: Bytes, wanted: Bytes) -> float:
    """The same, of a mixture."""
    return sum(share * held[name] / wanted[name] for name, share in mixture.items() if share)
