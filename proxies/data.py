"""A prepared corpus as the training loop reads it: token windows by domain, in a fixed order.

Which window a run reads is a function of (block, domain, draw index): two runs of one block read
the same text of a domain in the same order, whatever their mixtures and whoever trains beside them.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from mixopt.errors import DataError
from mixopt.files import file_name, read_json
from proxies.allocation import Allocation, MakeAllocator
from proxies.pools import pool_tokens
from proxies.seeds import stream

Split = Literal["train", "validation", "test"]
MANIFEST = "manifest.json"
SCHEMA = 1
SMALL_POOL = 64
"""Windows under which a pool says nothing about repetition."""


@dataclass(frozen=True)
class EvaluationSet:
    """Fixed windows of held-out text, the same for every run.

    `tokens` (W, T+1), the column `domain` (W,) into `names`, and `document` (W,): where a window
    begins, as a document's position in its domain (for resampling documents).
    """

    names: tuple[str, ...]
    tokens: NDArray[np.int64]
    domain: NDArray[np.int64]
    document: NDArray[np.int64]


@dataclass(frozen=True)
class Data:
    """The folder that `prepare` wrote: a manifest, a tokenizer, token files by domain and split."""

    folder: Path
    manifest: dict[str, Any] = field(repr=False)

    @classmethod
    def open(cls, folder: Path) -> "Data":
        """Read the manifest and compare the files with it.

        Raises DataError where there is no manifest (its presence means complete), where it has
        another schema, and where a token file has not the length that it was written with.
        """
        if not (folder / MANIFEST).exists():
            raise DataError(f"{folder} holds no prepared corpus: run `mixopt prepare` first")
        manifest = read_json(folder / MANIFEST)
        if manifest.get("schema") != SCHEMA:
            raise DataError(
                f"{folder / MANIFEST} has schema {manifest.get('schema')!r}, expected {SCHEMA}: "
                "run `mixopt prepare` again"
            )
        data = cls(folder, manifest)
        for name, domain in manifest["domains"].items():
            for split, counts in domain["splits"].items():
                _check_length(data._path(name, split, "bin"), counts["tokens"], data._dtype)
        return data

    @property
    def names(self) -> tuple[str, ...]:
        """Domains with training text, in the order in which they were prepared."""
        return tuple(name for name, domain in self._domains.items() if domain["train"])

    @property
    def evaluation_names(self) -> tuple[str, ...]:
        """Domains with held-out text: the training domains and the unseen targets."""
        return tuple(self._domains)

    @property
    def vocabulary(self) -> int:
        """V, with the end-of-document token."""
        return self.manifest["tokenizer"]["vocabulary"]

    @property
    def eos(self) -> int:
        """The token that ends every document."""
        return self.manifest["tokenizer"]["eos"]

    @property
    def hash(self) -> str:
        """Names the tokens themselves: equal text and settings give it again in any folder."""
        return self.manifest["hash"]

    @property
    def measures(self) -> tuple[str, ...]:
        """What is told of each domain: bits per byte only where the bytes of tokens are known."""
        return ("bpb", "loss") if self.manifest["tokenizer"].get("has_text", True) else ("loss",)

    @cached_property
    def token_bytes(self) -> NDArray[np.int64]:
        """UTF-8 bytes of each token (V,), 0 for the end of a document.

        Of tokens that came without their tokenizer, a nominal number for each.
        """
        return np.load(self.folder / "token_bytes.npy", allow_pickle=False)

    def train(self, name: str) -> NDArray[np.unsignedinteger]:
        """The training tokens of a domain, mapped from the disk."""
        return self._tokens(name, "train")

    def documents(self, name: str, split: Split) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Where the documents of a split begin (documents + 1,), and their hashes (documents,)."""
        offsets = np.load(self._path(name, split, "offsets.npy"), allow_pickle=False)
        hashes = np.load(self._path(name, split, "documents.npy"), allow_pickle=False)
        return offsets, hashes

    def evaluation(
        self, split: Literal["validation", "test"], context: int, windows: int
    ) -> EvaluationSet:
        """At most `windows` windows of `context` tokens for each domain, evenly over its text.

        Raises DataError for a domain with less held-out text than one window.
        """
        tokens, columns, documents = [], [], []
        for column, name in enumerate(self.evaluation_names):
            source = self._tokens(name, split)
            available = count_windows(len(source), context)
            if not available:
                raise _too_small(f"{split} text of {name!r}", len(source), context)
            count = min(windows, available)
            starts = (2 * np.arange(count) + 1) * available // (2 * count) * context
            tokens.append(source[starts[:, None] + np.arange(context + 1)].astype(np.int64))
            columns.append(np.full(count, column))
            offsets, _ = self.documents(name, split)
            documents.append(np.searchsorted(offsets, starts, side="right") - 1)
        return EvaluationSet(
            self.evaluation_names,
            np.concatenate(tokens),
            np.concatenate(columns),
            np.concatenate(documents),
        )

    @property
    def _domains(self) -> dict[str, Any]:
        return self.manifest["domains"]

    @property
    def _dtype(self) -> np.dtype[Any]:
        return np.dtype(self.manifest["tokenizer"]["dtype"])

    def _tokens(self, name: str, split: Split) -> NDArray[np.unsignedinteger]:
        path = self._path(name, split, "bin")
        if path.stat().st_size == 0:  # nothing can be mapped
            return np.empty(0, dtype=self._dtype)
        return np.memmap(path, dtype=self._dtype, mode="r")

    def _path(self, name: str, split: str, ending: str) -> Path:
        return self.folder / file_name(name) / f"{split}.{ending}"


@dataclass(frozen=True)
class _Source:
    """What one proxy reads of one domain: the whole of it or its pool."""

    tokens: NDArray[np.unsignedinteger]
    size: int
    """Tokens of text; `tokens` is longer only where it was repeated to fill one window."""
    windows: int


class MixtureStream:
    """Batches of P proxies: systematic allocation over domains, windows without replacement.

    `names` are the columns of the shares, `seeds` the P block seeds, `context` T, `sequences` B a
    step. `pools[p]` bounds the tokens of each domain that proxy p may read (`simulated_pools`),
    None for all of them. Each epoch of a domain has a new order of its windows.

    Raises DataError for a domain without training text, or with less than one window of it.
    """

    def __init__(
        self,
        data: Data,
        names: Sequence[str],
        seeds: Sequence[int],
        context: int,
        sequences: int,
        pools: Sequence[Mapping[str, int] | None],
        allocator: MakeAllocator = Allocation,
    ) -> None:
        self._names = tuple(names)
        self._seeds = tuple(seeds)
        self._context = context
        self._sequences = sequences
        self._pools = tuple(pools)
        shared: dict[tuple[str, int, int], _Source] = {}
        self._sources = [
            [_source(data, name, seed, context, pool, shared) for name in names]
            for seed, pool in zip(seeds, pools, strict=True)
        ]
        self._allocator = allocator
        self._allocation = allocator(names, seeds)
        self._drawn = np.zeros((len(seeds), len(names)), dtype=np.int64)
        self._steps = np.zeros(len(seeds), dtype=np.int64)
        self._offsets = np.arange(context + 1)
        # every proxy is in one epoch of each domain, or crosses into the next
        self._order = lru_cache(maxsize=2 * self._drawn.size)(_window_order)
        self._shuffle = lru_cache(maxsize=2 * len(seeds))(_batch_order)

    @property
    def drawn(self) -> NDArray[np.int64]:
        """Sequences drawn so far (P, d)."""
        return self._drawn.copy()

    @property
    def small_pools(self) -> tuple[tuple[str, ...], ...]:
        """For each proxy, domains with a pool under 64 windows: repetition is not measurable."""
        return tuple(
            tuple(
                name
                for name, source in zip(self._names, sources)
                if pool is not None and name in pool and source.windows < SMALL_POOL
            )
            for sources, pool in zip(self._sources, self._pools)
        )

    @property
    def short_pools(self) -> tuple[tuple[str, ...], ...]:
        """For each proxy, domains read more than once, of which more text should be there."""
        return tuple(
            tuple(
                name
                for name, source, epochs in zip(self._names, sources, read)
                if pool is not None and source.size < pool.get(name, 0) and epochs > 1
            )
            for sources, pool, read in zip(self._sources, self._pools, self.epochs())
        )

    def epochs(self) -> NDArray[np.float64]:
        """How often each proxy has read its text of each domain (P, d)."""
        sizes = np.array([[source.size for source in sources] for sources in self._sources])
        return self._drawn * self._context / sizes

    def next(self, weights: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """One step for shares (P, d): tokens (P, B, T+1) and their columns (P, B)."""
        domains = self._allocation.next(weights, self._sequences)
        order = [
            self._shuffle(seed, int(step), self._sequences)
            for seed, step in zip(self._seeds, self._steps)
        ]
        domains = np.take_along_axis(domains, np.stack(order), axis=1)
        tokens = np.empty((*domains.shape, self._context + 1), dtype=np.int64)
        for p, row in enumerate(domains):
            for column in np.flatnonzero(np.bincount(row)):
                slots = np.flatnonzero(row == column)
                starts = self._draw(p, int(column), len(slots)) * self._context
                tokens[p, slots] = self._sources[p][column].tokens[starts[:, None] + self._offsets]
        self._steps += 1
        return tokens, domains

    def seed(self, p: int) -> int:
        """The block seed of proxy p."""
        return self._seeds[p]

    def examples(
        self, p: int, column: int, count: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Windows (count, T+1) of a domain from all that proxy p may read; none counts as drawn."""
        source = self._sources[p][column]
        starts = rng.integers(source.windows, size=count) * self._context
        return source.tokens[starts[:, None] + self._offsets].astype(np.int64)

    def forked(self, p: int, count: int) -> Self:
        """A stream of `count` proxies that all go on from where proxy p stands, on its text."""
        fork, rows = copy.copy(self), [p] * count
        fork._seeds = tuple(self._seeds[row] for row in rows)
        fork._pools = tuple(self._pools[row] for row in rows)
        fork._sources = [self._sources[row] for row in rows]
        fork._drawn, fork._steps = self._drawn[rows], self._steps[rows]
        fork._allocation = self._allocator(self._names, fork._seeds)
        for row in range(count):
            fork._allocation.restore(row, self._allocation.state(p))
        return fork

    def state(self, p: int) -> dict[str, Any]:
        """Where proxy p stands, as JSON."""
        return {
            "step": int(self._steps[p]),
            "drawn": dict(zip(self._names, self._drawn[p].tolist())),
            "deficits": self._allocation.state(p),
        }

    def restore(self, p: int, state: Mapping[str, Any]) -> None:
        """Go on from a `state` of the same block, domains and pools, exactly."""
        self._steps[p] = state["step"]
        self._drawn[p] = [state["drawn"][name] for name in self._names]
        self._allocation.restore(p, state["deficits"])

    def _draw(self, p: int, column: int, count: int) -> NDArray[np.int64]:
        """The next `count` windows of one proxy and domain."""
        windows = self._sources[p][column].windows
        epochs, places = np.divmod(self._drawn[p, column] + np.arange(count), windows)
        drawn = np.empty(count, dtype=np.int64)
        for epoch in range(epochs[0], epochs[-1] + 1):
            order = self._order(self._seeds[p], self._names[column], windows, int(epoch))
            here = epochs == epoch
            drawn[here] = order[places[here]]
        self._drawn[p, column] += count
        return drawn


def count_windows(tokens: int, context: int) -> int:
    """Windows of context + 1 tokens, each beginning with the last token of the one before.

    >>> count_windows(tokens=9, context=4), count_windows(tokens=8, context=4)
    (2, 1)
    """
    return max(0, (tokens - 1) // context)


def _window_order(seed: int, name: str, windows: int, epoch: int) -> NDArray[np.uint32]:
    return stream(seed, "windows", name, epoch).permutation(np.arange(windows, dtype=np.uint32))


def _batch_order(seed: int, step: int, sequences: int) -> NDArray[np.int64]:
    return stream(seed, "batch", step).permutation(sequences)


def _source(
    data: Data,
    name: str,
    seed: int,
    context: int,
    pool: Mapping[str, int] | None,
    shared: dict[tuple[str, int, int], _Source],
) -> _Source:
    """The text of one proxy and domain; proxies of one block and pool share it in memory."""
    if name not in data.names:
        raise DataError(
            f"{name!r} has no training text in {data.folder}: "
            f"it was prepared with {', '.join(data.names)}"
        )
    tokens = data.train(name)
    if not count_windows(len(tokens), context):
        raise _too_small(f"training text of {name!r}", len(tokens), context)
    size = min(len(tokens), len(tokens) if pool is None else pool.get(name, len(tokens)))
    place = (name, seed, size) if size < len(tokens) else (name, 0, size)
    if place not in shared:
        if size < len(tokens):
            tokens = pool_tokens(tokens, *data.documents(name, "train"), seed, name, size)
        shared[place] = _Source(
            tokens if size > context else np.resize(tokens, context + 1),
            size,
            max(1, count_windows(size, context)),
        )
    return shared[place]


def _too_small(what: str, tokens: int, context: int) -> DataError:
    return DataError(
        f"the {what} has {tokens} tokens, less than one window of {context + 1}: "
        "add text or shorten the context"
    )


def _check_length(path: Path, tokens: int, dtype: np.dtype[Any]) -> None:
    expected = tokens * dtype.itemsize
    found = path.stat().st_size if path.exists() else 0
    if found != expected:
        raise DataError(
            f"{path} has {found} bytes, expected {expected}: run `mixopt prepare` again"
        )
