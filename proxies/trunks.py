"""Trunks: what runs that begin alike have in common is trained once, then each goes its own way.

Runs of one proxy, seed and text whose schedules agree up to a step are one run until then: P
schedules on U trunks cost U for the common part instead of P. A stage is a stretch of steps in
which the runs of a group fall into the same trunks; in the last stage each trains by itself.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from mixopt.files import digest, to_json
from mixopt.runs import Run

_ROUNDING = 1e-9
"""Of `Static`, in the share of training at which a phase ends."""


@dataclass(frozen=True)
class Stage:
    """Steps `start` to `end`, and for each trunk the runs, by their places, that go through it."""

    start: int
    end: int
    heirs: tuple[tuple[int, ...], ...]

    @property
    def shared(self) -> bool:
        """Whether some trunk has several heirs."""
        return any(len(own) > 1 for own in self.heirs)


@dataclass(frozen=True)
class Way:
    """All that decides what a run learns, beside its proxy."""

    origin: Hashable
    """Seed and text: runs of different ones have nothing in common."""
    phases: tuple[tuple[int, Hashable], ...]
    """(step at which it ends, mixture) of each phase."""

    @classmethod
    def of(cls, origin: Hashable, schedule: Iterable[tuple[float, Hashable]], steps: int) -> "Way":
        """Of a run of so many steps under (fraction of training, mixture) pairs."""
        phases, done = [], 0.0
        for fraction, mixture in schedule:
            done += fraction
            phases.append((min(steps, ceil((done - _ROUNDING) * steps)), mixture))
        phases[-1] = (steps, phases[-1][1])
        return cls(origin, tuple(phases))

    def until(self, step: int) -> Hashable:
        """What the run has been through by then: equal for runs that are one run until then."""
        path: list[tuple[int, Hashable]] = []
        start = 0
        for end, mixture in self.phases:
            if start >= step:
                break
            if path and path[-1][1] == mixture:
                path.pop()
            path.append((min(end, step), mixture))
            start = end
        return self.origin, tuple(path)


def stages(ways: Sequence[Way | None], steps: int) -> tuple[Stage, ...]:
    """The stages of a group, of which only the last has a trunk for each run.

    None stands for a run whose mixture is not fixed in advance: it is alone.

    >>> runs = [[(0.8, "web"), (0.2, last)] for last in ("web", "code")]
    >>> stages([Way.of("seed 1", run, 100) for run in runs], 100)
    (Stage(start=0, end=80, heirs=((0, 1),)), Stage(start=80, end=100, heirs=((0,), (1,))))
    """
    ends = {end for way in ways if way is not None for end, _ in way.phases}
    stops = sorted({0, steps, *ends})
    found: list[Stage] = []
    for start, end in pairwise(stops):
        heirs = _alike([index if way is None else way.until(end) for index, way in enumerate(ways)])
        if found and found[-1].heirs == heirs:
            found[-1] = Stage(found[-1].start, end, heirs)
        else:
            found.append(Stage(start, end, heirs))
    last = found[-1]
    if last.shared:  # the same run twice: each is evaluated by itself
        found[-1] = Stage(last.start, last.end, tuple((index,) for index in range(len(ways))))
    return tuple(found)


def work(plan: Sequence[Stage], step: int) -> int:
    """Steps of single proxies that a group has trained by `step`."""
    return sum(len(one.heirs) * max(0, min(one.end, step) - one.start) for one in plan)


def part_of(plan: Sequence[Stage], index: int) -> float:
    """What a run costs of what it would alone: its part of every trunk that it goes through."""
    own = [next(heirs for heirs in one.heirs if index in heirs) for one in plan]
    paid = sum((one.end - one.start) / len(heirs) for one, heirs in zip(plan, own, strict=True))
    return paid / plan[-1].end


def parts(runs: Sequence[Run]) -> list[float]:
    """What planned runs cost of what they would alone, if every trunk is trained once."""
    found = [1.0] * len(runs)
    kinds: dict[Hashable, list[int]] = {}
    for index, run in enumerate(runs):
        kinds.setdefault((run.seed, digest(dict(run.proxy))), []).append(index)
    for own in kinds.values():
        steps = int(runs[own[0]].proxy["tokens"])  # as if one a token: any number would do
        plan = stages([_planned_way(runs[index], steps) for index in own], steps)
        for place, index in enumerate(own):
            found[index] = part_of(plan, place)
    return found


def _planned_way(run: Run, steps: int) -> Way | None:
    if run.schedule is None:
        return None
    return Way.of(run.seed, ((part, to_json(mixture)) for part, mixture in run.schedule), steps)


def _alike(names: Sequence[Hashable]) -> tuple[tuple[int, ...], ...]:
    """The places of equal names, in the order of their first."""
    places: dict[Hashable, list[int]] = {}
    for index, name in enumerate(names):
        places.setdefault(name, []).append(index)
    return tuple(tuple(own) for own in places.values())
