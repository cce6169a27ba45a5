"""Layout: which row of the experts' input holds which (token, choice), for P proxies of E experts.

    sorted: the P N K rows by (proxy, expert), each expert with as many as came
    padded: C slots for each of the P E experts; a row that finds its expert full is left out

The padded layout has shapes that no router can change, so plain batched GEMMs do, but it is not
free of loss: `overflow` counts what was left out, on the device. Rows of earlier tokens come first.
"""

from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Layout:
    """A = P N K assignments of tokens to experts, in R rows of G = P E groups."""

    assignment: Tensor
    """(R,) the assignment in each row; A in an empty slot."""
    place: Tensor
    """(A,) the row of each assignment; R where it was left out."""
    ends: Tensor
    """(G,) int32, where the rows of a group end; empty if each has `slots` rows."""
    slots: int = -1
    """Rows of each group; -1 if as many as came."""

    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """All but the slots."""
        return self.assignment, self.place, self.ends

    def take(self, tokens: Tensor, active: int) -> Tensor:
        """The rows (R, D) of tokens (P N, D)."""
        return self._padded(tokens).index_select(0, self.assignment // active)

    def gates(self, gates: Tensor) -> Tensor:
        """The gate of each row (R, 1), 0 in an empty slot."""
        return self._padded(gates.flatten()).index_select(0, self.assignment).unsqueeze(-1)

    def put_back(self, values: Tensor) -> Tensor:
        """The values (R,) in the order of the assignments, (A,)."""
        return self._padded(values).index_select(0, self.place)

    def combine(self, rows: Tensor, gates: Tensor | None, active: int | None = None) -> Tensor:
        """The fp32 sum over a token's choices of its rows (R, D), times its gates, (P N, D)."""
        wide = self._padded(rows.float())
        places = self.place.view(-1, active or gates.shape[-1])  # type: ignore[union-attr]
        weights = None if gates is None else gates.float()
        return functional.embedding_bag(places, wide, mode="sum", per_sample_weights=weights)

    def multiply(self, rows: Tensor, weights: Tensor) -> Tensor:
        """Each group's rows by its own matrix: (R, D) by (G, D, F)."""
        if self.slots < 0:
            return functional.grouped_mm(rows, weights, offs=self.ends)
        return torch.bmm(rows.unflatten(0, (-1, self.slots)), weights).flatten(0, 1)

    def weight_gradient(self, rows: Tensor, grads: Tensor) -> Tensor:
        """(G, D, F) from rows (R, D) and the gradients of their products (R, F)."""
        if self.slots < 0:
            return functional.grouped_mm(rows.t(), grads, offs=self.ends)
        rows, grads = (one.unflatten(0, (-1, self.slots)) for one in (rows, grads))
        return torch.bmm(rows.transpose(1, 2), grads)

    def _padded(self, rows: Tensor) -> Tensor:
        """With a row of zeros at the end, where empty slots and rows left out point."""
        return rows if self.slots < 0 else torch.cat([rows, torch.zeros_like(rows[:1])])


def sorted_layout(experts: Tensor, number: int) -> Layout:
    """Room for all of experts (P, N, K) int64 below `number`."""
    order, _, counts = _sorted(experts, number)
    places = torch.arange(len(order), device=order.device)
    place = torch.empty_like(order).scatter_(0, order, places)
    return Layout(order, place, counts.cumsum(0, dtype=torch.int32))


def padded_layout(experts: Tensor, number: int, slots: int) -> Layout:
    """Room for `slots` rows of each expert; experts (P, N, K) int64 below `number`."""
    order, group, counts = _sorted(experts, number)
    starts = counts.cumsum(0) - counts
    group = group.index_select(0, order)
    rank = torch.arange(len(order), device=order.device) - starts.index_select(0, group)
    rows = len(counts) * slots
    row = torch.where(rank < slots, group * slots + rank, rows)
    place = torch.empty_like(order).scatter_(0, order, row)
    empty = torch.full((rows + 1,), len(order), dtype=order.dtype, device=order.device)
    return Layout(
        empty.scatter_(0, row, order)[:-1].clone(), place, order.new_empty(0).int(), slots
    )


def slots_for(tokens: int, active: int, experts: int, room: float) -> int:
    """Rows for each expert with `room` times its balanced load, a multiple of 8.

    More than one row a token is never needed.

    >>> slots_for(1024, active=2, experts=8, room=2.0), slots_for(100, 2, 8, float("inf"))
    (512, 104)
    """
    wanted = min(room * tokens * active / experts, tokens)
    return 8 * ceil(wanted / 8)


def overflow(counts: Tensor, slots: int) -> Tensor:
    """Rows left out, (...), of counts (..., E) that want one."""
    return (counts - slots).clamp_min(0).sum(-1)


def _sorted(experts: Tensor, number: int) -> tuple[Tensor, Tensor, Tensor]:
    """(order, group, counts): the assignments by group, the group of each, the sizes (int32)."""
    proxy = torch.arange(len(experts), device=experts.device).view(-1, 1, 1)
    group = (proxy * number + experts).flatten()
    counts = torch.zeros(len(experts) * number, dtype=torch.int32, device=group.device)
    counts.scatter_add_(0, group, torch.ones_like(group, dtype=torch.int32))
    return torch.argsort(group, stable=True), group, counts
