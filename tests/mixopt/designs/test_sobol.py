"""Sobol: more even than independent draws of the same distribution."""

import numpy as np

from mixopt.designs.sobol import Sobol
from mixopt.problem import Problem
from mixopt.space import Domain, Space

SPACE = Space([Domain(name) for name in "abcd"])


def test_means_are_closer_to_the_truth_than_those_of_independent_draws():
    def worst(rows):
        return np.abs(rows.mean(axis=0) - 0.25).max()

    ours = [
        worst(Sobol().plan(Problem(SPACE), 64, np.random.default_rng(seed))) for seed in range(20)
    ]
    theirs = [worst(SPACE.uniform(64, np.random.default_rng(seed))) for seed in range(20)]
    assert np.median(ours) < 0.4 * np.median(theirs)


def test_a_low_concentration_leans_towards_the_faces():
    def least(concentration):
        design = Sobol(concentration=concentration)
        return np.median(design.plan(Problem(SPACE), 64, np.random.default_rng(0)).min(axis=1))

    assert least(0.3) < 0.2 * least(1.0)
