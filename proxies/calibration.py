"""calibrate: the learning rate of a study's proxies, by three runs of the natural mixture.

    y(r/2), y(r), y(2 r)    mean bits per byte of validation text, one seed
    best inside: the minimum of the parabola through it and its neighbours in ln(rate)
    best at an end: that end; asked again, the rate beyond it is trained as well

The runs are marked in their identity: they are no runs of the swarm, whatever rate it trains at.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from math import inf
from typing import Any

from mixopt.errors import DataError, RunsFailedError
from mixopt.experiment import Experiment
from mixopt.files import write_atomic
from mixopt.runs import CALIBRATION, Run, is_apart
from mixopt.stages.sample import planned_run
from mixopt.toml_edit import set_number
from proxies.config import resolve
from proxies.swarm import Progress, train

_RATE = "learning_rate"
_REMARK = "found by `mixopt calibrate`"


@dataclass(frozen=True)
class Point:
    """A rate and what the natural mixture scored with it."""

    rate: float
    score: float | None
    """Mean over the evaluation domains; None where the run diverged."""


@dataclass(frozen=True)
class Calibration:
    """What the runs say, and the rate that `proxy.toml` now has."""

    points: tuple[Point, ...]
    """By rate."""
    measure: str
    """`bpb`, or `loss` for tokens that came without their tokenizer."""
    rate: float
    inside: bool
    """Whether rates on both sides of the best one were worse; else it lies at an end."""
    written: bool
    """Whether the file had another rate before, or none."""
    confirm_rate: float | None
    """What the rule makes of this rate for the larger proxy of `[confirm]`, where it would now
    train at the smaller one's; None where it has a rate or the size of its own."""

    def to_json(self) -> dict[str, Any]:
        """The calibration for machines."""
        return asdict(self)


def calibrate(
    exp: Experiment,
    *,
    anyway: bool = False,
    workers: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Calibration:
    """Train what is missing, choose the rate, and write it to `[training]` of `proxy.toml`.

    Asked again, finished runs are not repeated; where the best rate lay at an end, it goes on from
    there. Raises DataError without a corpus, and where a swarm is planned at the present rate,
    unless `anyway`; RunsFailedError when a run could not be trained.
    """
    if exp.manifest is None:
        raise DataError(f"{exp.folder} holds no prepared data: run `mixopt prepare {exp.folder}`")
    known = _known(exp)
    wanted = _wanted(known, _present(exp))
    if wanted or _chosen(known)[0] != _stands(exp):
        _check_unplanned(exp, anyway)
    missing = [_run(exp, rate) for rate in wanted if rate not in known]
    if missing:
        exp.append(missing)
    if wanted:
        ids = [_run(exp, rate).id for rate in wanted]
        train(exp, only=ids, workers=workers, progress=progress)
        known = _known(exp)
    return _written(exp, known)


def parabola(rate: float, below: float, here: float, above: float) -> float:
    """The rate of the least value, by values at rate / 2, rate and 2 rate, the middle one least.

    >>> round(parabola(0.01, 2.0, 1.0, 2.0), 6), parabola(0.01, 1.5, 1.0, 3.0) < 0.01
    (0.01, True)
    """
    bend = below - 2.0 * here + above
    shift = 0.0 if bend == 0 else 0.5 * (below - above) / bend
    return rate * 2.0**shift


def _stands(exp: Experiment) -> float | None:
    """The rate in the file."""
    return exp.proxy_file.training.get(_RATE)


def _present(exp: Experiment) -> float:
    """The rate at which the swarm would train now."""
    return _resolved(exp, exp.proxy_file.identity())


def _resolved(exp: Experiment, proxy: Mapping[str, Any]) -> float:
    assert exp.manifest is not None
    return resolve(proxy, exp.manifest["tokenizer"]["vocabulary"]).learning_rate


def _wanted(known: Mapping[float, Run], present: float) -> list[float]:
    """Rates to train: three at first, then those without a result, then beside the best one."""
    if not known:
        middle = _rounded(present)
        return [middle / 2, middle, middle * 2]
    if waiting := [rate for rate, run in known.items() if run.status in ("planned", "failed")]:
        return waiting
    best = min(known, key=lambda rate: _order(known[rate]))
    return [rate for rate in (best / 2, best * 2) if rate not in known]


def _known(exp: Experiment) -> dict[float, Run]:
    """The calibrating runs of the present proxy, whatever rate the file has now."""
    found = {}
    for run in exp.runs():
        if run.origin == CALIBRATION:
            rate = run.proxy["training"][_RATE]
            if _run(exp, rate).id == run.id:
                found[rate] = run
    return dict(sorted(found.items()))


def _run(exp: Experiment, rate: float) -> Run:
    """The natural mixture at a rate."""
    proxy = exp.proxy_file.identity()
    seed = exp.proxy_file.seeds[0]
    return planned_run(
        exp,
        exp.space.reference,
        seed=seed,
        proxy={**_at(proxy, rate), CALIBRATION: True},
        name=f"calibration-{rate:.3g}",
        origin=CALIBRATION,
        seed_block=0,
        round_=0,
    )


def _at(proxy: Mapping[str, Any], rate: float) -> dict[str, Any]:
    return {**proxy, "training": {**proxy["training"], _RATE: rate}}


def _without_rate(proxy: Mapping[str, Any]) -> dict[str, Any]:
    training = {name: value for name, value in proxy["training"].items() if name != _RATE}
    return {**proxy, "training": training}


def _check_unplanned(exp: Experiment, anyway: bool) -> None:
    identity = exp.proxy_file.identity()
    swarm = [run for run in exp.runs() if run.proxy == identity and not is_apart(run.origin)]
    if swarm and not anyway:
        raise DataError(
            f"{len(swarm)} runs of {exp.folder} are planned at the present learning rate, and "
            "another rate makes another proxy, whose runs all have to be trained: calibrate before "
            "`mixopt sample`, or say --anyway"
        )


def _written(exp: Experiment, known: Mapping[float, Run]) -> Calibration:
    """Choose, and write what is chosen unless the file says so already."""
    for run in known.values():
        if run.status not in ("finished", "diverged"):
            raise RunsFailedError(f"run {run.name} has no result ({run.error}): run it again")
    rate, inside = _chosen(known)
    written = rate != _stands(exp)
    if written:
        path = exp.folder / "proxy.toml"
        text = path.read_text(encoding="utf-8")
        write_atomic(path, set_number(text, "training", _RATE, rate, _REMARK))
        del exp.proxy_file  # it was read before
    return Calibration(
        points=tuple(Point(one, _score(run)) for one, run in known.items()),
        measure=_measure(known),
        rate=rate,
        inside=inside,
        written=written,
        confirm_rate=_confirm_rate(exp, rate),
    )


def _chosen(known: Mapping[float, Run]) -> tuple[float, bool]:
    """(rate, whether it lies inside): of the parabola where that has three values."""
    best = min(known, key=lambda rate: _order(known[rate]))
    beside = [known.get(best / 2), known.get(best * 2)]
    if None in beside:
        return best, False
    below, here, above = (_score(run) for run in (beside[0], known[best], beside[1]) if run)
    if below is None or here is None or above is None:
        return best, True
    return _rounded(parabola(best, below, here, above)), True


def _order(run: Run) -> float:
    score = _score(run)
    return inf if score is None else score


def _score(run: Run) -> float | None:
    """Mean over the evaluation domains; None for a run that diverged."""
    for kind in ("bpb/", "loss/"):
        values = [value for name, value in run.metrics.items() if name.startswith(kind)]
        if values:
            return sum(values) / len(values)
    return None


def _measure(known: Mapping[float, Run]) -> str:
    names = {name for run in known.values() for name in run.metrics}
    return "bpb" if any(name.startswith("bpb/") for name in names) else "loss"


def _confirm_rate(exp: Experiment, rate: float) -> float | None:
    """The rule's rate for the larger proxy, times what calibration made of it for the small."""
    if _RATE in exp.proxy_file.confirm.training:
        return None
    small, large = exp.proxy_file.identity(), exp.proxy_file.confirm_identity()
    if all(small[key] == large[key] for key in ("preset", "sizes", "tokens")):
        return None
    by_rule = [_resolved(exp, _without_rate(proxy)) for proxy in (small, large)]
    return _rounded(by_rule[1] * rate / by_rule[0])


def _rounded(rate: float) -> float:
    """Three digits: nobody can tell more."""
    return float(f"{rate:.3g}")
