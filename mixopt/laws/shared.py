"""Laws over scale whose metrics share parameters: one Gaussian posterior by linearisation.

    z_i(x) = f_i(x; s, t_i) + e_i, sd(e_i) = sigma_i;    s of all metrics, t_i of metric i alone
    minimised:  sum_i |f_i - z_i|^2 / sigma_i^2 + |prior rows of s|^2 + sum_i |prior rows of t_i|^2
    posterior:  s ~ N(s^, S),   t_i | s ~ N(t_i^ - G_i (s - s^), T_i)
    var f_i(x) = j_t T_i j_t' + (j_s - j_t G_i) S (j_s - j_t G_i)' + (l(scale) sigma_i)^2

The last term is lack of fit, as in `mixopt.laws.linearised`: a Matern process over sqrt(w). The
factor l >= 1 of a scale is how much worse the law fits its runs than all, over all metrics; of a
scale without runs it is the largest of them. Errors of shared parameters move all metrics together,
which is what a law that is asked beyond its runs' scales gets wrong. A metric's unit is its sd
among runs of one scale.
"""

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Generic, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from mixopt.laws.arrow import F, Prior, Squares, descend
from mixopt.laws.base import Array, Info, Law, standardised
from mixopt.laws.correlation import shrunk_correlation, tied_normals
from mixopt.laws.misfit import misfit_draws, misfit_length
from mixopt.laws.scales import Axes, scale_groups

_SIGMA_START = 0.1
_SIGMA_LEAST = 0.02
_STEPS = (150, 100, 100)
"""Of the search, at the noise guessed and then twice at the noise found."""
_STEPS_WARM = 15
_CHUNK = 2048
"""Rows whose slopes are held at once."""
_SMALLEST_SHARE = 1e-6
_SAME_SCALE = 1e-5


class Points(NamedTuple):
    """Where curves are read."""

    shares: Array
    """(k, d), each row summing to one, and 1e-6 on top."""
    scale: Array
    """(k, 3) coordinates of `Axes.at`."""


@dataclass
class SharedLaw(Law, Generic[F]):
    """Subclasses write the curves, their slopes and the priors.

    `scale` (parameters, active ones, tokens) is where predictions are made unless told; None: the
    largest scale of the runs. With runs of one scale only the part in the mixture is fitted.
    """

    scale: tuple[float, float, float] | None = None

    @abstractmethod
    def _shared_prior(self, d: int) -> Prior:
        """Of s (q,); q may be 0."""

    @abstractmethod
    def _own_prior(self, d: int, reach: float) -> Prior:
        """Of t_i; `reach` is how far apart the means of the scales lie, in units of the metric."""

    @abstractmethod
    def _frame(self, points: Points, shared: Array) -> F:
        """What the curves need of k points and s, the same for every metric."""

    @abstractmethod
    def _values(self, frame: F, metrics: NDArray[np.int64], own: Array) -> Array:
        """f (M, k) of the named metrics, own (M, p)."""

    @abstractmethod
    def _slopes(self, frame: F, metrics: NDArray[np.int64], own: Array) -> tuple[Array, Array]:
        """d f / d s (M, k, q) and d f / d t (M, k, p)."""

    def _informing(self, m: int) -> NDArray[np.bool_]:
        """(m,) the metrics that the shared parameters are learned from."""
        return np.ones(m, dtype=bool)

    def _fit(self, weights: Array, losses: Array, info: Info) -> None:
        self.axes_ = Axes.of(info.scales, self.scale).rows
        groups = scale_groups(info.scales, len(losses))
        z, self.centre_, self.spread_ = _standardised_within(losses, groups)
        self.reach_ = _reach(z, groups)
        self.length_ = misfit_length(weights)
        self.shared_ = self._shared_prior(weights.shape[1]).start
        self.theta_ = np.stack([prior.start for prior in self._own_priors()])
        self.sigma_ = np.full(losses.shape[1], _SIGMA_START)
        for steps in _STEPS:
            self._search(z, steps)
            self._weigh()
            self.sigma_ = np.maximum(self._residual_sd(z), _SIGMA_LEAST)
        self._conclude(z)

    def refitted(self, losses: Array) -> Self:
        """The law of the same runs with other losses (n, m), noise and units kept."""
        self._require_fit()
        law = replace(self).restore(self.state())
        law.train_losses_ = losses.copy()
        z = (losses - self.centre_) / np.where(self.spread_ > 0, self.spread_, np.inf)
        law._search(z, _STEPS_WARM)
        law._conclude(z)
        return law

    def _conclude(self, z: Array) -> None:
        """Posterior and the ties between metrics, at the parameters and noise that stand."""
        self._weigh()
        self.noise_ = self.sigma_ * self.spread_
        points = self._train_points()
        residual = z.T - self._curves(points)
        freedom = np.maximum(1.0 - self._leverage(points), 0.05)
        self.correlation_ = shrunk_correlation((residual / freedom).T)
        squares = residual**2 / freedom / self.sigma_[:, None] ** 2
        self.lack_ = _lack(squares, points.scale)

    def _search(self, z: Array, steps: int) -> None:
        """Minimise over metrics that share, together, then over each of the others alone."""
        m = len(self.theta_)
        together = self._informing(m) & (len(self.shared_) > 0)
        alone = [np.array([metric]) for metric in np.flatnonzero(~together)]
        for metrics in [np.flatnonzero(together), *alone] if together.any() else alone:
            squares = self._squares(z, metrics, bool(together[metrics[0]]))
            found = descend(squares, self.shared_, self.theta_[metrics], steps)
            self.shared_, self.theta_ = found[0], self.theta_.copy()
            self.theta_[metrics] = found[1]

    def _squares(self, z: Array, metrics: NDArray[np.int64], sharing: bool) -> Squares[F]:
        """The penalised squares of some metrics; where s is not shared it stands still."""
        points, target = self._train_points(), z[:, metrics].T
        known, priors = np.isfinite(target), self._own_priors()
        still = None if sharing else self._frame(points, self.shared_)
        return Squares(
            frame=lambda shared: self._frame(points, shared) if still is None else still,
            values=lambda frame, own: self._values(frame, metrics, own),
            slopes=lambda frame, own: self._slopes(frame, metrics, own),
            target=np.where(known, target, 0.0),
            by=np.where(known, 1.0 / self.sigma_[metrics][:, None], 0.0),
            prior=self._shared_prior(points.shares.shape[1]) if sharing else None,
            own=[priors[metric] for metric in metrics],
        )

    def _weigh(self) -> None:
        """The posterior's covariances at the parameters and noise that stand."""
        m = len(self.theta_)
        squares = self._squares(self.train_losses_, np.arange(m), sharing=True)
        terms = squares.terms(self.shared_, self.theta_)
        self.own_cov_ = np.linalg.inv(terms.bend_own)
        self.gain_ = np.matmul(self.own_cov_, terms.bend_cross.transpose(0, 2, 1))
        used = self._informing(m)
        rows = self._shared_prior(self.train_weights_.shape[1]).rows
        explained = np.matmul(terms.bend_cross, self.gain_)
        bend = (terms.bends_shared - explained)[used].sum(axis=0) + rows.T @ rows
        self.shared_cov_ = np.linalg.inv(bend)

    def _residual_sd(self, z: Array) -> Array:
        """sqrt(RSS / (n - what the fit spent)) of each metric, the freedom at least n / 4."""
        points, known = self._train_points(), np.isfinite(z.T)
        squares = np.where(known, z.T - self._curves(points), 0.0) ** 2
        spent = np.where(known, self._leverage(points), 0.0).sum(axis=1)
        n = known.sum(axis=1)
        return np.sqrt(squares.sum(axis=1) / np.maximum(n - spent, n / 4))

    def _curves(self, points: Points) -> Array:
        """f (m, k) of every metric."""
        return self._values(
            self._frame(points, self.shared_), np.arange(len(self.theta_)), self.theta_
        )

    def _all_slopes(self, points: Points) -> tuple[Array, Array]:
        """Slopes of every metric, (m, k, q) and (m, k, p)."""
        return self._slopes(
            self._frame(points, self.shared_), np.arange(len(self.theta_)), self.theta_
        )

    def _leverage(self, points: Points) -> Array:
        """Variance of the curves by that of their noise, (m, k), lack of fit left out."""
        slopes, own = self._all_slopes(points)
        slopes = slopes - np.matmul(own, self.gain_)
        variance = np.einsum("mkp,mpr,mkr->mk", own, self.own_cov_, own, optimize=True)
        variance += np.einsum("mkq,qr,mkr->mk", slopes, self.shared_cov_, slopes, optimize=True)
        return variance / self.sigma_[:, None] ** 2

    def _mean(self, weights: Array, scales: Array | None) -> Array:
        parts = [self._curves(points) for points in _chunks(self._points(weights, scales))]
        return self.centre_ + self.spread_ * np.hstack(parts).T * (self.spread_ > 0)

    def _predict(self, weights: Array, scales: Array | None) -> tuple[Array, Array]:
        points = self._points(weights, scales)
        spent = np.hstack([self._leverage(part) for part in _chunks(points)]).T
        lack = self._lack_at(points.scale)[:, None] ** 2
        return self._mean(weights, scales), self.noise_ * np.sqrt(spent + lack)

    def notes(self) -> tuple[str, ...]:
        """Says where an exponent is not learned."""
        if self.train_scales_ is None:
            return ()
        values = self._train_points().scale
        counts = [len(np.unique(np.round(values[:, axis], 5))) for axis in (0, 2)]
        return tuple(
            f"runs of two {name} only: how losses go on beyond them is a guess"
            for name, count in zip(("sizes", "numbers of tokens"), counts)
            if count == 2
        )

    def run_sd(self, weights: Array, scales: Array | None = None) -> Array:
        """sd (k, m) of what a new run would measure: that of the mean holds its noise already."""
        return self.predict(weights, scales, return_std=True)[1]

    def sample(
        self, weights: Array, draws: int, rng: np.random.Generator, scales: Array | None = None
    ) -> Array:
        """Joint draws of the noise-free mean, (draws, k, m).

        A draw is a function of mixture and scale that depends on `rng` alone: asked with the same
        seed at two scales, the same functions answer.
        """
        rows = self._checked(weights)
        points = self._points(rows, scales)
        shared, own = self._parameter_draws(draws, rng)
        misfit = misfit_draws(rows, self.length_, draws, self.correlation_, rng)
        misfit = self.sigma_ * self._lack_at(points.scale)[:, None] * misfit
        slopes, own_slopes = self._all_slopes(points)
        moved = np.einsum("Dq,mkq->Dkm", shared, slopes)
        moved += np.einsum("Dmp,mkp->Dkm", own, own_slopes, optimize=True)
        return self._mean(rows, scales) + self.spread_ * (moved + misfit)

    def _parameter_draws(self, draws: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Deviations of s (draws, q) and t (draws, m, p), those of metrics tied."""
        m = len(self.theta_)
        rows = np.stack([one.rows for one in self._own_priors()])
        root = np.linalg.cholesky(self.shared_cov_) if len(self.shared_) else np.empty((0, 0))
        shared = rng.standard_normal((draws, len(self.shared_))) @ root.T
        noise = self._noise_draw((draws, *self.train_losses_.shape), rng)
        noise = np.where(np.isfinite(self.train_losses_), noise, 0.0)
        pull = tied_normals((draws, rows.shape[1], m), self.correlation_, rng)
        slopes = self._all_slopes(self._train_points())[1] / self.sigma_[:, None, None]
        pushed = np.einsum("Dnm,mnp->Dmp", noise, slopes, optimize=True)
        pushed += np.einsum("Drm,mrp->Dmp", pull, rows, optimize=True)
        own = np.einsum("Dmp,mpr->Dmr", pushed, self.own_cov_)
        return shared, own - np.einsum("Dq,mpq->Dmp", shared, self.gain_)

    def _lack_at(self, scale: Array) -> Array:
        """How much wider than the noise lack of fit is at coordinates (k, 3), (k,)."""
        near = np.abs(scale[:, None, :] - self.lack_[None, :, :3]).max(axis=2) < _SAME_SCALE
        known = np.where(near, self.lack_[:, 3], 0.0).max(axis=1)
        return np.where(known > 0, known, self.lack_[:, 3].max())

    def _noise_draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Standard normal noise whose metrics are tied as the residuals are."""
        return tied_normals(shape, self.correlation_, rng)

    def _own_priors(self) -> list[Prior]:
        d = self.train_weights_.shape[1]
        return [self._own_prior(d, reach) for reach in self.reach_.tolist()]

    @property
    def axes(self) -> Axes:
        """What the runs say of scale."""
        return Axes(self.axes_)

    def _points(self, weights: Array, scales: Array | None) -> Points:
        shares = weights / weights.sum(axis=1, keepdims=True) + _SMALLEST_SHARE
        return Points(shares, self.axes.at(scales, len(weights)))

    def _train_points(self) -> Points:
        return self._points(self.train_weights_, self.train_scales_)


def _standardised_within(losses: Array, groups: NDArray[np.int64]) -> tuple[Array, Array, Array]:
    """`standardised`, by the sd among runs of one scale where there are any to tell it."""
    z, centre, spread = standardised(losses)
    within = np.zeros(losses.shape[1])
    freedom = np.zeros(losses.shape[1])
    for group in np.unique(groups):
        part = losses[groups == group]
        known = np.isfinite(part)
        count = known.sum(axis=0)
        mean = np.where(known, part, 0.0).sum(axis=0) / np.maximum(count, 1)
        within += (np.where(known, part - mean, 0.0) ** 2).sum(axis=0)
        freedom += np.where(count > 1, count, 0)
    sd = np.sqrt(within / np.maximum(freedom, 1))
    ratio = np.where(sd > 1e-9 * spread, sd / np.where(spread > 0, spread, 1.0), 1.0)
    if len(np.unique(groups)) == 1:
        return z, centre, spread
    return z / ratio, centre, spread * ratio


def _lack(squares: Array, scale: Array) -> Array:
    """(g, 4) coordinates of each scale, and the root of the mean of `squares` (m, n) there, or 1.

    The squares are of residuals in units of the noise, NaN where not measured.
    """
    kinds, groups = np.unique(np.round(scale, 6), axis=0, return_inverse=True)
    factors = np.ones(len(kinds))
    for group in range(len(kinds) if len(kinds) > 1 else 0):
        part = squares[:, groups.reshape(-1) == group]
        part = part[np.isfinite(part)]
        factors[group] = max(1.0, float(np.sqrt(part.mean()))) if len(part) else 1.0
    return np.column_stack([kinds, factors])


def _reach(z: Array, groups: NDArray[np.int64]) -> Array:
    """How far apart the means of the scales lie, (m,)."""
    means = []
    for group in np.unique(groups):
        known = np.isfinite(z[groups == group])
        total = np.where(known, z[groups == group], 0.0).sum(axis=0)
        means.append(np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan))
    return np.nanmax(means, axis=0) - np.nanmin(means, axis=0)


def _chunks(points: Points) -> list[Points]:
    starts = range(0, max(len(points.shares), 1), _CHUNK)
    return [
        Points(points.shares[at : at + _CHUNK], points.scale[at : at + _CHUNK]) for at in starts
    ]
