"""Blocks: each covers the space by itself and trains both anchors, and nothing is lost."""

import numpy as np
import pytest

from mixopt.designs.blocks import plan_swarm, slice_design
from mixopt.designs.spacefill import SpaceFill
from mixopt.errors import DataError
from mixopt.problem import Problem
from mixopt.space import Domain, Space

SPACE = Space([Domain(f"d{j}") for j in range(5)])
SEEDS = [11, 12, 13, 14]


def design(count, seed=0):
    rng = np.random.default_rng(seed)
    return SpaceFill(pool=400, targets=100).plan(Problem(SPACE), count, rng)


def plan(points, seeds=SEEDS, reference=None):
    at = SPACE.reference if reference is None else reference
    return plan_swarm(points, at, seeds, np.random.default_rng(7))


@pytest.mark.parametrize(
    ("count", "seeds", "blocks"),
    [(24, 4, 4), (23, 4, 2), (40, 6, 4), (40, 3, 3), (8, 1, 1), (1, 4, 2)],
)
def test_the_number_of_blocks(count, seeds, blocks):
    planned = plan(SPACE.uniform(count, np.random.default_rng(0)), list(range(seeds)))
    assert {run.block for run in planned} == set(range(blocks))
    assert all(run.seed == run.block for run in planned)


@pytest.mark.parametrize("count", [1, 2, 7, 24, 30, 41])
def test_every_point_is_planned_once_in_order_and_blocks_are_even(count):
    points = SPACE.uniform(count, np.random.default_rng(1))
    runs = [run for run in plan(points) if run.role == "design"]
    assert [run.index for run in runs] == list(range(count))
    np.testing.assert_array_equal(np.stack([run.row for run in runs]), points)
    sizes = np.bincount([run.block for run in runs])
    assert sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize("count", [6, 30])
def test_each_block_trains_both_anchors_once(count):
    points = design(count)
    planned = plan(points)
    far = points[np.abs(points - SPACE.reference).sum(axis=1).argmax()]
    for block in {run.block for run in planned}:
        rows = np.stack([run.row for run in planned if run.block == block])
        for anchor in (SPACE.reference, far):
            assert (np.abs(rows - anchor).sum(axis=1) < 1e-3).sum() == 1


def test_an_anchor_that_is_a_design_point_is_no_extra_run_in_its_block():
    points = SPACE.uniform(30, np.random.default_rng(2))
    points[29] = SPACE.reference
    planned = plan(points)
    anchors = [run for run in planned if run.role == "anchor"]
    assert len(anchors) == 4 * 2 - 2
    home = next(run.block for run in planned if run.role == "design" and run.index == 29)
    assert home not in {run.block for run in anchors if run.index == 0}


def test_a_design_that_is_only_the_reference_has_one_anchor():
    planned = plan(SPACE.reference[None])
    assert [(run.role, run.block) for run in planned].count(("anchor", 0)) <= 1
    assert {run.index for run in planned} == {0}


def test_blocks_fill_space_better_than_blocks_at_random():
    """The worst-covered design point of the worst block, against 200 random divisions."""
    points = design(32)
    roots = np.sqrt(points)
    apart = ((roots[:, None] - roots[None]) ** 2).sum(axis=2)

    def hole(block_of):
        return max(apart[:, block_of == block].min(axis=1).mean() for block in range(4))

    rng = np.random.default_rng(3)
    chance = [hole(rng.permutation(np.arange(32) % 4)) for _ in range(200)]
    assert hole(slice_design(points, 4, rng)) < np.quantile(chance, 0.1)


def test_the_same_generator_gives_the_same_plan():
    points = design(26)
    one, other = plan(points), plan(points)
    assert [(run.seed, run.block, run.role, run.index) for run in one] == [
        (run.seed, run.block, run.role, run.index) for run in other
    ]


def test_inputs_are_not_written():
    points = design(10)
    points.setflags(write=False)
    plan(points)


def test_no_seed_is_no_plan():
    with pytest.raises(DataError, match="one training seed or more"):
        plan(design(4), [])
