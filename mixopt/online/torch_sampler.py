"""A mixture that moves in a PyTorch loop: a dataset of domains, a sampler, losses from all ranks.

    sources = Domains({"web": web, "law": law})
    mixing = Mixing(controller, sources.sizes, sequence_tokens=1024, batch=64, steps=10_000)
    sampler = MixtureSampler(mixing, sources)
    for batch in DataLoader(sources, batch_size=64, sampler=sampler, num_workers=4):
        losses = ...                            # (b, t) nats of each token
        sampler.note(losses, batch["domain"])
        sampler.finish_step()

The sampler runs in the process of the loop, so that workers need to know nothing of shares. A
checkpoint is `sampler.checkpoint()`, whatever the loader has read ahead. The sampler's iterator
follows torchdata's convention of stateful iterators with an empty state, so that its
StatefulDataLoader leaves the place in the text to it as well.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed
from torch.nn import functional
from torch.utils.data import Dataset, Sampler

from mixopt.errors import ConfigError, DataError
from mixopt.online.mixing import Mixing

_HASH_DIGITS = 12  # 48 bits: a float64 holds them exactly


class Source(Protocol):
    """What holds the sequences of a domain: a list, a tensor, a map-style dataset."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class Domains(Dataset[dict[str, Any]]):
    """Map-style datasets by domain as one; each item says its domain's column under "domain".

    An item that is no mapping stands under "input_ids".

    >>> sources = Domains({"web": [[1, 2], [3, 4]], "law": [[5, 6]]})
    >>> sources[2], sources.sizes
    ({'input_ids': [5, 6], 'domain': 1}, {'web': 2, 'law': 1})
    """

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = tuple(sources.values())
        self.sizes = {name: len(source) for name, source in sources.items()}
        self.starts = np.concatenate([[0], np.cumsum(list(self.sizes.values()))])
        """(d + 1,) where the items of each domain begin."""

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(f"{index} is no item of {len(self)}")
        column = int(np.searchsorted(self.starts, index, side="right")) - 1
        item = self._sources[column][int(index - self.starts[column])]
        named = dict(item) if isinstance(item, Mapping) else {"input_ids": item}
        return {**named, "domain": column}


class RankedMixing:
    """Mixing as one of several ranks sees it: its part of each batch, and losses from all ranks.

    `rank` and `ranks` default to those of torch.distributed where it is initialised.
    """

    def __init__(self, mixing: Mixing, rank: int | None = None, ranks: int | None = None) -> None:
        spread = _spread()
        self.mixing = mixing
        self.rank = (distributed.get_rank() if spread else 0) if rank is None else rank
        self.ranks = (distributed.get_world_size() if spread else 1) if ranks is None else ranks
        self._sums: Tensor | None = None
        self._device = torch.device("cpu")
        if not 0 <= self.rank < self.ranks or mixing.batch % self.ranks:
            raise ConfigError(
                f"expected batches that {self.ranks} ranks can share and a rank below that, got "
                f"{mixing.batch} sequences and rank {self.rank}"
            )

    def note(self, losses: Tensor, domains: Tensor, counted: Tensor | None = None) -> None:
        """Add nats of tokens (b, t) of sequences of `domains` (b,); `counted` (b, t): which count.

        A sequence whose losses are no numbers makes its own domain's loss missing, no other's.
        """
        if self._sums is None:
            self._device = losses.device
            self._sums = self._zeros()
        used = torch.ones_like(losses) if counted is None else counted.to(losses.dtype)
        nats = torch.where(used > 0, losses.detach(), 0.0).double().sum(dim=1)
        columns = domains.to(losses.device).long()
        rows = torch.stack([nats, used.double().sum(dim=1), torch.ones_like(nats)])
        self._sums.index_add_(1, columns, rows)

    def finish_step(self) -> None:
        """One step of the optimiser is done; ranks meet where the controller's turn has come.

        Losses are then summed over the ranks, and the ranks must agree on what comes next: raises
        DataError where they do not, and where other sequences were noted than had been drawn.
        """
        due = self.mixing.due
        if due:
            self.collect()
        self.mixing.finish_step()
        if due:
            self._check_ranks()

    def collect(self) -> None:
        """Sum up what was noted, over all ranks: every rank must call it."""
        sums, self._sums = self._zeros() if self._sums is None else self._sums, None
        if _spread():
            distributed.all_reduce(sums)
        self.mixing.add(*sums.cpu().numpy())

    def checkpoint(self) -> dict[str, Any]:
        """What `resume` needs, as JSON values, the same on every rank; every rank must call it."""
        self.collect()
        return self.mixing.state_dict()

    def resume(self, state: Mapping[str, Any]) -> Self:
        """Go on from a `checkpoint`, before the loader begins; returns self."""
        self.mixing.load_state_dict(state)
        self._sums = None
        return self

    def _zeros(self) -> Tensor:
        """Sums (3, d) of nats, tokens and sequences, where the losses are."""
        return torch.zeros(3, self.mixing.d, dtype=torch.float64, device=self._device)

    def _check_ranks(self) -> None:
        """Whether all ranks would draw the same from here on."""
        if not _spread():
            return
        own = float(int(self.mixing.fingerprint()[:_HASH_DIGITS], 16))
        ends = torch.tensor([own, -own], dtype=torch.float64, device=self._device)
        distributed.all_reduce(ends, op=distributed.ReduceOp.MAX)
        if ends[0] != -ends[1]:
            raise DataError(
                f"ranks do not agree on the mixture after step {self.mixing.step}: give all the "
                "same controller, seed, sizes and evidence, and resume them from one checkpoint"
            )


class MixtureSampler(RankedMixing, Sampler[int]):
    """Indices into `Domains` by the current shares, without end.

    `rank` and `ranks` say which part of every batch is this process's; default: those of
    torch.distributed where it is initialised. Give `rank=0, ranks=1` where the loader itself
    divides batches among ranks, as accelerate's does. One iterator at a time: a new one begins with
    what an old one had drawn and nobody trained on.
    """

    def __init__(
        self, mixing: Mixing, sources: Domains, rank: int | None = None, ranks: int | None = None
    ) -> None:
        super().__init__(mixing, rank, ranks)
        self._starts = sources.starts
        if sources.sizes != dict(mixing.sizes):
            raise ConfigError(f"the sources are {sources.sizes}, expected {dict(mixing.sizes)}")

    def __iter__(self) -> "_Indices":
        return _Indices(self.mixing, self._starts, self.rank, self.ranks)


def token_losses(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Nats of the next tokens (b, t - 1) of logits (b, t, V), and which of them count.

    Labels of -100 do not count, as everywhere in torch.

    >>> losses, counted = token_losses(torch.zeros(1, 3, 4), torch.tensor([[0, 1, -100]]))
    >>> losses[0, 0].exp().round().item(), counted.tolist()
    (4.0, [[True, False]])
    """
    wanted = labels[:, 1:].to(logits.device)
    with torch.no_grad():  # one sequence at a time: a copy of all logits may not fit
        rows = [
            functional.cross_entropy(own[:-1].float(), next_, reduction="none", ignore_index=-100)
            for own, next_ in zip(logits, wanted, strict=True)
        ]
    return torch.stack(rows), wanted != -100


class _Indices(Iterator[int]):
    """The indices of one rank; its state is empty because `Mixing` holds all of it."""

    def __init__(self, mixing: Mixing, starts: NDArray[np.int64], rank: int, ranks: int) -> None:
        self._mixing = mixing
        self._starts = starts
        self._part = slice(rank, None, ranks)
        self._batches: Iterator[NDArray[np.int64]] | None = None
        self._left: Iterator[int] = iter(())

    def __next__(self) -> int:
        for index in self._left:
            return index
        if self._batches is None:
            self._batches = iter(self._mixing.ahead)
        batch = next(self._batches, None)
        drawn = self._mixing.draw() if batch is None else batch
        mine = drawn[self._part]
        self._left = iter((self._starts[mine[:, 0]] + mine[:, 1]).tolist())
        return next(self._left)

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Nothing to do."""


def _spread() -> bool:
    """Whether there are several ranks that talk to each other."""
    return distributed.is_available() and distributed.is_initialized()
