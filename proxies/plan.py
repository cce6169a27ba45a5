"""What `prepare` will do with each domain: the units of its splits, its sample, its pool."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import DataError
from proxies.reading import Listing
from proxies.scan import Scan, firsts, scan, without_copies
from proxies.split import FEW, sample, split
from proxies.tokenizer import encode

SAMPLE_BYTES = 300_000
"""Training text of each domain, at most, that the BPE is trained on."""
SAMPLE_SPREAD = 64
"""Documents, at least, that this sample comes from where the domain has as many."""

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total) in bytes; the stages are hash, scan, tokenizer and encode."""


@dataclass(frozen=True)
class Source:
    """A domain and where its text lies; without `train` it is only evaluated: an unseen target."""

    name: str
    path: Path
    train: bool = True


@dataclass(frozen=True)
class PrepareSettings:
    """What changes the prepared tokens, besides the text."""

    tokenizer: str = "bpe"
    """`bpe` to train one, `bytes`, or the path of a tokenizer.json."""
    vocabulary: int = 4096
    """Tokens of a trained BPE, the end of a document among them."""
    pool_tokens: int | None = None
    """About how many training tokens to take from each domain, over all its files; None: all."""
    seed: int = 0
    evaluation_bytes: int = 1_000_000
    """Held-out text of each domain for each of validation and test; small domains give less."""


@dataclass(frozen=True)
class Plan:
    """A domain and the units (u,) of each split."""

    source: Source
    listing: Listing
    scan: Scan
    splits: dict[str, NDArray[np.bool_]]

    @property
    def size(self) -> int:
        """Bytes of text in the splits."""
        return sum(int(self.scan.sizes[chosen].sum()) for chosen in self.splits.values())


@dataclass
class Meter:
    """Counts the bytes of one stage for the progress bar."""

    report: Progress
    stage: str
    total: int
    done: int = 0

    def advance(self, size: int) -> None:
        """`size` more bytes are done."""
        self.done += size
        self.report(self.stage, self.done, self.total)


def make_plans(
    sources: Sequence[Source],
    listings: Sequence[Listing],
    settings: PrepareSettings,
    report: Progress,
) -> list[Plan]:
    """Read all text once and decide what becomes of it.

    Raises DataError for a domain of which nothing is left, or too little to split.
    """
    meter = Meter(report, "scan", sum(listing.size for listing in listings))
    scans = [scan(listing.files, meter.advance) for listing in listings]
    plans = []
    for source, listing, scanned in zip(sources, listings, without_copies(scans)):
        if not len(scanned.hashes):
            raise DataError(
                f"domain {source.name!r} is empty: {source.path} holds only white space "
                "or documents that an earlier domain has"
            )
        plans.append(_plan_domain(source, listing, scanned, settings))
    return plans


def _plan_domain(
    source: Source, listing: Listing, scanned: Scan, settings: PrepareSettings
) -> Plan:
    """Split by documents, or by pieces where only few documents would be held out."""
    if len(scanned.hashes) >= 2 * FEW:
        splits = _split_units(source, scanned, settings)
        if min(splits["validation"].sum(), splits["test"].sum()) >= FEW:
            return Plan(source, listing, scanned, splits)
    scanned = scanned.in_pieces()
    return Plan(source, listing, scanned, _split_units(source, scanned, settings))


def _split_units(
    source: Source, scanned: Scan, settings: PrepareSettings
) -> dict[str, NDArray[np.bool_]]:
    """The units (u,) of each split; a unit that is a copy of an earlier one is in none."""
    first = np.flatnonzero(firsts(scanned.hashes))
    splits = split(
        source.name,
        scanned.hashes[first],
        scanned.sizes[first],
        settings.evaluation_bytes,
        source.train,
        settings.seed,
    )
    masks = {}
    for name, places in splits.items():
        masks[name] = np.zeros(len(scanned.hashes), dtype=np.bool_)
        masks[name][first[places]] = True
    return masks


def sample_texts(plan: Plan, settings: PrepareSettings) -> list[str]:
    """Training text of one domain, the beginnings of many documents, about SAMPLE_BYTES."""
    train = np.flatnonzero(plan.splits["train"])
    longest = SAMPLE_BYTES // SAMPLE_SPREAD
    sizes = np.minimum(plan.scan.sizes[train], longest)
    numbers = sample(plan.scan.hashes[train], sizes, SAMPLE_BYTES, settings.seed, "tokenizer")
    chosen = np.zeros(len(plan.scan.sizes), dtype=np.bool_)
    chosen[train[numbers]] = True
    return [text[:longest] for _, text in plan.scan.texts(chosen)]


def take_pool(plan: Plan, tokenizer: Path | None, settings: PrepareSettings) -> Plan:
    """The domain with about `pool_tokens` of its training text, by the hash of documents."""
    if settings.pool_tokens is None or not plan.source.train:
        return plan
    texts = sample_texts(plan, settings)
    tokens, _ = encode(texts, tokenizer)
    wanted = settings.pool_tokens * sum(len(text.encode()) for text in texts) / len(tokens)
    train = np.flatnonzero(plan.splits["train"])
    numbers = sample(plan.scan.hashes[train], plan.scan.sizes[train], wanted, settings.seed, "pool")
    chosen = np.zeros(len(plan.scan.sizes), dtype=np.bool_)
    chosen[train[numbers]] = True
    return replace(plan, splits={**plan.splits, "train": chosen})
