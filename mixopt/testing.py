"""The contracts as public checks: plain functions of an unfitted law, a design, a proposer or a
controller, so that those of other projects can run them too. A check that fails raises.

    for check in LAW_CHECKS:
        check(MyLaw())
"""

import copy
import dataclasses
import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixopt.arrays import packed
from mixopt.designs.base import Design
from mixopt.errors import DataError, NotFittedError
from mixopt.laws.base import Info, Law
from mixopt.laws.ridge import Ridge
from mixopt.laws.saved import with_arrays, without_arrays
from mixopt.objective import Objective
from mixopt.online.base import Controller, Feedback
from mixopt.online.budget import Budget, Group
from mixopt.problem import Problem
from mixopt.proposers.base import Proposer
from mixopt.proposers.experts import Experts
from mixopt.space import Constraint, Domain, Space
from mixopt.table import Table

Array = NDArray[np.float64]

_COUNT = 5


def planted_losses(weights: Array, metrics: int = 3) -> Array:
    """Noise-free losses (k, metrics) of mixtures (k, d): metric i learns most from domain i.

    Smooth, convex, and no domain harms; the columns are not alike.
    """
    d = weights.shape[1]
    worth = 0.2 + 0.1 * np.arange(d)[:, None] / d + 1.5 * np.eye(d, metrics)
    return 2.0 + (0.2 + np.sqrt(weights) @ worth) ** -0.7


def planted_runs(
    n: int, d: int, rng: np.random.Generator, metrics: int = 3, noise: float = 0.002
) -> tuple[Array, Array]:
    """Uniform mixtures (n, d) and their losses (n, metrics) with Gaussian noise of sd `noise`."""
    weights = rng.dirichlet(np.ones(d), n)
    losses = planted_losses(weights, metrics)
    return weights, losses + noise * rng.standard_normal(losses.shape)


def planted_table(
    n: int, d: int, rng: np.random.Generator, metrics: int = 3, noise: float = 0.002
) -> Table:
    """The runs of `planted_runs` as a table in four seed blocks."""
    weights, losses = planted_runs(n, d, rng, metrics, noise)
    return table_of(weights, losses, np.arange(n) % 4)


def table_of(weights: Array, losses: Array, seed_block: NDArray[np.int64] | None = None) -> Table:
    """A table of bare arrays: metric i is the loss on the text of column i, where there is one."""
    (n, d), m = weights.shape, losses.shape[1]
    return Table(
        ids=tuple(f"{i:016x}" for i in range(n)),
        names=tuple(f"run-{i}" for i in range(n)),
        weights=weights,
        losses=losses,
        metrics=tuple(f"loss/domain{i}" for i in range(m)),
        directions=np.ones(m),
        scales=np.full((n, 3), np.nan),
        seed_block=np.full(n, -1) if seed_block is None else seed_block,
        round=np.zeros(n, dtype=np.int64),
        origins=("planted",) * n,
        cohorts=("planted",) * n,
        own=np.where(np.arange(m) < d, np.arange(m), -1),
        tokens=np.full(d, np.nan),
    )


def planted_space(d: int) -> Space:
    """A space of d domains where the cap of the first binds and the last has unknown tokens."""
    sizes: list[float | None] = [0.05e6, *[1e6] * (d - 1)]
    if d > 2:
        sizes[-1] = None
    domains = [Domain(f"domain{j}", tokens=size) for j, size in enumerate(sizes)]
    return Space(domains, target_tokens=1e6 if d > 1 else None)


def planted_problem(d: int, rng: np.random.Generator) -> Problem:
    """A space with caps, a table, a ridge fitted to it, and the mean of its metrics to optimise.

    The last d runs are of one domain each, which the ridge is not shown; experts say what each of
    these would of 50 tokens.
    """
    space, mixed = planted_space(d), planted_table(8 * d, d, rng)
    table = mixed.plus(table_of(np.eye(d), planted_losses(np.eye(d))))
    objective = Objective("mean", "relative", table.metrics, np.ones(len(table.metrics)))
    law = _mixed_law(table, d)
    says = np.log(rng.dirichlet(np.ones(10), (50, d))[:, :, 0])
    experts = Experts(says, np.arange(50) // 5, np.ones(50))
    return Problem(space, table, law, objective, experts)


def check_relabelled_columns(law: Law) -> None:
    """Domains and metrics in another order: the same predictions in that order."""
    rng = np.random.default_rng(0)
    weights, losses = planted_runs(60, 4, rng)
    rows = rng.dirichlet(np.ones(4), 20)
    order, metrics = np.array([2, 0, 3, 1]), np.array([1, 2, 0])
    straight = _fresh(law).fit(weights, losses).predict(rows)
    shuffled = _fresh(law).fit(weights[:, order], losses[:, metrics]).predict(rows[:, order])
    _assert_close(shuffled, straight[:, metrics], 0.1 * losses.std(axis=0)[metrics])


def check_state_round_trip(law: Law) -> None:
    """State through JSON and npz, then the same predictions and draws to the bit."""
    rng = np.random.default_rng(1)
    fitted = _fresh(law).fit(*planted_runs(40, 3, rng))
    restored = _fresh(law).restore(_through_files(fitted.state()))
    rows = rng.dirichlet(np.ones(3), 10)
    for ours, theirs in zip(
        fitted.predict(rows, return_std=True), restored.predict(rows, return_std=True)
    ):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(fitted.noise_, restored.noise_)
    draws = [one.sample(rows, 2, np.random.default_rng(0)) for one in (fitted, restored)]
    np.testing.assert_array_equal(draws[0], draws[1])


def check_same_runs_same_fit(law: Law) -> None:
    """Fitted twice, also over an earlier fit: equal to the bit."""
    rng = np.random.default_rng(2)
    runs, rows = planted_runs(40, 3, rng), rng.dirichlet(np.ones(3), 10)
    once = _fresh(law).fit(*runs).predict(rows)
    other = _fresh(law).fit(*planted_runs(30, 3, rng))
    np.testing.assert_array_equal(once, other.fit(*runs).predict(rows))


def check_inputs_are_not_written(law: Law) -> None:
    """Read-only arrays are enough."""
    rng = np.random.default_rng(3)
    weights, losses = planted_runs(40, 3, rng)
    rows = rng.dirichlet(np.ones(3), 5)
    for array in (weights, losses, rows):
        array.setflags(write=False)
    fitted = _fresh(law).fit(weights, losses)
    fitted.predict(rows, return_std=True)
    fitted.gradient(rows)
    fitted.sample(rows, 2, rng)
    fitted.refitted(losses)


def check_affine_rescale(law: Law) -> None:
    """Metrics in other units: the same predictions, sd and noise in those units.

    Laws with `published` constants are exempt: those mean something in one unit only.
    """
    if law.published:
        return
    rng = np.random.default_rng(4)
    weights, losses = planted_runs(40, 3, rng)
    rows = rng.dirichlet(np.ones(3), 10)
    mean, sd = _fresh(law).fit(weights, losses).predict(rows, return_std=True)
    scaled = _fresh(law).fit(weights, 4.0 * losses - 7.0)
    scaled_mean, scaled_sd = scaled.predict(rows, return_std=True)
    spread = losses.std(axis=0)
    _assert_close((scaled_mean + 7.0) / 4.0, mean, 1e-3 * spread)
    _assert_close(scaled_sd / 4.0, sd, 1e-3 * spread)


def check_beats_the_mean(law: Law) -> None:
    """On mixtures not seen: well under the spread of the metrics."""
    rng = np.random.default_rng(5)
    fitted = _fresh(law).fit(*planted_runs(80, 4, rng))
    rows = rng.dirichlet(np.ones(4), 200)
    actual = planted_losses(rows)
    error = np.sqrt(np.mean((fitted.predict(rows) - actual) ** 2, axis=0))
    assert (error < 0.7 * actual.std(axis=0)).all(), error / actual.std(axis=0)


def check_constant_metric(law: Law) -> None:
    """A metric without variation is predicted as the constant, with sd and noise zero."""
    rng = np.random.default_rng(6)
    weights, losses = planted_runs(30, 3, rng)
    losses[:, 1] = 0.1
    fitted = _fresh(law).fit(weights, losses)
    rows = rng.dirichlet(np.ones(3), 5)
    mean, sd = fitted.predict(rows, return_std=True)
    np.testing.assert_array_equal(mean[:, 1], 0.1)
    np.testing.assert_array_equal(sd[:, 1], 0.0)
    np.testing.assert_array_equal(fitted.noise_[1], 0.0)
    np.testing.assert_array_equal(fitted.sample(rows, 3, rng)[:, :, 1], 0.1)


def check_unmeasured(law: Law) -> None:
    """NaN is left out: a metric is fitted to the runs that measured it, whatever others hold."""
    rng = np.random.default_rng(7)
    weights, losses = planted_runs(40, 3, rng)
    rows = rng.dirichlet(np.ones(3), 10)
    holes = losses.copy()
    holes[::4, 0] = np.nan
    patchy = _fresh(law).fit(weights, holes).predict(rows)
    measured = np.isfinite(holes[:, 0])
    alone = _fresh(law).fit(weights[measured], losses[measured]).predict(rows)
    whole = _fresh(law).fit(weights, losses).predict(rows)
    spread = losses.std(axis=0)
    _assert_close(patchy[:, 0], alone[:, 0], 0.02 * spread[0])
    np.testing.assert_array_equal(patchy[:, 1:], whole[:, 1:])


def check_one_domain(law: Law) -> None:
    """d = 1: the only mixture has the mean of its runs."""
    losses = np.array([[3.0], [3.1], [2.9], [3.2], [3.0], [2.8]])
    mean, sd = _fresh(law).fit(np.ones((6, 1)), losses).predict(np.ones((1, 1)), return_std=True)
    assert abs(mean[0, 0] - 3.0) < losses.std()
    assert np.isfinite(sd).all()


def check_unused_domain(law: Law) -> None:
    """A domain without tokens, in no run, changes nothing that can be known."""
    rng = np.random.default_rng(8)
    weights, losses = planted_runs(40, 3, rng)
    rows = rng.dirichlet(np.ones(3), 10)
    wider, wider_rows = (np.hstack([part, np.zeros((len(part), 1))]) for part in (weights, rows))
    info = Info(tokens=np.array([1e6, np.nan, 1e6, 0.0]))
    with_it = _fresh(law).fit(wider, losses, info).predict(wider_rows)
    without = _fresh(law).fit(weights, losses).predict(rows)
    _assert_close(with_it, without, 0.1 * losses.std(axis=0))


def check_phases(law: Law) -> None:
    """Rows of two phases, which sum to 2, are rows like others."""
    rng = np.random.default_rng(9)
    weights, losses = planted_runs(40, 3, rng)
    mean, sd = (
        _fresh(law)
        .fit(np.tile(weights, 2), losses)
        .predict(np.tile(weights[:5], 2), return_std=True)
    )
    assert np.isfinite(mean).all()
    assert np.isfinite(sd).all()


def check_shapes_and_errors(law: Law) -> None:
    """Shapes of every answer; NotFittedError before the fit, DataError for wrong shapes."""
    rng = np.random.default_rng(10)
    fresh, rows = _fresh(law), rng.dirichlet(np.ones(3), 5)
    _assert_raises(NotFittedError, lambda: fresh.predict(rows))
    _assert_raises(NotFittedError, fresh.state)
    weights, losses = planted_runs(30, 3, rng, metrics=2)
    _assert_raises(DataError, lambda: fresh.fit(weights[:-1], losses))
    _assert_raises(DataError, lambda: fresh.fit(weights, np.full_like(losses, np.nan)))
    fitted = fresh.fit(weights, losses)
    _assert_raises(DataError, lambda: fitted.predict(rows[:, :2]))
    mean, sd = fitted.predict(rows, return_std=True)
    assert mean.shape == sd.shape == (5, 2)
    assert (sd >= 0).all()
    assert fitted.noise_.shape == (2,)
    assert fitted.gradient(rows).shape == (5, 2, 3)
    assert fitted.sample(rows, 4, rng).shape == (4, 5, 2)
    assert fitted.simulated(rng).shape == losses.shape


def check_gradient(law: Law) -> None:
    """Along the simplex the gradient is the slope of the prediction."""
    rng = np.random.default_rng(11)
    fitted = _fresh(law).fit(*planted_runs(40, 3, rng))
    rows, step = rng.dirichlet(np.full(3, 5.0), 10), 1e-4
    along = rng.dirichlet(np.ones(3), 10) - rows
    rise = fitted.predict(rows + step * along) - fitted.predict(rows - step * along)
    slope = np.einsum("kmd,kd->km", fitted.gradient(rows), along)
    scale = np.abs(fitted.gradient(rows)).max() + 1e-12
    _assert_close(slope, rise / (2 * step), np.full(3, 1e-3 * scale))


def check_draws(law: Law) -> None:
    """Draws repeat with their generator, centre on the mean and tell near mixtures alike."""
    rng = np.random.default_rng(12)
    fitted = _fresh(law).fit(*planted_runs(30, 3, rng))
    rows = rng.dirichlet(np.ones(3), 4)
    rows = np.vstack([rows, rows[:1]])
    draws = fitted.sample(rows, 40, np.random.default_rng(0))
    np.testing.assert_array_equal(draws, fitted.sample(rows, 40, np.random.default_rng(0)))
    np.testing.assert_allclose(draws[:, 0], draws[:, -1], rtol=0, atol=1e-9)
    mean, sd = fitted.predict(rows, return_std=True)
    away = np.abs(draws.mean(axis=0) - mean)
    assert (away <= sd + 1e-12).all(), away / sd


def check_convex(law: Law) -> None:
    """A law that calls itself convex is so on random chords of the simplex."""
    if not law.convex:
        return
    rng = np.random.default_rng(13)
    fitted = _fresh(law).fit(*planted_runs(40, 4, rng))
    ends = rng.dirichlet(np.full(4, 0.5), (2, 200))
    middle = fitted.predict(ends.mean(axis=0))
    chord = (fitted.predict(ends[0]) + fitted.predict(ends[1])) / 2
    assert (middle <= chord + 1e-9).all()


def check_refit(law: Law) -> None:
    """Refitted to its own losses, a law stays where it is; the law it came from is untouched."""
    rng = np.random.default_rng(14)
    weights, losses = planted_runs(40, 3, rng)
    fitted = _fresh(law).fit(weights, losses)
    rows = rng.dirichlet(np.ones(3), 10)
    before = fitted.predict(rows)
    same, other = fitted.refitted(losses), fitted.refitted(losses[::-1].copy())
    _assert_close(same.predict(rows), before, 0.02 * losses.std(axis=0))
    np.testing.assert_array_equal(fitted.predict(rows), before)
    np.testing.assert_array_equal(other.train_losses_, losses[::-1])


def check_design_points(design: Design) -> None:
    """Points lie in the space: simplex to 1e-9, limits to 1e-8, and differ from each other."""
    for space in _spaces():
        points = design.plan(Problem(space), 12, np.random.default_rng(0))
        _assert_legal(points, space)
        assert points.shape == (12, space.width)
        _assert_distinct(points)


def check_design_repeats(design: Design) -> None:
    """The same generator, the same points; another one, others."""
    space = planted_space(4)
    once, again, other = (
        design.plan(Problem(space), 8, np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(once, again)
    assert np.abs(once - other).max() > 1e-6


def check_design_small(design: Design) -> None:
    """One domain, and one point, are no special cases; no point at all is refused."""
    np.testing.assert_allclose(
        design.plan(Problem(planted_space(1)), 3, np.random.default_rng(0)), 1.0, atol=1e-9
    )
    space = planted_space(3)
    _assert_legal(design.plan(Problem(space), 1, np.random.default_rng(0)), space)
    _assert_raises(DataError, lambda: design.plan(Problem(space), 0, np.random.default_rng(0)))


def check_proposals(proposer: Proposer) -> None:
    """Rows lie in the space, simplex to 1e-9 and limits to 1e-8, differ, and repeat."""
    problem = planted_problem(4, np.random.default_rng(0))
    rows, again = (proposer.propose(problem, _COUNT, np.random.default_rng(0)) for _ in range(2))
    _assert_legal(rows, problem.space)
    assert 1 <= len(rows) <= _COUNT
    _assert_distinct(rows)
    np.testing.assert_array_equal(rows, again)


def check_proposal_is_good(proposer: Proposer) -> None:
    """The first row is predicted better than the reference and every run inside the limits.

    Not of a proposer that asks no law.
    """
    if not proposer.needs_law:
        return
    problem = planted_problem(4, np.random.default_rng(1))
    assert problem.table is not None
    first = proposer.propose(problem, 1, np.random.default_rng(0))
    inside = problem.table.weights[problem.space.contains(problem.table.weights)]
    rivals = np.vstack([inside, problem.space.reference[None]])
    assert _predicted(problem, first)[0] <= _predicted(problem, rivals).min() + 1e-9


def check_proposal_relabelled(proposer: Proposer) -> None:
    """Domains in another order: as good a pick."""
    problem = planted_problem(4, np.random.default_rng(2))
    assert problem.table is not None
    order = np.array([3, 1, 0, 2])
    table = dataclasses.replace(problem.table, weights=problem.table.weights[:, order])
    law = _mixed_law(table, problem.space.d)
    assert problem.experts is not None
    says = problem.experts.log_likelihood[:, order]
    experts = dataclasses.replace(problem.experts, log_likelihood=says)
    space = problem.space.relabelled(order.tolist())
    _assert_as_good(proposer, problem, Problem(space, table, law, problem.objective, experts))


def check_proposal_rescaled(proposer: Proposer) -> None:
    """Metrics in other units: as good a pick."""
    problem = planted_problem(4, np.random.default_rng(3))
    assert problem.table is not None
    table = dataclasses.replace(problem.table, losses=4.0 * problem.table.losses)
    law = _mixed_law(table, problem.space.d)
    _assert_as_good(proposer, problem, dataclasses.replace(problem, table=table, law=law))


def check_proposal_small(proposer: Proposer) -> None:
    """One domain leaves one mixture; where a law is asked, a problem without one, or without an
    objective, is refused.
    """
    problem = planted_problem(1, np.random.default_rng(4))
    rng = np.random.default_rng(0)
    np.testing.assert_allclose(proposer.propose(problem, 1, rng), 1.0, atol=1e-9)
    for missing in ("law", "objective") if proposer.needs_law else ():
        less = dataclasses.replace(problem, **{missing: None})
        _assert_raises(DataError, lambda less=less: proposer.propose(less, 1, rng))


def check_controller_weights(controller: Controller) -> None:
    """On the simplex to 1e-9 whatever is fed back, NaN included, and still until the next one."""
    for wild in (0.0, 1.0, np.nan, np.inf, -np.inf, 1e300, -1e300):
        follow(copy.deepcopy(controller), wild * np.ones((3, _width(controller))))
    rng = np.random.default_rng(0)
    losses = 3.0 + rng.standard_normal((12, _width(controller)))
    losses[rng.random(losses.shape) < 0.3] = np.nan
    follow(copy.deepcopy(controller), losses)


def check_controller_resume(controller: Controller) -> None:
    """Stopped anywhere, its state through JSON, restored: the same to the bit ever after."""
    turns = 9
    whole = _story(copy.deepcopy(controller), turns)
    for stop in range(turns):
        original, fresh = copy.deepcopy(controller), copy.deepcopy(controller)
        _story(original, stop)
        state = json.loads(json.dumps(original.state(), allow_nan=False))
        resumed = fresh.restore(state)
        np.testing.assert_array_equal(original.weights(), resumed.weights())
        again = _story(resumed, turns, stop, whole[stop][1])
        for (weights, _), (expected, _) in zip(again, whole[stop:], strict=True):
            np.testing.assert_array_equal(weights, expected)
        assert resumed.state() == _told(copy.deepcopy(controller), turns).state()


def check_controller_inputs(controller: Controller) -> None:
    """Read-only feedback is enough, and neither `state` nor `weights` moves the controller."""
    controller = copy.deepcopy(controller)
    drawn = np.zeros(_width(controller))
    for step in range(1, 6):
        feedback = planted_feedback(controller, step, drawn, np.random.default_rng(step))
        for field in dataclasses.fields(feedback):
            value = getattr(feedback, field.name)
            if isinstance(value, np.ndarray):
                value.setflags(write=False)
        controller.observe(feedback)
        before = controller.weights().copy()
        state = controller.state()
        json.dumps([controller.reasons(), controller.remarks()], allow_nan=False)
        np.testing.assert_array_equal(before, controller.weights())
        assert state == controller.state()
        drawn = feedback.drawn + _TURN_TOKENS * before


def check_controller_caps(make: Callable[[Budget], Controller]) -> None:
    """No domain gives more than its epochs over the whole run, one without tokens nothing."""
    names, turns = ("web", "law", "new", "empty"), 40
    run = _TURN_TOKENS * turns
    tokens = {"law": 0.02 * run, "new": 0.1 * run, "empty": 0.0}
    budget = Budget.of(names, tokens=tokens, run_tokens=run)
    for seed in range(3):
        controller = make(budget)
        for weights, drawn in _story(controller, turns, seed=seed, steps=turns):
            assert weights[3] == 0.0
            assert (drawn <= budget.allowed * (1.0 + 1e-8)).all(), drawn
            assert abs(weights.sum() - 1.0) < 1e-9


def check_controller_scarce(make: Callable[[Budget], Controller]) -> None:
    """Where all domains together last exactly for the run, all of them are used up, none more."""
    run = 20 * _TURN_TOKENS
    tokens = {"web": 0.15 * run, "law": 0.1 * run}
    budget = Budget.of(("web", "law"), tokens=tokens, run_tokens=run)
    drawn = _story(make(budget), 21, steps=20)[-1][1]
    np.testing.assert_allclose(drawn, [0.6 * run, 0.4 * run], rtol=1e-8)


def check_controller_floor(make: Callable[[Budget], Controller]) -> None:
    """Whatever is fed back, every domain keeps a part of its prior share."""
    budget = Budget.of(("web", "law", "new"), prior={"web": 0.8, "law": 0.15, "new": 0.05})
    controller = make(budget)
    least = getattr(controller, "floor", 0.0) * budget.prior
    for wild in (np.array([50.0, 0.0, 0.0]), np.array([0.0, 0.0, 50.0])):
        for weights in follow(controller, np.tile(wild, (10, 1))):
            assert (weights >= least - 1e-12).all()


def check_controller_limits(make: Callable[[Budget], Controller]) -> None:
    """Limits on groups and sums of shares hold at every moment, beside caps, to 1e-8."""
    run = 20 * _TURN_TOKENS
    groups = {"scarce": Group(("law", "new"), upper=0.15), "big": Group(("web", "code"), lower=0.5)}
    ratio = Constraint("ratio", {"web": 1.0, "code": -2.0}, minimum=0.0)
    budget = Budget.of(
        ("web", "law", "new", "code", "chat"),
        tokens={"law": 0.02 * run, "code": 0.05 * run},
        run_tokens=run,
        groups=groups,
        constraints=[ratio],
    )
    assert len(budget.limit) == 3
    for seed in range(2):
        for weights, drawn in _story(make(budget), 20, seed=seed, steps=20):
            assert (budget.limit @ weights <= budget.limit_to + 1e-8).all(), weights
            assert (drawn <= budget.allowed * (1.0 + 1e-8)).all(), drawn


def check_controller_one_domain(make: Callable[[Budget], Controller]) -> None:
    """d = 1: the whole of it, always."""
    controller = make(Budget.of(("all",)))
    for weights in follow(controller, np.array([[3.0], [np.nan], [2.0]])):
        np.testing.assert_array_equal(weights, [1.0])


def check_controller_many_domains(make: Callable[[Budget], Controller]) -> None:
    """Thousands of domains are no special case."""
    d = 2000
    losses = 3.0 + np.random.default_rng(0).standard_normal((2, d))
    follow(make(Budget.of([f"domain{j}" for j in range(d)])), losses, metrics=3)


def check_controller_foreign_state(make: Callable[[Budget], Controller]) -> None:
    """The state of another controller, or of other domains, is refused."""
    own = make(Budget.of(("web", "law")))
    other = make(Budget.of(("law", "web"))).state()
    _assert_raises(DataError, lambda: own.restore(other))
    _assert_raises(DataError, lambda: own.restore({**own.state(), "controller": "another"}))
    _assert_raises(DataError, lambda: own.restore({}))


def follow(controller: Controller, losses: Array, metrics: int | None = None) -> list[Array]:
    """Feed losses (turns, d) back, as every kind of evidence there is; the mixtures on the way.

    Each is checked: on the simplex to 1e-9, and the same when asked again.
    """
    seen, drawn = [], np.zeros(losses.shape[1])
    for turn, row in enumerate(losses):
        weights = controller.weights()
        np.testing.assert_array_equal(weights, controller.weights())
        assert (weights >= 0).all()
        assert abs(weights.sum() - 1.0) < 1e-9, weights.sum()
        seen.append(weights)
        drawn = drawn + _TURN_TOKENS * weights
        controller.observe(_evidence(controller, turn + 1, len(losses), drawn, row, metrics))
    return seen


def planted_feedback(
    controller: Controller, step: int, drawn: Array, rng: np.random.Generator, steps: int = 10
) -> Feedback:
    """Feedback with every field filled with noise; one domain is sometimes not drawn."""
    d = len(drawn)
    train = 3.0 + rng.standard_normal(d)
    train[0] = np.nan if step % 3 == 0 else train[0]
    told = _evidence(controller, step, steps, drawn, train, None)
    square = rng.standard_normal((d, d))
    return dataclasses.replace(
        told,
        eval_loss=3.0 + rng.standard_normal(d),
        gram=square @ square.T,
        influence=rng.standard_normal((d, d)),
        reference=3.0 + rng.standard_normal(d),
        probe_loss=None
        if told.probe_loss is None
        else 3.0 + rng.standard_normal(told.probe_loss.shape),
    )


LAW_CHECKS: list[Callable[[Law], None]] = [
    check_relabelled_columns,
    check_state_round_trip,
    check_same_runs_same_fit,
    check_inputs_are_not_written,
    check_affine_rescale,
    check_beats_the_mean,
    check_constant_metric,
    check_unmeasured,
    check_one_domain,
    check_unused_domain,
    check_phases,
    check_shapes_and_errors,
    check_gradient,
    check_draws,
    check_convex,
    check_refit,
]
DESIGN_CHECKS: list[Callable[[Design], None]] = [
    check_design_points,
    check_design_repeats,
    check_design_small,
]
PROPOSER_CHECKS: list[Callable[[Proposer], None]] = [
    check_proposals,
    check_proposal_is_good,
    check_proposal_relabelled,
    check_proposal_rescaled,
    check_proposal_small,
]
CONTROLLER_CHECKS: list[Callable[[Controller], None]] = [
    check_controller_weights,
    check_controller_resume,
    check_controller_inputs,
]
BUDGET_CHECKS: list[Callable[[Callable[[Budget], Controller]], None]] = [
    check_controller_caps,
    check_controller_scarce,
    check_controller_floor,
    check_controller_limits,
    check_controller_one_domain,
    check_controller_many_domains,
    check_controller_foreign_state,
]
"""Of what makes a controller for a budget."""


def _mixed_law(table: Table, d: int) -> Ridge:
    """A ridge of all runs but the last d."""
    mixed = table.select(np.arange(len(table) - d))
    return Ridge().fit(mixed.weights, mixed.losses, mixed.info)


def _fresh(law: Law) -> Law:
    """An unfitted copy."""
    return type(law)(**law.settings())


def _through_files(state: dict[str, Any]) -> dict[str, Any]:
    """A state as it comes back from JSON (values) and npz without pickle (arrays)."""
    arrays: dict[str, np.ndarray] = {}
    values = json.dumps(without_arrays(state, arrays, "state"), allow_nan=False)
    with np.load(io.BytesIO(packed(arrays)), allow_pickle=False) as loaded:
        return with_arrays(json.loads(values), loaded)


def _spaces() -> list[Space]:
    """Caps that bind, unknown tokens, two phases."""
    capped = planted_space(4)
    phased = Space(capped.domains, target_tokens=capped.target_tokens, phases=(0.7, 0.3))
    return [capped, Space([Domain("web"), Domain("code"), Domain("books")]), phased]


def _predicted(problem: Problem, rows: Array) -> Array:
    """The objective (k,) by the problem's law, against the reference mixture."""
    assert problem.law is not None
    assert problem.objective is not None
    reference = problem.law.predict(problem.space.reference[None])[0]
    return problem.objective.value(problem.law.predict(rows), reference)


def _assert_as_good(proposer: Proposer, problem: Problem, other: Problem) -> None:
    """Both picks are as good as each other, by 2 % of what the mixtures of the table span."""
    assert problem.table is not None
    span = np.ptp(_predicted(problem, problem.table.weights))
    ours, theirs = (
        _predicted(one, proposer.propose(one, 1, np.random.default_rng(0)))[0]
        for one in (problem, other)
    )
    assert abs(ours - theirs) <= 0.02 * span, (ours, theirs, span)


def _assert_legal(rows: Array, space: Space) -> None:
    assert (rows >= 0).all()
    phases = rows.reshape(len(rows), len(space.phases), space.d)
    np.testing.assert_allclose(phases.sum(axis=2), 1.0, rtol=0, atol=1e-9)
    assert space.contains(rows, 1e-8).all(), [space.violations(row) for row in rows]


def _assert_distinct(rows: Array) -> None:
    apart = np.abs(rows[:, None] - rows[None]).sum(axis=2) + np.eye(len(rows))
    assert apart.min() > 1e-6


def _assert_close(found: Array, expected: Array, tolerance: Array) -> None:
    """Equal to a tolerance a column."""
    apart = np.abs(found - expected).max(axis=0)
    assert (apart <= tolerance).all(), (apart, tolerance)


def _assert_raises(kind: type[Exception], act: Callable[[], Any]) -> None:
    try:
        act()
    except kind:
        return
    raise AssertionError(f"expected {kind.__name__}")


_TURN_TOKENS = 1000.0


def _width(controller: Controller) -> int:
    return len(controller.weights())


def _story(
    controller: Controller,
    turns: int,
    first: int = 0,
    drawn: Array | None = None,
    seed: int = 1,
    steps: int = 10,
) -> list[tuple[Array, Array]]:
    """(weights, drawn before) of the turns from `first` on, each followed by noise."""
    told = np.zeros(_width(controller)) if drawn is None else drawn
    seen = []
    for turn in range(first, turns):
        weights = controller.weights()
        seen.append((weights, told))
        told = told + _TURN_TOKENS * weights
        rng = np.random.default_rng([seed, turn])
        controller.observe(planted_feedback(controller, turn + 1, told, rng, steps))
    return seen


def _told(controller: Controller, turns: int) -> Controller:
    """The controller after a story."""
    _story(controller, turns)
    return controller


def _evidence(
    controller: Controller,
    step: int,
    steps: int,
    drawn: Array,
    losses: Array,
    metrics: int | None,
) -> Feedback:
    """Feedback in which every field is made of the losses (d,) of one turn."""
    own = losses[: metrics or len(losses)]
    probes = controller.probes()
    lean = np.tile(losses, (len(own), 1))
    return Feedback(
        step=step,
        steps=steps,
        tokens=int(_TURN_TOKENS * step),
        drawn=drawn,
        train_loss=losses,
        eval_loss=own,
        gram=np.tile(losses, (len(losses), 1)) if len(losses) < 500 else np.diag(losses),
        influence=lean,
        reference=np.full(len(losses), 2.5),
        probe_loss=None if probes is None else np.tile(own, (len(probes[0]), 1)),
    )
