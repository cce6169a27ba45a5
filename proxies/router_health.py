"""Load and specialisation of experts, from how many tokens of each domain every expert got.

    p_qi = c_qi / sum_i c_qi    share of domain q's assignments that expert i of a layer has
    pbar_i = mean_q p_qi        every domain counts as much, whatever its windows are
    MI = mean_q sum_i p_qi ln(p_qi / pbar_i)    nats; at most min(ln E, ln Q)
    effective_q = exp(entropy of p_q),  own_q = sum_i p_qi (p_qi / Q) / pbar_i, from 1/Q to 1

Counted shares vary by chance, which makes MI too large. To second order it is too large by
sum_i [mean_q v_qi - v_i] / (2 pbar_i), where v_qi is the variance of p_qi over the windows of q and
v_i that of pbar_i; windows, not tokens, since the tokens of a window go to like experts. The p of
MI is that of a permutation test: domains are dealt anew to whole windows.
Metrics after "Measuring expert specialisation" in OLMoE (arXiv:2409.02060) and arXiv:2501.11873.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proxies.seeds import stream

Array = NDArray[np.float64]

PERMUTATIONS = 199
_DEAD = 0.1  # of the balanced share: an expert with less is called dead


@dataclass(frozen=True)
class RouterHealth:
    """What the router of one proxy does with Q domains in L layers of E experts."""

    counts: NDArray[np.int64]
    """(Q, L, E) tokens that each expert got."""
    information: Array
    """(L,) mutual information of domain and expert in nats, less what chance adds."""
    p: float
    """Share of permutations with as much information (mean over layers), the observed one among
    them; NaN for one domain."""
    effective: Array
    """(Q,) experts that a domain uses in effect, mean over layers."""
    own: Array
    """(Q,) share of what a domain uses that it does not share with others, mean over layers."""

    @property
    def metrics(self) -> dict[str, float]:
        """The figures of a run, means over layers: `router/...`."""
        found = load_metrics(self.counts.sum(0))
        if len(self.counts) > 1:  # one domain has nothing to be told from
            found["router/mi"] = float(self.information.mean())
            found["router/mi_p"] = self.p
            found["router/effective"] = float(self.effective.mean())
            found["router/own"] = float(self.own.mean())
        return found


def router_health(windows: NDArray[np.integer], domain: NDArray[np.integer]) -> RouterHealth:
    """From the tokens that each expert got of each window (W, L, E), and the windows' domains (W,).

    Domains are 0 to Q - 1, each with at least one window.
    """
    counts = _by_domain(windows, domain)
    shares = _shares(counts)
    mean = shares.mean(0)
    safe = np.where(mean > 0, mean, 1.0)
    p = _permutation_p(windows, domain) if len(counts) > 1 else float("nan")
    return RouterHealth(
        counts=counts,
        information=mutual_information(counts) - _bias(windows, domain, shares),
        p=p,
        effective=np.exp(_entropy(shares)).mean(1),
        own=(shares**2 / safe).sum(2).mean(1) / len(counts),
    )


def load_metrics(counts: NDArray[np.integer] | Array) -> dict[str, float]:
    """Load of the experts from their token counts (L, E), averaged over layers.

    `router/maxvio`: the busiest expert's load over the mean load, less 1. `router/dead`: the share
    of experts with under a tenth of the mean load. `router/entropy`: of the load, over ln E.

    >>> {name: round(x, 3) for name, x in load_metrics(np.array([[4, 4, 4, 0]])).items()}
    {'router/maxvio': 0.333, 'router/dead': 0.25, 'router/entropy': 0.792}
    """
    load = counts / counts.mean(1, keepdims=True)
    entropy = _entropy(load / counts.shape[1]) / np.log(counts.shape[1])
    return {
        "router/maxvio": float((load.max(1) - 1.0).mean()),
        "router/dead": float((load < _DEAD).mean()),
        "router/entropy": float(entropy.mean()),
    }


def mutual_information(counts: NDArray[np.integer] | Array) -> Array:
    """MI (..., L) of domain and expert in nats, as counted, from counts (..., Q, L, E).

    >>> mutual_information(np.array([[[8, 0]], [[0, 2]]])).round(4).tolist()
    [0.6931]
    """
    shares = _shares(counts)
    return _entropy(shares.mean(-3)) - _entropy(shares).mean(-2)


def _permutation_p(windows: NDArray[np.integer], domain: NDArray[np.integer]) -> float:
    """p of the mean of MI over layers, when domains are dealt anew to windows.

    The permutations are the same for all runs: what differs between two is not their luck here.
    """
    rng = stream(0, "router permutations")
    observed = mutual_information(_by_domain(windows, domain)).mean()
    dealt = [
        mutual_information(_by_domain(windows, rng.permutation(domain))).mean()
        for _ in range(PERMUTATIONS)
    ]
    as_much = sum(value >= observed * (1.0 - 1e-9) for value in dealt)
    return float(1 + as_much) / (1 + PERMUTATIONS)


def _by_domain(windows: NDArray[np.integer], domain: NDArray[np.integer]) -> NDArray[np.int64]:
    """Sums of (W, ...) over the windows of each domain, (Q, ...)."""
    order = np.argsort(domain, kind="stable")
    starts = np.searchsorted(domain[order], np.arange(int(domain.max()) + 1))
    return np.add.reduceat(windows[order], starts, axis=0, dtype=np.int64)


def _bias(windows: NDArray[np.integer], domain: NDArray[np.integer], shares: Array) -> Array:
    """How much chance adds to MI, (L,), from the spread of windows; 0 for domains of one window."""
    mean = shares.mean(0)
    variance = np.zeros_like(shares)
    for q, own in enumerate(shares):
        counts = windows[domain == q].astype(np.float64)
        size = len(counts)
        if size > 1:
            total = counts.sum(2, keepdims=True)
            residuals = (counts - total * own) / total.mean(0)
            variance[q] = residuals.var(0, ddof=1) / size
    of_mean = variance.mean(0) / len(shares)
    safe = np.where(mean > 0, mean, np.inf)
    return ((variance.mean(0) - of_mean) / (2.0 * safe)).sum(1)


def _shares(counts: NDArray[np.integer] | Array) -> Array:
    return counts / counts.sum(-1, keepdims=True)


def _entropy(shares: Array) -> Array:
    """Nats over the last axis; 0 ln 0 is 0."""
    return -(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(-1)
