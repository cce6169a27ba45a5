"""What `prepare` will do with each domain: the units of its splits, its sample, its pool."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import DataError, MissingExtraError
from proxies.encoding import chosen_units, encode_units
from proxies.formats.base import Content
from proxies.listing import Listing
from proxies.parts import Part, Reader
from proxies.scan import Request, Scan, firsts, in_pieces, scan, without_copies
from proxies.sources import PrepareSettings, Source
from proxies.split import FEW, sample, split
from proxies.tokenizer import Scheme
from proxies.units import Unit
from proxies.work import Arrays, Workshop

Mask = NDArray[np.bool_]

SAMPLE_BYTES = 300_000
"""Training text of each domain, at most, that the BPE is trained on."""
SAMPLE_SPREAD = 64
"""Documents, at least, that this sample comes from where the domain has as many."""
SAMPLE_PARTS = 64
"""Pieces of work, at most, that are read again for it."""
POOL_BYTES = 8
"""Bytes a token that a pool is looked for in; more than any text has, so that it is found."""
HELD_OUT_SHARE = 10
"""Times the text held out that a domain must have for validation and for test."""


@dataclass(frozen=True)
class Plan:
    """A domain and the units (u,) of each split."""

    source: Source
    listing: Listing
    scan: Scan
    splits: dict[str, Mask]
    documents: int
    """Documents that were read and are no copies."""
    duplicates: int
    """Documents that are copies of earlier ones, here or in an earlier domain."""
    near: int = 0
    """Training units that were left out as near-duplicates of held-out text."""


def make_plans(
    sources: Sequence[Source],
    listings: Sequence[Listing],
    readers: Mapping[str, Reader],
    settings: PrepareSettings,
    workshop: Workshop,
) -> list[Plan]:
    """Read the text once and decide what becomes of it.

    Raises DataError for a domain of which nothing is left, or too little to split.
    """
    requests = [
        Request(source.name, listing, readers[source.name], _wanted(source, settings))
        for source, listing in zip(sources, listings)
    ]
    scans = without_copies(scan(requests, settings.seed, workshop))
    for source, found in zip(sources, scans):
        if not found.kept.any():
            raise DataError(
                f"domain {source.name!r} is empty: {source.path} holds only white space"
                f"{_rows_of(source)} or documents that an earlier domain has"
            )
    few = [_is_few(source, found, settings) for source, found in zip(sources, scans)]
    cut = iter(in_pieces([found for found, small in zip(scans, few) if small], workshop))
    plans = []
    for source, listing, found, small in zip(sources, listings, scans, few):
        units = next(cut) if small else found
        splits = _split_units(source, units, settings)
        documents = int(found.kept.sum())
        copies = len(found.kept) - documents
        plans.append(Plan(source, listing, units, splits, documents, copies))
    return _without_held_out(plans)


def without_near(plans: Sequence[Plan], threshold: float, workshop: Workshop) -> list[Plan]:
    """Training text without near-duplicates, from `threshold` on, of text held out in any domain.

    Raises MissingExtraError where the library for it is not installed.
    """
    try:
        from proxies.near import screen_part, sign_part
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"`near_duplicates` needs {error.name}: pip install 'mixopt[data]'"
        ) from error
    held_out = [plan.scan.jobs(sign_part, _held_out(plan)) for plan in plans]
    found = [one["signatures"] for own in workshop.run("sign", held_out) for one in own]
    place = workshop.keep("signatures", np.concatenate(found))
    trained = [plan for plan in plans if plan.source.train]
    jobs = [plan.scan.jobs(screen_part, plan.splits["train"], place, threshold) for plan in trained]
    screened = {}
    for plan, results in zip(trained, workshop.run("screen", jobs)):
        near = plan.splits["train"].copy()
        near[near] = np.concatenate([one["near"] for one in results])
        screened[plan.source.name] = replace(_less(plan, near), near=int(near.sum()))
    return [screened.get(plan.source.name, plan) for plan in plans]


def sample_contents(
    plans: Sequence[Plan], settings: PrepareSettings, workshop: Workshop
) -> list[list[Content]]:
    """Training text of each domain, the beginnings of many units, about SAMPLE_BYTES.

    Of a domain in many pieces of work, only some of them are looked at, evenly spaced.
    """
    longest = SAMPLE_BYTES // SAMPLE_SPREAD
    jobs = []
    for plan in plans:
        among = _spread(plan)
        sizes = np.minimum(plan.scan.sizes[among], longest)
        numbers = sample(plan.scan.hashes[among], sizes, SAMPLE_BYTES, settings.seed, "tokenizer")
        chosen = np.zeros(len(plan.scan.hashes), dtype=np.bool_)
        chosen[among[numbers]] = True
        jobs.append(plan.scan.jobs(take_part, chosen, longest))
    results = workshop.run("sample", jobs)
    return [[content for one in own for content in _unpacked(one)] for own in results]


def take_pool(
    plan: Plan, contents: Sequence[Content] | None, scheme: Scheme, settings: PrepareSettings
) -> Plan:
    """The domain with about `pool_tokens` of its training text, by the hash of units.

    `contents` are a sample of it, which says how many bytes a token has.
    """
    if settings.pool_tokens is None or contents is None:
        return plan
    words = scheme.vocabulary
    encoded = encode_units(contents, scheme, words)
    size = int(words.token_bytes[encoded.tokens].sum())
    wanted = settings.pool_tokens * size / (len(encoded.tokens) - len(contents))
    train = np.flatnonzero(plan.splits["train"])
    numbers = sample(plan.scan.hashes[train], plan.scan.sizes[train], wanted, settings.seed, "pool")
    chosen = np.zeros(len(plan.scan.sizes), dtype=np.bool_)
    chosen[train[numbers]] = True
    return replace(plan, splits={**plan.splits, "train": chosen})


def take_part(part: Part, reader: Reader, unit: Unit, chosen: Mask, longest: int) -> Arrays:
    """The beginnings, `longest` characters or tokens, of the chosen units of a part."""
    contents = [content[:longest] for content in chosen_units(part, reader, unit, chosen)]
    is_text = np.array([isinstance(content, str) for content in contents], dtype=np.bool_)
    parts = [
        np.frombuffer(content.encode("utf-32-le"), dtype="<u4")
        if isinstance(content, str)
        else content.astype("<u4")
        for content in contents
    ]
    lengths = np.array([len(one) for one in parts], dtype=np.int64)
    return {"content": np.concatenate(parts), "lengths": lengths, "is_text": is_text}


def _unpacked(result: Arrays) -> list[Content]:
    """What `take_part` packed."""
    parts = np.split(result["content"], np.cumsum(result["lengths"])[:-1])
    return [
        part.tobytes().decode("utf-32-le") if is_text else part.astype(np.uint32)
        for part, is_text in zip(parts, result["is_text"])
    ]


def _wanted(source: Source, settings: PrepareSettings) -> int | None:
    """Bytes of text that are enough for a pool and for held-out text; None for all."""
    if settings.pool_tokens is None:
        return None
    held_out = 2 * HELD_OUT_SHARE * settings.evaluation_bytes
    return held_out + (POOL_BYTES * settings.pool_tokens if source.train else 0)


def _rows_of(source: Source) -> str:
    if not source.where:
        return ""
    told = ", ".join(f"{name} = {value!r}" for name, value in source.where.items())
    return f", no row with {told},"


def _is_few(source: Source, found: Scan, settings: PrepareSettings) -> bool:
    """Whether only few documents would be held out, so that pieces of them are the units."""
    if found.kept.sum() < 2 * FEW:
        return True
    splits = _split_units(source, found, settings)
    return min(splits["validation"].sum(), splits["test"].sum()) < FEW


def _split_units(source: Source, scan: Scan, settings: PrepareSettings) -> dict[str, Mask]:
    """The units (u,) of each split; a unit that is a copy of an earlier one is in none."""
    kept = np.flatnonzero(scan.kept)
    first = kept[firsts(scan.hashes[kept])]
    splits = split(
        source.name,
        scan.hashes[first],
        scan.sizes[first],
        settings.evaluation_bytes,
        source.train,
        settings.seed,
    )
    masks = {}
    for name, places in splits.items():
        masks[name] = np.zeros(len(scan.hashes), dtype=np.bool_)
        masks[name][first[places]] = True
    return masks


def _without_held_out(plans: Sequence[Plan]) -> list[Plan]:
    """Training text without units that are held out anywhere.

    Documents differ by now, but pieces of different documents may still be equal.
    """
    held_out = np.concatenate([plan.scan.hashes[_held_out(plan)] for plan in plans])
    return [
        _less(plan, np.isin(plan.scan.hashes, held_out)) if plan.source.train else plan
        for plan in plans
    ]


def _held_out(plan: Plan) -> Mask:
    return plan.splits["validation"] | plan.splits["test"]


def _less(plan: Plan, unwanted: Mask) -> Plan:
    """A domain without some units (u,) of its training text. DataError where nothing is left."""
    train = plan.splits["train"] & ~unwanted
    if not train.any():
        raise DataError(
            f"domain {plan.source.name!r} has no training text left: all of it is held out, here "
            "or in another domain, or is nearly equal to text that is"
        )
    return replace(plan, splits={**plan.splits, "train": train})


def _spread(plan: Plan) -> NDArray[np.int64]:
    """The training units of the domain, or those in a number of evenly spaced pieces of work."""
    train = plan.splits["train"]
    holding = [units for _, units in plan.scan.parts if train[units].any()]
    if len(holding) > SAMPLE_PARTS:
        holding = [holding[i * len(holding) // SAMPLE_PARTS] for i in range(SAMPLE_PARTS)]
    among = [np.flatnonzero(train[units]) + units.start for units in holding]
    return np.concatenate(among)
