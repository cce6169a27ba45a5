"""Shares of tokens as shares of samples: p_j ~ w_j / m_j for samples of m_j tokens on average.

Where samples are sequences of fixed length, m is the same for all and p = w; where they are
documents, m_j = tokens / documents of the domain.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

from mixopt.errors import ConfigError, DataError
from mixopt.exchange.base import Sources

Samples = Literal["sequences", "documents"]
"""What one sample of a trainer's dataset is."""


def sample_shares(
    mixture: Mapping[str, float], sources: Sources, samples: Samples
) -> dict[str, float]:
    """Probabilities of drawing a sample, from shares of tokens.

    Raises DataError for a domain whose documents nobody counted.
    """
    lengths = _lengths(mixture, sources, samples)
    drawn = {name: share / lengths[name] for name, share in mixture.items()}
    return {name: value / sum(drawn.values()) for name, value in drawn.items()}


def token_shares(
    drawn: Mapping[str, float], sources: Sources, samples: Samples
) -> dict[str, float]:
    """Shares of tokens, from relative frequencies of samples; the way back of `sample_shares`."""
    lengths = _lengths(drawn, sources, samples)
    tokens = {name: value * lengths[name] for name, value in drawn.items()}
    return {name: value / sum(tokens.values()) for name, value in tokens.items()}


def length_notes(sources: Sources, samples: Samples) -> tuple[str, ...]:
    """The mean lengths that a conversion used, as a note; none for sequences."""
    if samples == "sequences":
        return ()
    lengths = _lengths(sources, sources, samples)
    told = ", ".join(f"{name} {length:.4g}" for name, length in lengths.items())
    return (f"tokens a document, by which shares were converted: {told}",)


def _lengths(names: Iterable[str], sources: Sources, samples: Samples) -> dict[str, float]:
    """Mean tokens of a sample by domain."""
    if samples == "sequences":
        return dict.fromkeys(names, 1.0)
    if samples != "documents":
        raise ConfigError(f"samples are 'sequences' or 'documents', got {samples!r}")
    lengths = {}
    for name in names:
        mean = sources[name].mean_tokens
        if mean is None:
            raise DataError(
                f"this trainer draws documents, and nobody says how many {name!r} has: give a CSV "
                "with name,tokens,documents (--sources), or run `mixopt prepare`"
            )
        lengths[name] = mean
    return lengths
