"""Table: the one join of runs, space and metrics keeps names, orientation and alignment."""

from dataclasses import replace

import numpy as np
import pytest

from mixopt.errors import ConfigError, DataError
from mixopt.runs import Run
from mixopt.space import Domain, Space
from mixopt.table import join, row_of

SPACE = Space([Domain("web", tokens=3e6), Domain("code", tokens=1e6)])
PROXY = {"preset": "tiny", "tokens": 1000}


def run(web, metrics, **fields):
    schedule = ((1.0, {"code": 1.0 - web, "web": web}),)
    given = {"seed": 1, "proxy": PROXY, "data": "d", "name": f"{web}", **fields}
    return Run(schedule=schedule, metrics=metrics, **given)


RUNS = [
    run(0.2, {"bpb/web": 2.0, "bpb/code": 1.0}, scale=(1.0, 1.0, 10.0), seed_block=0),
    run(0.6, {"bpb/web": 1.5, "bpb/code": 1.4}, scale=(1.0, 1.0, 10.0), seed_block=1),
    run(0.9, {"bpb/code": 1.9}, scale=(1.0, 1.0, 10.0), origin="sobol"),
]


def test_rows_and_columns_are_aligned_by_name():
    table = join(RUNS, SPACE)
    assert table.metrics == ("bpb/code", "bpb/web")
    np.testing.assert_allclose(table.weights, [[0.2, 0.8], [0.6, 0.4], [0.9, 0.1]])
    np.testing.assert_array_equal(table.losses, [[1.0, 2.0], [1.4, 1.5], [1.9, np.nan]])
    assert table.own.tolist() == [1, 0]
    assert table.seed_block.tolist() == [0, 1, -1]
    assert table.origins == ("", "", "sobol")
    assert len(table) == 3


def test_domains_in_another_order_move_columns_only():
    turned = Space([Domain("code", tokens=1e6), Domain("web", tokens=3e6)])
    one, other = join(RUNS, SPACE), join(RUNS, turned)
    np.testing.assert_array_equal(one.weights, other.weights[:, ::-1])
    np.testing.assert_array_equal(one.losses, other.losses)
    assert other.own.tolist() == [0, 1]


@pytest.mark.parametrize("change", [{"metrics": {}}, {"metrics": {}, "error": "diverged: x"}])
def test_only_finished_runs_are_in_it(change):
    runs = [*RUNS, replace(run(0.5, {}), **change)]
    assert join(runs, SPACE).ids == join(RUNS, SPACE).ids


def test_controlled_runs_are_left_out():
    controlled = replace(RUNS[0], schedule=None, controller={"name": "odm"})
    assert len(join([*RUNS, controlled], SPACE)) == 3


def test_higher_is_better_is_negated_and_must_be_declared():
    runs = [run(0.2, {"task/arc": 0.3}), run(0.7, {"task/arc": 0.5})]
    table = join(runs, SPACE, directions={"task/arc": "up"})
    np.testing.assert_array_equal(table.losses[:, 0], [-0.3, -0.5])
    assert table.directions.tolist() == [-1.0]
    with pytest.raises(ConfigError, match="has no direction"):
        join(runs, SPACE)


def test_laws_never_see_test_text_nor_the_router_unless_asked():
    runs = [replace(RUNS[0], metrics={"bpb/web": 1.0, "bpb@test/web": 9.0, "router/dead": 0.0})]
    assert join(runs, SPACE).metrics == ("bpb/web",)
    assert join(runs, SPACE, metrics=["bpb@test/web"]).losses.tolist() == [[9.0]]


def test_what_nobody_measured_is_an_error_that_knows_the_nearest_name():
    with pytest.raises(DataError, match="did you mean 'bpb/web'"):
        join(RUNS, SPACE, metrics=["bpb/wib"])
    with pytest.raises(DataError, match="no finished run"):
        join([run(0.5, {})], SPACE)


def test_a_selection_is_the_join_of_the_selected_runs():
    table = join(RUNS, SPACE)
    picked = table.select(np.array([True, False, True]))
    fresh = join([RUNS[0], RUNS[2]], SPACE, metrics=table.metrics)
    for name in ("weights", "losses", "scales", "seed_block", "round"):
        np.testing.assert_array_equal(getattr(picked, name), getattr(fresh, name))
    assert picked.ids == fresh.ids
    assert table.select(np.array([2, 0])).ids == (RUNS[2].id, RUNS[0].id)


@pytest.mark.parametrize(
    "change",
    [
        {"proxy": {**PROXY, "tokens": 2000}},
        {"data": "other"},
        {"scale": (2.0, 2.0, 10.0)},
    ],
    ids=["proxy", "data", "scale"],
)
def test_a_cohort_never_mixes_proxies_data_or_scales(change):
    larger = [replace(item, **change) for item in RUNS[:2]]
    assert join([*RUNS, *larger], SPACE).cohort().ids == join(RUNS, SPACE).ids


def test_info_has_scales_only_where_all_are_known():
    assert join(RUNS, SPACE).info.scales is not None
    assert join([*RUNS, run(0.4, {"bpb/web": 1.0})], SPACE).info.scales is None


def test_a_schedule_is_its_phases_one_after_the_other():
    space = Space([Domain("web"), Domain("code")], phases=(0.75, 0.25))
    two = Run(schedule=((0.75, {"web": 1.0}), (0.25, {"code": 1.0})), seed=1)
    np.testing.assert_array_equal(row_of(two, space), [1.0, 0.0, 0.0, 1.0])
    flat = run(0.6, {})
    np.testing.assert_allclose(row_of(flat, space), [0.6, 0.4, 0.6, 0.4])


def test_phases_of_another_space_are_refused():
    space = Space([Domain("web"), Domain("code")], phases=(0.5, 0.5))
    odd = Run(schedule=((0.75, {"web": 1.0}), (0.25, {"code": 1.0})), seed=1)
    with pytest.raises(DataError, match="phases"):
        row_of(odd, space)
