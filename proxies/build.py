"""From planned domains to the files of a prepared folder: tokenizer, pools, tokens, manifest."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from mixopt.files import digest, file_digest, file_name, write_atomic, write_json
from proxies.encoding import encode_jobs, write_domain
from proxies.formats.base import Content
from proxies.manifest import (
    describe,
    describe_domain,
    describe_files,
    in_target_tokens,
    warnings_of,
)
from proxies.plan import Plan, sample_contents, take_pool, without_near
from proxies.sources import PrepareSettings, Source
from proxies.tokenizer import Scheme, decode, encode, train_bpe
from proxies.work import Workshop

Samples = Mapping[str, Sequence[Content]]


def build(
    plans: Sequence[Plan],
    given: Scheme | None,
    settings: PrepareSettings,
    workshop: Workshop,
    folder: Path,
) -> dict[str, Any]:
    """Write everything but the manifest into `folder`, which is made anew, and return that.

    `given` are the tokens; None trains a BPE on the plans' training text.
    """
    if settings.near_duplicates is not None:
        plans = without_near(plans, settings.near_duplicates, workshop)
    scheme = _kept(given, workshop) if given else _trained(plans, settings, workshop)
    samples = _samples(plans, settings, workshop)
    pools = [take_pool(plan, samples.get(plan.source.name), scheme, settings) for plan in plans]
    jobs = [encode_jobs(pool.scan, pool.splits, scheme) for pool in pools]
    encoded = workshop.run("encode", jobs)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    domains = {}
    for plan, pool, results in zip(plans, pools, encoded):
        place = folder / file_name(plan.source.name)
        write_domain(pool.scan, pool.splits, results, place)
        write_json(place / "files.json", describe_files(plan))
        own = describe_domain(plan, pool, scheme.vocabulary, place)
        size = _target_bytes(own, plan.source, samples, scheme, settings)
        domains[plan.source.name] = own if size is None else in_target_tokens(own, size)
    if scheme.path is not None:
        shutil.copyfile(scheme.path, folder / "tokenizer.json")
    np.save(folder / "token_bytes.npy", scheme.vocabulary.token_bytes)
    warnings = [told for plan in plans for told in warnings_of(plan, scheme.vocabulary)]
    return describe(domains, scheme, asdict(settings), warnings)


def _kept(scheme: Scheme, workshop: Workshop) -> Scheme:
    """The same tokens, their tokenizer under a name that has its hash in it."""
    if scheme.path is None:
        return scheme
    place = workshop.folder / f"tokenizer-{file_digest(scheme.path)}.json"
    write_atomic(place, scheme.path.read_bytes())
    return replace(scheme, path=place)


def _trained(plans: Sequence[Plan], settings: PrepareSettings, workshop: Workshop) -> Scheme:
    """A BPE of the training text of all domains, an equal amount of each."""
    trained = [plan for plan in plans if plan.source.train]
    contents = sample_contents(trained, settings, workshop)
    texts = [text for own in contents for text in own if isinstance(text, str)]
    place = workshop.folder / f"tokenizer-{digest([texts, settings.vocabulary])}.json"
    if not place.exists():
        write_atomic(place, train_bpe(texts, settings.vocabulary))
    return Scheme(place)


def _samples(plans: Sequence[Plan], settings: PrepareSettings, workshop: Workshop) -> Samples:
    """Some training text of each domain, where something must be measured on it."""
    if settings.pool_tokens is None and settings.target_tokenizer is None:
        return {}
    trained = [plan for plan in plans if plan.source.train]
    contents = sample_contents(trained, settings, workshop)
    return {plan.source.name: own for plan, own in zip(trained, contents)}


def _target_bytes(
    own: Mapping[str, Any],
    source: Source,
    samples: Samples,
    scheme: Scheme,
    settings: PrepareSettings,
) -> float | None:
    """Bytes a token of the target's tokenizer: as told, or by how many it makes of a sample."""
    if not source.train or source.bytes_per_token is not None:
        return source.bytes_per_token
    if settings.target_tokenizer is None:
        return None
    sample = samples[source.name]
    texts = [one if isinstance(one, str) else decode(one, scheme.path) for one in sample]
    ours, _ = encode(texts, scheme.path)
    theirs, _ = encode(texts, Path(settings.target_tokenizer))
    return own["bytes_per_token"] * len(ours) / len(theirs)
