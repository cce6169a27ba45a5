"""A mixture of streams: an IterableDataset that draws domains by the current shares.

    mixing = Mixing(controller, dict.fromkeys(sources), sequence_tokens=1024, batch=64, steps=999)
    stream = MixtureStream(mixing, sources, per_batch=64, workers=2)
    for batch in DataLoader(stream, batch_size=64, num_workers=2):
        losses = ...                            # (b, t) nats of each token
        stream.note(losses, batch["domain"])
        stream.finish_step()

The process of the loop draws which domains the next `ahead` steps read, and workers find that in
shared memory; a worker that is further ahead waits. So what is read does not depend on how fast
workers are: step s is drawn when step s - ahead is finished. Loader batch n is that of reader
n mod workers, and every reader of every rank reads a part of each source of its own, from which it
takes the next item whenever its slot is of that domain. How many items each took is the state.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import IterableDataset, get_worker_info

from mixopt.errors import ConfigError, DataError
from mixopt.online.budget import MAX_EPOCHS
from mixopt.online.mixing import Mixing
from mixopt.online.torch_sampler import RankedMixing

Stream = Iterable[Any] | Callable[[int, int], Iterable[Any]]
"""What gives a domain's sequences: something that can be read again, of which a reader takes every
parts-th item; or a function of (part, parts) that opens this part alone."""

_NAP = 0.001  # seconds between two looks for what comes next
_DRAWN, _CLOSED = range(2)  # of the clock


class MixtureStream(RankedMixing, IterableDataset[dict[str, Any]]):
    """Items of streams by the current shares, until the run's last step.

    An item says its domain's column under "domain"; one that is no mapping stands under
    "input_ids". `note`, `finish_step`, `checkpoint` and `resume` are those of `MixtureSampler`.
    Raises ConfigError for numbers that do not fit together, and for a source that can be read once.
    """

    def __init__(
        self,
        mixing: Mixing,
        sources: Mapping[str, Stream],
        *,
        per_batch: int | None = None,
        workers: int = 0,
        ahead: int = 2,
        max_epochs: Mapping[str, float] | None = None,
        rank: int | None = None,
        ranks: int | None = None,
    ) -> None:
        """`per_batch`: sequences of a batch of this rank's loader (default: all of a step).

        `workers`: the loader's num_workers. `ahead`: steps whose domains are drawn in advance.
        `max_epochs`: by domain, how often a source that ends may be read (default 4).
        """
        super().__init__(mixing, rank, ranks)
        own = mixing.batch // self.ranks
        self.sources, self.workers, self.ahead = dict(sources), workers, ahead
        self.per_batch = own if per_batch is None else per_batch
        told = dict(max_epochs or {})
        self._most = [told.pop(name, MAX_EPOCHS) for name in sources]
        self._readers = max(workers, 1)
        self._plan = torch.zeros(max(ahead, 1), own, dtype=torch.int64).share_memory_()
        self._clock = torch.zeros(2, dtype=torch.int64).share_memory_()
        shape = (self.ranks, self._readers, mixing.d)
        self._taken = np.zeros(shape, dtype=np.int64)  # not shared: workers begin where it was
        self._finished, self._begun = 0, False
        self._lengths = torch.zeros(shape[1:], dtype=torch.int64).share_memory_()
        self._steps, self._per_step = mixing.steps, own // max(self.per_batch, 1)
        self._check(told)
        self._draw_ahead()

    @property
    def epochs(self) -> dict[str, int]:
        """How often each domain was read to its end, by the reader of this rank that is furthest.

        A source's length is known when a reader has met its end.
        """
        taken, lengths = self._taken[self.rank], self._lengths.numpy()
        passes = np.divide(taken, lengths, out=np.zeros(taken.shape), where=lengths > 0)
        return dict(zip(self.sources, passes.max(axis=0).astype(int).tolist(), strict=True))

    def finish_step(self) -> None:
        """One step of the optimiser is done; the next step that nobody has drawn yet is drawn."""
        if not self.mixing.ahead:
            raise DataError(f"the run has {self.mixing.steps} steps, all are done: end the loop")
        counts = self._counts(self.mixing.step, self.mixing.ahead[0][:, 0])
        super().finish_step()
        self._taken = self._taken + counts
        self._draw_ahead()

    def checkpoint(self) -> dict[str, Any]:
        """What `resume` needs, as JSON values, the same on every rank; every rank must call it."""
        taken = {"taken": self._taken.tolist()}
        return {**super().checkpoint(), "stream": {**self._division(), **taken}}

    def resume(self, state: Mapping[str, Any]) -> Self:
        """Go on from a `checkpoint`, before the loader begins; returns self.

        Raises DataError where sources were divided among others: their parts would be others.
        """
        told = dict(state.get("stream", {}))
        taken = told.pop("taken", None)
        if told != self._division():
            raise DataError(
                f"the checkpoint is of streams divided by {told}, expected {self._division()}: go "
                "on with as many ranks and workers as it was made with"
            )
        super().resume(state)
        self._taken = np.array(taken, dtype=np.int64)
        self._draw_ahead(anew=True)
        return self

    def close(self) -> None:
        """Let workers that wait for the next step go, where a loop ends before the run does."""
        self._clock[_CLOSED] = 1

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker = get_worker_info()
        number, workers = (0, 0) if worker is None else (worker.id, worker.num_workers)
        if workers != self.workers:
            raise ConfigError(
                f"the loader has {workers} workers, the stream was told of {self.workers}: give "
                "both the same number"
            )
        if worker is not None and self._begun:
            raise ConfigError(
                "workers that persist know of no restart: leave persistent_workers out"
            )
        self._begun, parent = True, os.getppid()
        batch = self._finished * self._per_step + number
        reader = batch % self._readers
        parts = [self._part(name, reader) for name in self.sources]
        while batch < self._steps * self._per_step:
            step, place = divmod(batch, self._per_step)
            if not self._is_drawn(step, parent):
                return
            first = place * self.per_batch
            for column in self._plan[step % self.ahead, first : first + self.per_batch].tolist():
                item = next(parts[column])
                named = dict(item) if isinstance(item, Mapping) else {"input_ids": item}
                yield {**named, "domain": column}
            batch += self._readers

    def __getstate__(self) -> dict[str, Any]:
        """Workers that are started anew get what they read, and not the loop's own."""
        return {**self.__dict__, "mixing": None, "_sums": None}

    def _is_drawn(self, step: int, parent: int) -> bool:
        """Wait until a step is drawn; False where nobody will draw it any more."""
        while int(self._clock[_DRAWN]) <= step:
            if self._clock[_CLOSED] or os.getppid() != parent:
                return False
            if not self.workers:
                raise DataError(
                    f"step {step + 1} was asked for before an earlier one was finished: call "
                    "finish_step after each, or raise ahead"
                )
            time.sleep(_NAP)
        return True

    def _part(self, name: str, reader: int) -> "_Part":
        """What a reader of this rank reads of a source, from where it stands."""
        column = list(self.sources).index(name)
        return _Part(
            name,
            self.sources[name],
            (self.rank * self._readers + reader, self.ranks * self._readers),
            int(self._taken[self.rank, reader, column]),
            self._most[column],
            self._lengths[reader, column : column + 1],
        )

    def _draw_ahead(self, anew: bool = False) -> None:
        """Fill the plan: of this rank's slots of the next steps, the domains."""
        known = 0 if anew else int(self._clock[_DRAWN])
        mixing = self.mixing
        while len(mixing.ahead) < min(self.ahead, self._steps - mixing.step):
            mixing.draw()
        for step, drawn in enumerate(mixing.ahead, start=mixing.step):
            if step >= known:
                mine = drawn[self.rank :: self.ranks, 0]
                self._plan[step % self.ahead] = torch.from_numpy(mine.copy())
        self._finished = mixing.step
        self._clock[_DRAWN] = mixing.step + len(mixing.ahead)

    def _counts(self, step: int, columns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Items (ranks, readers, d) that each reader takes of a step's slots, by domain."""
        counts = np.zeros_like(self._taken)
        slots = np.arange(len(columns))
        batches = step * self._per_step + slots // self.ranks // self.per_batch
        np.add.at(counts, (slots % self.ranks, batches % self._readers, columns), 1)
        return counts

    def _division(self) -> dict[str, int]:
        """What decides which item is whose."""
        return {
            "ranks": self.ranks,
            "readers": self._readers,
            "per_batch": self.per_batch,
            "ahead": self.ahead,
        }

    def _check(self, unknown: Mapping[str, float]) -> None:
        if tuple(self.sources) != self.mixing.names or unknown:
            raise ConfigError(
                f"the sources are {[*self.sources, *unknown]}, expected {list(self.mixing.names)}"
            )
        own = self.mixing.batch // self.ranks
        if self.ahead < 1 or self.per_batch < 1 or own % self.per_batch:
            raise ConfigError(
                f"expected ahead of 1 or more and per_batch to divide the {own} sequences of a "
                f"step of this rank, got {self.ahead} and {self.per_batch}"
            )
        for name, source in self.sources.items():
            if not callable(source) and iter(source) is source:
                raise ConfigError(
                    f"source {name!r} can be read once: give a list, or a function of "
                    "(part, parts) that opens it"
                )
            if isinstance(source, IterableDataset) and self.workers > 1:
                raise ConfigError(
                    f"source {name!r} divides itself among workers: use one worker or none, or a "
                    "function of (part, parts) that opens a part of it"
                )


class _Part(Iterator[Any]):
    """One reader's part of a source, over and over; opened when it is first asked for."""

    def __init__(
        self,
        name: str,
        source: Stream,
        part: tuple[int, int],
        taken: int,
        most: float,
        length: torch.Tensor,
    ) -> None:
        self._name, self._source, self._which, self._most = name, source, part, most
        self._skip = taken
        self._length = length
        self._passes = self._here = 0
        self._items: Iterator[Any] | None = None

    def __next__(self) -> Any:
        if self._items is None:
            self._items = self._opened()
            self._go_forward()
        while True:
            for item in self._items:
                self._here += 1
                self._check_epochs()
                return item
            self._begin_again()

    def _opened(self) -> Iterator[Any]:
        part, parts = self._which
        if callable(self._source):
            return iter(self._source(part, parts))
        return (item for i, item in enumerate(self._source) if i % parts == part)

    def _go_forward(self) -> None:
        """Leave out what was taken before: whole passes at once, as soon as one has ended."""
        assert self._items is not None
        left = self._skip
        while left:
            before = self._here
            for _ in islice(self._items, left):
                self._here += 1
            left -= self._here - before
            if left:
                length = self._here
                self._begin_again()
                whole, left = divmod(left, max(length, 1))
                self._passes += whole

    def _begin_again(self) -> None:
        """The part has ended: read it from its beginning."""
        if not self._here:
            part, parts = self._which
            raise DataError(
                f"source {self._name!r} has nothing for reader {part + 1} of {parts}: use fewer "
                "workers, or give the domain tokens = 0 in the budget"
            )
        self._length[0] = self._here
        self._passes += 1
        self._here = 0
        self._items = self._opened()

    def _check_epochs(self) -> None:
        """DataError where a part was read too often: beyond the cap, and what chance may add.

        Which reader a slot is of is shuffled: five standard deviations.
        """
        length = int(self._length[0])
        if not self._passes or self._passes < self._most:
            return
        most = self._most * length
        slack = 2.0 if self._which[1] == 1 else 2.0 + 5.0 * most**0.5
        if self._passes * length + self._here > most + slack:
            raise DataError(
                f"source {self._name!r} was read more than {self._most:g} times, a part of it "
                f"holds {length} sequences: say its tokens in the budget, so that its share "
                "falls in time, or raise max_epochs"
            )
