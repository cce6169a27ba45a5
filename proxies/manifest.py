"""What a prepared folder says of itself: counts, hashes, settings, versions and warnings."""

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import Any

import numpy as np

import mixopt
from mixopt.errors import ConfigError
from mixopt.files import digest, file_digest
from proxies.data import SCHEMA
from proxies.plan import Plan
from proxies.split import MINIMUM_BYTES
from proxies.tokenizer import NOMINAL_BYTES, Scheme, Vocabulary
from proxies.work import name_of

_LONG_TOKENS = 500_000
_LIBRARIES = ("numpy", "tokenizers", "pyarrow", "zstandard", "datasketch")


def describe_domain(plan: Plan, pool: Plan, words: Vocabulary, folder: Path) -> dict[str, Any]:
    """The entry of one domain as encoded into `folder`: bytes of text, tokens with document ends.

    `plan` is all its text, `pool` what was encoded of it: where that is a part, the tokens of the
    whole (`pool` in the manifest) are estimated from bytes. Foreign tokens have no bytes (None).
    """
    sizes = {split: int(pool.scan.sizes[chosen].sum()) for split, chosen in pool.splits.items()}
    encoded = {
        split: {
            "tokens": int(np.load(folder / f"{split}.offsets.npy")[-1]),
            "bytes": _known(sizes[split], words),
            "documents": int(chosen.sum()),
            "hash": file_digest(folder / f"{split}.bin"),
        }
        for split, chosen in pool.splits.items()
    }
    tokens = sum(counts["tokens"] for counts in encoded.values())
    bytes_a_token = sum(sizes.values()) / tokens
    whole = _whole(plan) if plan.source.train else 0
    whole_tokens = whole * encoded["train"]["tokens"] / sizes["train"] if whole else 0.0
    return {
        "train": plan.source.train,
        "path": str(plan.source.path),
        "files": len(plan.listing.files),
        "files_empty": plan.listing.empty,
        "files_skipped": plan.listing.skipped,
        "formats": dict(Counter(file.format for file in plan.listing.files)),
        "read": round(plan.scan.share, 6),
        "pool": {"tokens": round(whole_tokens), "bytes": _known(whole, words)},
        "bytes": _known(int(plan.scan.sizes[plan.scan.kept].sum()), words),
        "bytes_per_token": _known(bytes_a_token, words),
        "documents": plan.documents,
        "duplicates": plan.duplicates,
        "near_duplicates": plan.near,
        "split_by": plan.scan.unit,
        "splits": encoded,
    }


def in_target_tokens(entry: Mapping[str, Any], bytes_a_token: float) -> dict[str, Any]:
    """The entry of a domain with its whole pool counted in tokens of the target's tokenizer.

    Raises ConfigError for tokens whose bytes nobody knows.
    """
    whole = entry["pool"]["bytes"]
    if whole is None:
        raise ConfigError(
            f"{entry['path']} holds tokens without a tokenizer, so bytes_per_token has nothing "
            "to convert: leave it out, or name the tokenizer in [data]"
        )
    pool = {"tokens": round(whole / bytes_a_token), "bytes": whole}
    return {**entry, "pool": pool, "target_bytes_per_token": bytes_a_token}


def _target(domains: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What else training depends on: the target's bytes a token, where it has a tokenizer apart."""
    key = "target_bytes_per_token"
    sizes = {name: domain[key] for name, domain in domains.items() if key in domain}
    return {"target": sizes} if sizes else {}


def warnings_of(plan: Plan, words: Vocabulary) -> list[str]:
    """What a person should know of a domain before proxies are trained on it."""
    name, found = plan.source.name, []
    for split in ("validation", "test"):
        size = int(plan.scan.sizes[plan.splits[split]].sum())
        told, least = f"{size / 1000:.0f} kB of {split} text", f"{MINIMUM_BYTES // 1000} kB"
        if not words.has_text:
            told, least = (
                f"{size // NOMINAL_BYTES} {split} tokens",
                f"{MINIMUM_BYTES // NOMINAL_BYTES}",
            )
        if size < MINIMUM_BYTES:
            found.append(f"{name} has {told}, less than {least}: its metrics are coarse")
    holds_arrays = any(file.format == "tokens" for file in plan.listing.files)
    length = plan.scan.sizes.sum() / NOMINAL_BYTES / plan.documents
    if holds_arrays and length > _LONG_TOKENS:
        found.append(f"{name} has some {length:.0f} tokens a document: is `eos` what ends one?")
    return found


def describe_files(plan: Plan) -> dict[str, dict[str, Any]]:
    """Each file of a domain: its bytes, what was read of it, and a hash of that."""
    counts = np.zeros(len(plan.scan.files), dtype=np.int64)
    np.add.at(counts, plan.scan.rows[:, 0], plan.scan.rows[:, 3])
    ends = np.cumsum(counts)
    return {
        plan.listing.place(file.path): {
            "bytes": file.size,
            plan.scan.unit: int(count),
            "hash": name_of(plan.scan.hashes[end - count : end]),
        }
        for file, count, end in zip(plan.scan.files, counts.tolist(), ends.tolist())
    }


def describe(
    domains: Mapping[str, Any],
    scheme: Scheme,
    settings: Mapping[str, Any],
    warnings: Sequence[str],
) -> dict[str, Any]:
    """The manifest; its `hash` names the tokens, wherever they lie and whoever made them."""
    words = scheme.vocabulary
    warnings = [*warnings]
    if settings["tokenizer"] == "bpe" and words.size < settings["vocabulary"]:
        warnings.append(
            f"the text gave only {words.size} of the {settings['vocabulary']} tokens that were "
            "asked for"
        )
    tokenizer = _tokenizer_name(scheme)
    hashes = {
        name: {split: counts["hash"] for split, counts in domain["splits"].items()}
        for name, domain in domains.items()
    }
    return {
        "schema": SCHEMA,
        "hash": digest({"tokenizer": tokenizer, "domains": hashes, **_target(domains)}),
        "settings": dict(settings),
        "tokenizer": {
            "vocabulary": words.size,
            "eos": words.eos,
            "dtype": words.dtype.name,
            "hash": tokenizer,
            "has_text": words.has_text,
        },
        "domains": dict(domains),
        "warnings": warnings,
        "versions": {"mixopt": mixopt.__version__, "python": python_version(), **_libraries()},
    }


def _tokenizer_name(scheme: Scheme) -> str:
    if scheme.foreign is not None:
        return f"foreign {scheme.foreign} {scheme.eos}"
    return file_digest(scheme.path) if scheme.path else "bytes"


def _whole(plan: Plan) -> int:
    """Bytes of training text in all files, estimated where only a share of them was read."""
    train = int(plan.scan.sizes[plan.splits["train"]].sum())
    held_out = sum(
        int(plan.scan.sizes[chosen].sum())
        for split, chosen in plan.splits.items()
        if split != "train"
    )
    return round((train + held_out) / plan.scan.share) - held_out


def _known(count: Any, words: Vocabulary) -> Any:
    return count if words.has_text else None


def _libraries() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue  # of an extra that is not installed
    return found
