"""Shares in tokens of one tokenizer as shares in those of another: s_j ~ w_j held_j / wanted_j.

`held_j` and `wanted_j` are the bytes of text of domain j that one token of either stands for. The
mixtures of a study are in tokens of the target's tokenizer; whoever counts in others (a proxy with
a tokenizer of its own, a trainer at export) reads the same text only with converted shares.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixopt.config import DomainSpec
from mixopt.errors import DataError

Array = NDArray[np.float64]
Bytes = Mapping[str, float]
"""Bytes a token by domain."""


def convert_shares(shares: ArrayLike, held: ArrayLike, wanted: ArrayLike) -> Array:
    """Shares (..., d) in tokens of `held` (d,) bytes as shares in tokens of `wanted` (d,) bytes.

    The shares of bytes stay what they are, so the way back is the same with `held` and `wanted`
    changed over. Raises DataError for a domain with a share and without positive bytes a token.

    >>> convert_shares([0.5, 0.5], held=[4.0, 3.0], wanted=[4.0, 1.5]).round(3).tolist()
    [0.333, 0.667]
    """
    weights = np.asarray(shares, dtype=np.float64)
    factors = conversion(held, wanted)
    used = weights != 0
    if not np.isfinite(np.broadcast_to(factors, weights.shape)[used]).all():
        raise DataError("expected positive bytes a token for every domain with a share")
    converted = np.where(used, weights * np.where(np.isfinite(factors), factors, 0.0), 0.0)
    return converted / converted.sum(axis=-1, keepdims=True)


def target_bytes(domains: Mapping[str, DomainSpec], manifest: Mapping[str, Any] | None) -> Bytes:
    """Bytes a token of the target's tokenizer by domain, of those where it is known.

    By `space.toml`, else as `prepare` measured with the target's tokenizer, else with the proxies',
    which is then the target's too.
    """
    prepared = {} if manifest is None else manifest["domains"]
    found = {}
    for name, spec in domains.items():
        part = prepared.get(name, {})
        measured = part.get("target_bytes_per_token", part.get("bytes_per_token"))
        if known := spec.bytes_per_token or measured:
            found[name] = float(known)
    return found


def proxy_factors(
    domains: Mapping[str, DomainSpec], manifest: Mapping[str, Any]
) -> dict[str, float]:
    """Tokens of the proxies for one of the target's, by domain; 1 where nobody says they differ."""
    held = target_bytes(domains, manifest)
    factors = {}
    for name, part in manifest["domains"].items():
        own = part.get("bytes_per_token")  # None of tokens that came without their tokenizer
        factors[name] = held[name] / float(own) if own and name in held else 1.0
    return factors


def conversion(held: ArrayLike, wanted: ArrayLike) -> Array:
    """Tokens of `wanted` (d,) bytes for each token of `held` (d,) bytes; NaN where unknown.

    >>> conversion([4.0, 3.0], [2.0, float("nan")]).tolist()
    [2.0, nan]
    """
    a, b = (np.asarray(values, dtype=np.float64) for values in (held, wanted))
    known = np.isfinite(a) & np.isfinite(b) & (a > 0) & (b > 0)
    return np.divide(a, b, out=np.full(known.shape, np.nan), where=known)


def convert_mixture(mixture: Mapping[str, float], held: Bytes, wanted: Bytes) -> dict[str, float]:
    """A mixture by name, converted. Raises DataError that names a domain without bytes a token.

    >>> convert_mixture({"web": 0.5, "law": 0.5}, {"web": 4, "law": 3}, {"web": 2, "law": 3})
    {'web': 0.6666666666666666, 'law': 0.3333333333333333}
    """
    for name, share in mixture.items():
        for table in (held, wanted):
            if share and not table.get(name, 0.0) > 0:
                raise DataError(
                    f"domain {name!r} has a share, but nobody says how many bytes of it a token "
                    f"stands for: got {table.get(name)}"
                )
    arrays = [[table.get(name, np.nan) for name in mixture] for table in (held, wanted)]
    shares = convert_shares(list(mixture.values()), *arrays)
    return dict(zip(mixture, shares.tolist(), strict=True))
