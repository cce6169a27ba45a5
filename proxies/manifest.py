"""What a prepared folder says of itself: counts, hashes, settings, versions and warnings."""

from collections.abc import Mapping
from pathlib import Path
from platform import python_version
from typing import Any

import numpy as np
import tokenizers
from numpy.typing import NDArray

import mixopt
from mixopt.files import digest, file_digest
from proxies.data import SCHEMA
from proxies.encoding import Encoder
from proxies.scan import Scan
from proxies.split import MINIMUM_BYTES


def describe_domain(
    scan: Scan,
    splits: Mapping[str, NDArray[np.bool_]],
    train: NDArray[np.bool_] | None,
    folder: Path,
) -> dict[str, Any]:
    """Counts of one domain as encoded into `folder`: bytes of text, tokens with document ends.

    `pool` is all its training text, the units `train` (u,): where `splits` holds only a part of
    them, its tokens are estimated from its bytes. An unseen domain has none.
    """
    encoded = {
        split: {
            "tokens": int(np.load(folder / f"{split}.offsets.npy")[-1]),
            "bytes": int(scan.sizes[chosen].sum()),
            "documents": int(chosen.sum()),
            "hash": file_digest(folder / f"{split}.bin"),
        }
        for split, chosen in splits.items()
    }
    tokens = sum(counts["tokens"] for counts in encoded.values())
    return {
        "pool": {"tokens": 0, "bytes": 0}
        if train is None
        else _pool(scan, train, encoded["train"]),
        "bytes": int(scan.sizes.sum()),
        "bytes_per_token": sum(counts["bytes"] for counts in encoded.values()) / tokens,
        "documents": int(scan.kept.sum()),
        "duplicates": int((~scan.kept).sum()),
        "split_by": scan.unit,
        "splits": encoded,
    }


def describe(
    domains: Mapping[str, Any], encoder: Encoder, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """The manifest; its `hash` names the tokens, wherever they lie and whoever made them."""
    tokens = encoder.vocabulary
    tokenizer = file_digest(encoder.path) if encoder.path else "bytes"
    hashes = {
        name: {split: counts["hash"] for split, counts in domain["splits"].items()}
        for name, domain in domains.items()
    }
    return {
        "schema": SCHEMA,
        "hash": digest({"tokenizer": tokenizer, "domains": hashes}),
        "settings": dict(settings),
        "tokenizer": {
            "vocabulary": tokens.size,
            "eos": tokens.eos,
            "dtype": tokens.dtype.name,
            "hash": tokenizer,
        },
        "domains": dict(domains),
        "warnings": _warnings(domains, settings, tokens.size),
        "versions": {
            "mixopt": mixopt.__version__,
            "numpy": np.__version__,
            "python": python_version(),
            "tokenizers": tokenizers.__version__,
        },
    }


def _pool(scan: Scan, train: NDArray[np.bool_], encoded: Mapping[str, Any]) -> dict[str, int]:
    size = int(scan.sizes[train].sum())
    return {"tokens": round(encoded["tokens"] * size / encoded["bytes"]), "bytes": size}


def _warnings(domains: Mapping[str, Any], settings: Mapping[str, Any], size: int) -> list[str]:
    warnings = [
        f"{name} has {counts['bytes'] / 1000:.0f} kB of {split} text, less than "
        f"{MINIMUM_BYTES // 1000} kB: its metrics are coarse"
        for name, domain in domains.items()
        for split, counts in domain["splits"].items()
        if split != "train" and counts["bytes"] < MINIMUM_BYTES
    ]
    if settings["tokenizer"] == "bpe" and size < settings["vocabulary"]:
        warnings.append(
            f"the text gave only {size} of the {settings['vocabulary']} tokens that were asked for"
        )
    return warnings
