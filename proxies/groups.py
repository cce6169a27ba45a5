"""Groups: which runs train side by side in one process, spread evenly over the workers.

On a CPU a few thousand tokens in flight are fastest: fewer leave the core idle between small
operations, more leave its cache, and above some millions of parameters one proxy alone does.
"""

from collections.abc import Hashable, Mapping, Sequence
from itertools import pairwise
from math import ceil
from typing import TypeVar

from mixopt.files import to_json
from mixopt.runs import Run
from proxies.config import TrainConfig

_Kind = TypeVar("_Kind", bound=Hashable)
_TOKENS_IN_FLIGHT = 8192
_MOST = 16
_MOST_ON_CUDA = 64
_MOST_EXPERTS_ON_CUDA = 1023  # of all proxies together, in one grouped_mm


def largest_group(config: TrainConfig, device: str) -> int:
    """The most proxies that are worth training in one process.

    >>> from proxies.config import resolve
    >>> largest_group(resolve({"preset": "tiny", "tokens": 200_000}, 4096), "cpu")
    16
    """
    if device != "cpu":
        return max(1, min(_MOST_ON_CUDA, _MOST_EXPERTS_ON_CUDA // config.sizes.experts))
    parameters = config.sizes.parameters() + config.vocabulary * config.sizes.width
    if parameters > 4e6:
        return 1
    most = _MOST if parameters <= 1e6 else _MOST // 2
    return max(1, min(most, _TOKENS_IN_FLIGHT // config.step_tokens))


def group_size(runs: int, workers: int, most: int) -> int:
    """Proxies in the largest group when `runs` are spread over `workers` in as few rounds as `most`
    allows.

    >>> group_size(28, workers=2, most=16), group_size(36, workers=2, most=16)
    (14, 9)
    """
    rounds = ceil(runs / (workers * most))
    return ceil(runs / (workers * rounds))


def families(runs: Sequence[Run]) -> list[str]:
    """The ids of runs, those of one seed that begin alike side by side: they share trunks.

    Runs of one mixture keep their places.
    """
    found: dict[Hashable, list[Run]] = {}
    for run in runs:
        first, *later = run.schedule or ((1.0, {}),)
        name = (run.seed, to_json(first)) if later else run.id
        found.setdefault(name, []).append(run)
    alike = (sorted(own, key=lambda run: to_json(run.schedule)) for own in found.values())
    return [run.id for own in alike for run in own]


def plan_groups(
    kinds: Mapping[_Kind, Sequence[str]], most: Mapping[_Kind, int], workers: int
) -> list[tuple[str, ...]]:
    """Groups of run ids, each of one kind; sizes within a kind differ by one at most.

    `kinds`: runs that may train together, by kind. Equal arguments give equal groups, so that a
    run that is trained again has the neighbours that it had.

    >>> plan_groups({"small": ["a", "b", "c"], "large": ["d"]}, {"small": 16, "large": 1}, 2)
    [('a', 'b'), ('c',), ('d',)]
    """
    groups = []
    for kind, ids in kinds.items():
        rounds = ceil(len(ids) / (workers * most[kind]))
        count = min(len(ids), workers * rounds)
        ends = [ceil(len(ids) * part / count) for part in range(count + 1)]
        groups += [tuple(ids[start:end]) for start, end in pairwise(ends)]
    return groups
