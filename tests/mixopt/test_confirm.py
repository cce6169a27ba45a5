"""confirm: arms, blocks, and a test that is wrong at most as often as it says."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.baselines import Baseline
from mixopt.confirm import Arm, Blocks, Confirmation, blocks_needed, judge, plan_arms, pooled_noise
from mixopt.dunnett import power
from mixopt.errors import DataError
from mixopt.space import Domain, Space

SPACE = Space([Domain("web"), Domain("code"), Domain("maths")])


def _arm(name: str, role: str) -> Arm:
    return Arm(name, role, ((1.0, {"web": 1.0}),))


PICK, OTHER = _arm("pick", "proposal"), _arm("other", "proposal")
NATURAL, UNIFORM = _arm("natural", "baseline"), _arm("uniform", "baseline")
SEEN = _arm("run-7", "best_run")
ARMS = (PICK, NATURAL, UNIFORM, SEEN)


def _rows(**mixtures: tuple[float, float, float]) -> dict[str, np.ndarray]:
    return {name: np.array(row) for name, row in mixtures.items()}


def _baselines(**mixtures: tuple[float, float, float]) -> dict[str, Baseline]:
    return {name: Baseline(row, projected=False) for name, row in _rows(**mixtures).items()}


def _noisy(means: list[float], blocks: int, noise: float, rng: np.random.Generator) -> np.ndarray:
    block = 10 * noise * rng.standard_normal(blocks)
    return np.array(means)[:, None] + block + noise * rng.standard_normal((len(means), blocks))


def test_near_baselines_share_an_arm_and_the_first_name_stands() -> None:
    arms = plan_arms(
        SPACE,
        _rows(pick=(0.1, 0.1, 0.8)),
        _baselines(
            natural=(0.5, 0.3, 0.2), uniform=(0.33, 0.34, 0.33), unimax=(0.335, 0.335, 0.33)
        ),
        ("run-7", np.array([0.2, 0.2, 0.6])),
    )
    assert [arm.names for arm in arms] == [
        ("pick",),
        ("natural",),
        ("uniform", "unimax"),
        ("run-7",),
    ]
    assert [arm.role for arm in arms] == ["proposal", "baseline", "baseline", "best_run"]


def test_aliases_of_a_baseline_are_names_of_its_arm() -> None:
    rivals = {"uniform": Baseline(np.full(3, 1 / 3), False, ("natural", "unimax"))}
    arms = plan_arms(SPACE, _rows(pick=(1.0, 0.0, 0.0)), rivals)
    assert arms[1].names == ("uniform", "natural", "unimax")


def test_a_baseline_near_the_proposal_stays_a_rival_and_the_best_run_does_not() -> None:
    arms = plan_arms(
        SPACE,
        _rows(pick=(0.33, 0.33, 0.34)),
        _baselines(uniform=(1 / 3, 1 / 3, 1 / 3)),
        ("run-7", np.array([0.33, 0.33, 0.34])),
    )
    assert [arm.names for arm in arms] == [("pick", "run-7"), ("uniform",)]


def test_arms_survive_json() -> None:
    arms = plan_arms(SPACE, _rows(pick=(0.1, 0.1, 0.8)), _baselines(natural=(0.5, 0.3, 0.2)))
    told = json.loads(json.dumps([arm.to_json() for arm in arms]))
    assert tuple(Arm.from_json(values) for values in told) == arms


def test_an_arm_twice_and_no_arm_are_errors() -> None:
    with pytest.raises(DataError, match="'pick' twice"):
        plan_arms(SPACE, _rows(pick=(1, 0, 0)), _baselines(pick=(0, 1, 0)))
    with pytest.raises(DataError, match="a proposal and a baseline"):
        plan_arms(SPACE, {}, _baselines(natural=(0, 1, 0)))


def test_blocks_for_half_the_predicted_gain() -> None:
    found = blocks_needed(0.04, 0.01, ARMS, least=3)
    assert 3 <= found.count <= 10
    assert found.power is not None
    assert found.power >= 0.8
    assert power(0.02, 0.01, found.count - 1, 1, 3, 0.95) < 0.8 or found.count == 3


def test_smaller_gains_need_more_blocks_up_to_ten() -> None:
    counts = [blocks_needed(gain, 0.01, ARMS, least=3).count for gain in (0.2, 0.04, 0.03, 0.001)]
    assert counts == sorted(counts)
    assert counts[0] == 3
    assert counts[-1] == 10
    assert blocks_needed(0.2, 0.01, ARMS).count == 5
    assert blocks_needed(0.2, None, ARMS) == Blocks(5, None)


def test_differences_noise_and_standard_error_by_hand() -> None:
    values = np.array([[1.0, 2.0, 3.0], [1.3, 2.1, 3.5], [1.9, 3.1, 4.0]])
    arms = (PICK, NATURAL, UNIFORM)
    residuals = values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()
    noise = np.sqrt((residuals**2).sum() / 4)
    found = judge(values, arms)
    assert (found.noise, found.df) == (pytest.approx(noise), 4)
    natural, uniform = sorted(found.comparisons, key=lambda item: item.rival)
    assert natural.difference == pytest.approx(-0.3)
    assert uniform.difference == pytest.approx(-1.0)
    assert natural.se == pytest.approx(noise * np.sqrt(2 / 3))
    assert pooled_noise(values) == (found.noise, found.df)


@given(shift=st.lists(st.floats(-100, 100), min_size=5, max_size=5), seed=st.integers(0, 1000))
def test_block_effects_cancel(shift: list[float], seed: int) -> None:
    values = _noisy([0.0, 0.1, 0.1, 0.2], 5, 0.05, np.random.default_rng(seed))
    one, two = judge(values, ARMS), judge(values + np.array(shift), ARMS)
    for plain, shifted in zip(one.comparisons, two.comparisons, strict=True):
        assert shifted.difference == pytest.approx(plain.difference, abs=1e-9)
        assert shifted.p == pytest.approx(plain.p, abs=1e-6)


def test_order_of_blocks_and_rivals_does_not_matter() -> None:
    values = _noisy([0.0, 0.1, 0.1, 0.2], 5, 0.05, np.random.default_rng(0))
    order = [0, 3, 1, 2]
    one = judge(values, ARMS)
    two = judge(values[order][:, ::-1], [ARMS[i] for i in order])
    ours = {item.rival: item for item in one.comparisons}
    for item in two.comparisons:
        assert item.difference == pytest.approx(ours[item.rival].difference)
        assert item.p == pytest.approx(ours[item.rival].p)
        assert item.outcome == ours[item.rival].outcome


def test_scaling_the_objective_scales_differences_and_nothing_else() -> None:
    values = _noisy([0.0, 0.1, 0.1, 0.2], 5, 0.05, np.random.default_rng(0))
    for one, two in zip(
        judge(values, ARMS).comparisons, judge(7 * values, ARMS).comparisons, strict=True
    ):
        assert two.difference == pytest.approx(7 * one.difference)
        assert two.p == pytest.approx(one.p)


def test_better_only_if_better_than_every_rival() -> None:
    rng = np.random.default_rng(0)
    clear = judge(_noisy([0.0, 1.0, 1.0, 1.0], 5, 0.01, rng), ARMS)
    assert clear.outcome("pick") == "better"
    values = _noisy([0.0, 1.0, 1.0, 0.0], 5, 0.01, rng)
    values[3] += values[0].mean() - values[3].mean()
    tied = judge(values, ARMS)
    assert {item.rival for item in tied.comparisons if item.outcome == "better"} == {
        "natural",
        "uniform",
    }
    assert tied.outcome("pick") == "undecided"
    behind = judge(_noisy([0.5, 1.0, 0.0, 1.0], 5, 0.01, rng), ARMS)
    assert behind.outcome("pick") == "worse"
    assert behind.against("pick")[0].rival == "uniform"


@pytest.mark.parametrize("arms", [ARMS, (PICK, OTHER, NATURAL, UNIFORM)], ids=["one", "two"])
def test_without_a_gain_better_is_said_at_most_one_time_in_twenty(arms: tuple[Arm, ...]) -> None:
    rng, studies, wrong = np.random.default_rng(0), 1500, 0
    far = [5.0 if arm.name == "uniform" else 0.0 for arm in arms]  # one rival is as good
    far = [5.0 if arm.role == "best_run" else mean for arm, mean in zip(arms, far, strict=True)]
    for _ in range(studies):
        found = judge(_noisy(far, 4, 1.0, rng), arms)
        wrong += any(found.outcome(name) == "better" for name in found.proposals)
    limit = 0.05 + 3 * np.sqrt(0.05 * 0.95 / studies)
    assert wrong / studies <= limit
    assert wrong / studies >= 0.02  # nor is the test idle


def test_a_gain_is_found_as_often_as_planned() -> None:
    rng, studies = np.random.default_rng(1), 400
    gain, blocks = 2.0, 6
    found = sum(
        judge(_noisy([-gain, 0.0, 0.0, 0.0], blocks, 1.0, rng), ARMS).outcome("pick") == "better"
        for _ in range(studies)
    )
    expected = power(gain, 1.0, blocks, 1, 3, 0.95)
    assert found / studies == pytest.approx(expected, abs=4 * np.sqrt(0.25 / studies))
    assert expected > 0.5


def test_a_failed_run_takes_its_block_out_and_is_counted() -> None:
    values = _noisy([0.0, 0.1, 0.1, 0.2], 6, 0.05, np.random.default_rng(0))
    broken = values.copy()
    broken[2, 4] = np.nan
    found, without = judge(broken, ARMS), judge(np.delete(values, 4, axis=1), ARMS)
    assert (found.blocks, found.incomplete) == (5, 1)
    assert found == replace(without, incomplete=1)
    broken[0, :5] = np.nan
    with pytest.raises(DataError, match=r"got 1 \(missing: pick, uniform\)"):
        judge(broken, ARMS)


def test_looking_again_costs() -> None:
    values = _noisy([0.0, 0.1, 0.1, 0.2], 5, 0.05, np.random.default_rng(0))
    once, again = judge(values, ARMS), judge(values, ARMS, looks=2)
    for one, two in zip(once.comparisons, again.comparisons, strict=True):
        assert two.upper > one.upper
        assert two.p == pytest.approx(min(1.0, 2 * one.p))


def test_p_is_below_the_error_rate_exactly_where_the_interval_excludes_zero() -> None:
    rng = np.random.default_rng(2)
    for looks in (1, 2):
        for _ in range(50):
            values = _noisy([-1.5, 0.0, 0.0, 0.0], 4, 1.0, rng)
            for item in judge(values, ARMS, looks=looks).comparisons:
                assert (item.p < 0.05) == (item.upper < 0) == (item.outcome == "better")


def test_not_significant_is_not_the_same() -> None:
    rng = np.random.default_rng(3)
    vague = judge(_noisy([0.0, 0.2, 0.0], 5, 0.01, rng), (PICK, NATURAL, UNIFORM))
    assert vague.outcome("pick") == "undecided"
    close = judge(_noisy([0.0, 0.2, 0.0], 5, 0.0003, rng), (PICK, NATURAL, UNIFORM))
    against = {item.rival: item.outcome for item in close.comparisons}
    assert against == {"natural": "better", "uniform": "same"}
    assert close.outcome("pick") == "same"
    # without the natural mixture nobody knows how much the rival gains
    unknown = judge(_noisy([0.0, 0.0], 5, 0.0003, rng), (PICK, UNIFORM))
    assert unknown.outcome("pick") != "same"


def test_the_margin_shrinks_with_the_rivals_own_gain() -> None:
    rng = np.random.default_rng(4)
    values = _noisy([0.0, 0.001, 0.0], 5, 0.0003, rng)
    found = judge(values, (PICK, NATURAL, UNIFORM))
    assert {item.rival: item.outcome for item in found.comparisons}["uniform"] == "undecided"


def test_the_shrunk_difference_lies_between_what_was_seen_and_what_was_promised() -> None:
    values = _noisy([0.0, 0.1, 0.1, 0.2], 5, 0.05, np.random.default_rng(0))
    promised = {"pick": 0.0, "natural": 0.5, "uniform": 0.2, "run-7": 0.3}
    found = judge(values, ARMS, predicted=promised)
    for item in found.comparisons:
        assert item.predicted == pytest.approx(-promised[item.rival])
        assert item.shrunk is not None
        low, high = sorted((item.difference, item.predicted))
        assert low < item.shrunk < high
    kept = judge(values, ARMS, predicted={"pick": 0.0, "natural": 0.5})
    assert {item.rival for item in kept.comparisons if item.shrunk is None} == {"uniform", "run-7"}


def test_a_promise_kept_exactly_counts_as_much_as_the_runs() -> None:
    values = _noisy([0.0, 1.0], 5, 0.05, np.random.default_rng(0))
    raw = judge(values, (PICK, NATURAL)).comparisons[0].difference
    item = judge(values, (PICK, NATURAL), predicted={"pick": raw, "natural": 0.0}).comparisons[0]
    assert item.shrunk == pytest.approx(raw)


def test_documents_give_an_interval_of_their_own() -> None:
    rng = np.random.default_rng(0)
    values = _noisy([0.0, 0.1, 0.1, 0.2], 5, 0.05, rng)
    text = 0.3 * rng.standard_normal((500, 1, 1))  # moves all arms alike
    same = judge(values, ARMS, documents=values + text)
    for item in same.comparisons:
        assert item.documents == pytest.approx((item.difference, item.difference))
    own = judge(values, ARMS, documents=values + 0.01 * rng.standard_normal((500, 4, 5)))
    for item in own.comparisons:
        assert item.documents is not None
        assert item.documents[0] < item.difference < item.documents[1]


def _confirmation() -> Confirmation:
    values = _noisy([0.0, 0.1, 0.1, 0.2], 5, 0.05, np.random.default_rng(0))
    return judge(values, ARMS, predicted={"pick": 0.0, "natural": 0.1})


def test_frames_hold_what_is_printed() -> None:
    found = _confirmation()
    assert list(found.frame()["rival"]) == [item.rival for item in found.against("pick")]
    assert {"difference", "se", "p", "verdict"} <= set(found.frame().columns)
    assert list(found.arm_frame()["objective"]) == sorted(found.means)


def test_the_confirmation_is_json_without_nan() -> None:
    told = json.loads(json.dumps(_confirmation().to_json(), allow_nan=False))
    assert told["outcomes"] == {"pick": _confirmation().outcome("pick")}
    assert len(told["comparisons"]) == 3


def test_values_of_another_shape_and_unknown_proposals_are_errors() -> None:
    with pytest.raises(DataError, match="of 4 arms"):
        judge(np.zeros((3, 5)), ARMS)
    with pytest.raises(DataError, match="known: pick"):
        _confirmation().outcome("pik")
