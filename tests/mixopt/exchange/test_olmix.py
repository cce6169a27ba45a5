"""Olmix's tables as their authors publish them: joined by run, what is left out is told."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.errors import DataError
from mixopt.exchange.priors import read_priors
from mixopt.exchange.tables import imported_runs, read_csv
from mixopt.experiment import Experiment
from mixopt.stages.importing import import_study

RATIOS = """,run,name,index,arxiv,dclm:games,stack-edu:CSharp
0,19g3,swarm-0000,0,0.7000000000000001,0.0,0.3
1,d4nb,swarm-0001,1,0.333,0.333,0.333
2,ube6,swarm-0003,2,0.0,0.5,0.5
"""
METRICS = """,run,name,index,arc_easy:rc::olmes,mbpp:3shot::none
0,ube6,swarm-0003,0,1.5,
1,19g3,swarm-0000,1,1.6,3.1
2,0byj,swarm-0004,2,1.4,3.0
"""
CONFIG = """
swarm: {ratios: ratios.csv, metrics: metrics.csv}
priors:
  relative_sizes: {arxiv: 0.5, "dclm:games": 0.3, "stack-edu:CSharp": 0.2}
  token_counts: {arxiv: 600_000_000, "dclm:games": 300_000_000, "stack-edu:CSharp": 100_000_000}
constraints: {enabled: true, target_tokens: 1_000_000_000, repetition_factor: 2.5}
"""
NAMES = ("arxiv", "dclm:games", "stack-edu:csharp")


def _write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return _write(tmp_path, "ratios.csv", RATIOS), _write(tmp_path, "metrics.csv", METRICS)


def test_runs_are_joined_by_run_and_not_by_index(pair: tuple[Path, Path]) -> None:
    found = imported_runs(*pair, dialect="olmix")
    by_name = {run.name: run for run in found.runs}
    assert set(by_name) == {"19g3", "ube6"}
    assert by_name["19g3"].metrics == {
        "task/arc_easy:rc::olmes": 1.6,
        "task/mbpp:3shot::none": 3.1,
    }
    assert by_name["ube6"].metrics == {"task/arc_easy:rc::olmes": 1.5}
    assert found.domains == NAMES
    assert found.renormalised == 1


def test_runs_of_one_file_are_left_out_with_the_reason(pair: tuple[Path, Path]) -> None:
    assert imported_runs(*pair, dialect="olmix").left_out == (
        "1 runs have no metrics in metrics.csv: d4nb",
        "1 runs have no mixture in ratios.csv: 0byj",
    )


def test_every_metric_falls(pair: tuple[Path, Path]) -> None:
    _, table = read_csv(*pair, dialect="olmix")
    assert np.nanmax(table.losses) > 0  # oriented: lower is better


def test_run_id_is_run_and_a_name_joins_what_has_no_run(tmp_path: Path) -> None:
    ratios = _write(tmp_path, "r.csv", "run_id,web,code\na,0.5,0.5\nb,0.2,0.8\n")
    metrics = _write(tmp_path, "m.csv", "run,index,bpb\nb,0,2.0\na,1,1.0\n")
    found = imported_runs(ratios, metrics, dialect="olmix")
    assert {run.name: run.metrics for run in found.runs} == {
        "a": {"task/bpb": 1.0},
        "b": {"task/bpb": 2.0},
    }
    ratios = _write(tmp_path, "r.csv", "name,index,web,code\na,0,0.5,0.5\nb,1,0.2,0.8\n")
    metrics = _write(tmp_path, "m.csv", "run,name,index,bpb\nx,b,0,2.0\ny,a,1,1.0\n")
    found = imported_runs(ratios, metrics, dialect="olmix")
    assert {run.name: run.metrics["task/bpb"] for run in found.runs} == {"a": 1.0, "b": 2.0}


def test_an_index_joins_nothing(tmp_path: Path) -> None:
    ratios = _write(tmp_path, "r.csv", "index,web,code\n0,0.5,0.5\n")
    metrics = _write(tmp_path, "m.csv", "index,bpb\n0,2.0\n")
    with pytest.raises(DataError, match="share no id column"):
        imported_runs(ratios, metrics, dialect="olmix")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("1,d4nb", "1,19g3", "run '19g3' stands on line 2 already"),
        ("ube6,swarm-0003", "ube6,swarm-0007", "is called 'swarm-0003' here and 'swarm-0007'"),
        ("0.333,0.333,0.333", "0.3,0.3,0.3", "sum to 0.9"),
    ],
)
def test_contradictions_are_errors(pair: tuple[Path, Path], old: str, new: str, words: str) -> None:
    ratios, metrics = pair
    ratios.write_text(RATIOS.replace(old, new))
    with pytest.raises(DataError, match=words):
        imported_runs(ratios, metrics, dialect="olmix")


@settings(max_examples=25, deadline=None)
@given(
    data=st.data(),
    mixed=st.sets(st.integers(0, 30), min_size=1, max_size=12),
    measured=st.sets(st.integers(0, 30), min_size=1, max_size=12),
)
def test_any_order_of_rows_gives_the_same_runs(
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    mixed: set[int],
    measured: set[int],
) -> None:
    folder = tmp_path_factory.mktemp("olmix")

    def read(ratios: list[int], metrics: list[int]) -> tuple[dict[str, object], tuple[str, ...]]:
        rows = [f"{i},r{run},{i},{run / 30:.4f},{1 - run / 30:.4f}" for i, run in enumerate(ratios)]
        told = [f"{i},r{run},{i},{run}.5" for i, run in enumerate(metrics)]
        found = imported_runs(
            _write(folder, "r.csv", "\n".join([",run,index,web,code", *rows])),
            _write(folder, "m.csv", "\n".join([",run,index,bpb", *told])),
            dialect="olmix",
        )
        return {run.name: (run.id, dict(run.metrics)) for run in found.runs}, found.left_out

    one, left = read(sorted(mixed), sorted(measured))
    two, _ = read(
        data.draw(st.permutations(sorted(mixed))), data.draw(st.permutations(sorted(measured)))
    )
    assert one == two
    assert set(one) == {f"r{run}" for run in mixed & measured}
    assert all(metrics == {"task/bpb": int(name[1:]) + 0.5} for name, (_, metrics) in one.items())
    assert len(left) == bool(mixed - measured) + bool(measured - mixed)


def test_priors_become_tokens_prior_and_caps(pair: tuple[Path, Path], tmp_path: Path) -> None:
    config = _write(tmp_path, "fit.yaml", CONFIG)
    done = import_study(tmp_path / "study", *pair, dialect="olmix", priors=config)
    assert (done.new, done.domains) == (2, NAMES)
    assert any("have no metrics" in note for note in done.notes)
    exp = Experiment(tmp_path / "study")
    np.testing.assert_allclose(exp.space.prior, [0.5, 0.3, 0.2])
    np.testing.assert_allclose(exp.space.caps, [1.0, 0.75, 0.25])
    assert exp.table().metrics == ("task/arc_easy:rc::olmes", "task/mbpp:3shot::none")
    again = import_study(tmp_path / "study", *pair, dialect="olmix")
    assert again.new == 0
    with pytest.raises(DataError, match="write the priors into it"):
        import_study(tmp_path / "study", *pair, dialect="olmix", priors=config)


def test_priors_are_read_from_every_file_that_olmix_writes(tmp_path: Path) -> None:
    counts = '{"priors": {"token_counts": {"web": 30, "code": 10}}, "metadata": {"group_id": "x"}}'
    found = read_priors(_write(tmp_path, "launch.json", counts), ["web", "code"])
    assert (found.tokens, found.shares, found.max_epochs) == ({"web": 30, "code": 10}, None, None)
    bare = "relative_sizes: {code: 0.25, web: 0.75}\ntoken_counts: {code: 10, web: 30}\n"
    found = read_priors(_write(tmp_path, "p.yaml", bare), ["web", "code"])
    assert found.shares is None  # natural shares are those of the tokens


def test_priors_of_other_domains_are_told(tmp_path: Path) -> None:
    path = _write(tmp_path, "p.yaml", "token_counts: {web: 30, books: 5}\n")
    found = read_priors(path, ["web", "code"])
    assert found.tokens == {"web": 30}
    assert any("without a column of shares: books" in note for note in found.notes)
    assert any("without a prior: code" in note for note in found.notes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("swarm: {}\n", "expected priors"),
        ("[", "expected YAML"),
        ("token_counts: {web: -1}\n", "weights of 0 or more"),
        ("priors: {token_counts: {web: 1}}\nconstraints: {enabled: true}\n", "target_tokens"),
        ("token_counts: {Web: 1, web: 2}\n", "would be called 'web'"),
    ],
)
def test_bad_priors_are_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_priors(_write(tmp_path, "p.yaml", text), ["web"])
