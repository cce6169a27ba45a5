"""Import of CSV pairs: joins by id and name, renaming, and one sentence for each mistake."""

import os
from pathlib import Path

import numpy as np
import pytest

from mixopt.errors import DataError
from mixopt.exchange.tables import check_agreement, imported_runs, read_csv, read_metrics

MIXTURES = """run,ratio_web,ratio_code
a,0.7,0.3
b,0.2,0.8
c,0.5,0.5
"""
METRICS = """web_val_loss,run,loss/code
2.0,c,3.0
1.0,a,4.0
1.5,b,
"""


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return _write(tmp_path, "m.csv", MIXTURES), _write(tmp_path, "l.csv", METRICS)


def _write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_metrics_find_their_mixture_by_id_not_by_position(pair: tuple[Path, Path]) -> None:
    found = imported_runs(*pair, weights="ratio_*")
    by_name = {run.name: run for run in found.runs}
    assert by_name["a"].schedule == ((1.0, {"web": 0.7, "code": 0.3}),)
    assert by_name["a"].metrics == {"loss/web": 1.0, "loss/code": 4.0}
    assert by_name["c"].metrics == {"loss/web": 2.0, "loss/code": 3.0}


def test_an_empty_cell_is_a_metric_that_was_not_measured(pair: tuple[Path, Path]) -> None:
    found = imported_runs(*pair, weights="ratio_*")
    assert next(run for run in found.runs if run.name == "b").metrics == {"loss/web": 1.5}


def test_the_renaming_is_returned(pair: tuple[Path, Path]) -> None:
    found = imported_runs(*pair, weights="ratio_*")
    assert found.renaming == {
        "ratio_web": "web",
        "ratio_code": "code",
        "web_val_loss": "loss/web",
    }


def test_order_of_lines_and_columns_does_not_matter(tmp_path: Path) -> None:
    one = imported_runs(
        _write(tmp_path, "m.csv", "id,web,code\na,.7,.3\nb,.2,.8\n"),
        _write(tmp_path, "l.csv", "id,loss/web\na,1\nb,2\n"),
    )
    two = imported_runs(
        _write(tmp_path, "n.csv", "code,web,id\n.8,.2,b\n.3,.7,a\n"),
        _write(tmp_path, "k.csv", "loss/web,id\n2,b\n1,a\n"),
    )
    assert {run.id: run.metrics for run in one.runs} == {run.id: run.metrics for run in two.runs}


def test_table_and_space_of_a_pair(pair: tuple[Path, Path]) -> None:
    space, table = read_csv(*pair, weights="ratio_*")
    assert space.names == ("web", "code")
    assert np.all(space.caps == 1)
    assert table.metrics == ("loss/code", "loss/web")
    np.testing.assert_allclose(table.weights.sum(axis=1), 1.0)
    assert np.isnan(table.losses).sum() == 1


def test_near_sums_are_renormalised_and_counted(tmp_path: Path) -> None:
    path = _write(tmp_path, "m.csv", "id,web,code\na,0.7,0.309\nb,0.5,0.5\n")
    found = imported_runs(path)
    assert found.renormalised == 1
    assert found.unmeasured == 2
    assert sum(found.runs[0].schedule[0][1].values()) == pytest.approx(1.0)


def test_replicates_in_a_file_are_runs_of_their_own(tmp_path: Path) -> None:
    path = _write(tmp_path, "m.csv", "id,web,code\na,.5,.5\nb,.5,.5\nc,.1,.9\n")
    found = imported_runs(path)
    assert [run.seed for run in found.runs] == [0, 1, 0]
    assert len({run.id for run in found.runs}) == 3


def test_mixtures_of_two_sizes_stay_apart_by_their_scale(tmp_path: Path) -> None:
    mixtures = _write(tmp_path, "m.csv", "id,web,code\na,.5,.5\n")
    low = _write(tmp_path, "l.csv", "id,loss/web\na,4\n")
    high = _write(tmp_path, "k.csv", "id,loss/web\na,3\n")
    small = imported_runs(mixtures, low, scale=(1e6, 1e6, 1e9)).runs
    large = imported_runs(mixtures, high, scale=(6e7, 6e7, 1e9)).runs
    check_agreement(small, large)
    unknown = [imported_runs(mixtures, path).runs for path in (low, high)]
    check_agreement(unknown[0], unknown[0])
    with pytest.raises(DataError, match="scale"):
        check_agreement(*unknown)


def test_scale_from_a_column(tmp_path: Path) -> None:
    path = _write(tmp_path, "m.csv", 'id,web,code,size\na,.5,.5,"1e6,5e5,1e9"\n')
    assert imported_runs(path, scale="size").runs[0].scale == (1e6, 5e5, 1e9)
    with pytest.raises(DataError, match=r"m\.csv:2: column 'web' holds '\.5'"):
        imported_runs(path, scale="web", weights="[wc]*")


def test_an_index_without_a_name_is_an_id(tmp_path: Path) -> None:
    mixtures = _write(tmp_path, "m.csv", ",web,code\n7,.5,.5\n9,.1,.9\n")
    metrics = _write(tmp_path, "l.csv", ",loss/web\n9,2\n7,1\n")
    found = imported_runs(mixtures, metrics)
    assert {run.name: run.metrics["loss/web"] for run in found.runs} == {"7": 1.0, "9": 2.0}


def test_metrics_in_the_mixture_file(tmp_path: Path) -> None:
    path = _write(tmp_path, "m.csv", "id,web,code,loss/web\na,.5,.5,3\n")
    found = imported_runs(path, metric_columns="loss/*")
    assert found.domains == ("web", "code")
    assert found.runs[0].metrics == {"loss/web": 3.0}


def test_joining_a_study_knows_its_domains(tmp_path: Path) -> None:
    path = _write(tmp_path, "m.csv", "id,code,web\na,.4,.6\n")
    (run,) = imported_runs(path, known=("web", "code", "maths")).runs
    assert run.schedule[0][1] == {"web": 0.6, "code": 0.4, "maths": 0.0}
    with pytest.raises(DataError, match="'code' is no domain of this study"):
        imported_runs(path, known=("web", "cod"))


@pytest.mark.parametrize(
    ("mixtures", "metrics", "words"),
    [
        ("id,web,code\na,.5,.5\na,.4,.6\n", None, r"m\.csv:3: id 'a' stands on line 2 already"),
        ("id,web,code\n,.5,.5\n", None, r"m\.csv:2: the column 'id' is empty"),
        ("id,web,code\na,.5,half\n", None, r"m\.csv:2: column 'code' holds 'half'"),
        ("id,web,code\na,.5,\n", None, r"m\.csv:2: column 'code' holds ''"),
        ("id,web,code\na,1.5,-.5\n", None, r"m\.csv:2: column 'code' holds '-\.5'"),
        ("id,web,code\na,.5,nan\n", None, r"m\.csv:2: column 'code' holds 'nan'"),
        ("id,web,code\na,.5,.4\n", None, r"m\.csv:2: the shares sum to 0\.9"),
        ("id,web,code\na,.5\n", None, r"m\.csv:2: expected 3 cells, got 2"),
        ("id,web,web\na,.5,.5\n", None, r"m\.csv:1: the column 'web' twice"),
        ("id,Web,web\na,.5,.5\n", None, r"m\.csv:1: the columns Web, web would all be called"),
        ("id,web,code\n", None, r"m\.csv: expected a header"),
        ("web,code\n.5,.5\n", None, "share no id column"),
        ("id,web\na,1\n", "id,loss/web\nb,1\n", r"l\.csv:2: run 'b' has metrics but no mixture"),
        ("id,web\na,1\n", "id,loss/web\na,inf\n", r"l\.csv:2: column 'loss/web' is infinite"),
        ("id,web\na,1\n", "id,loss/web\na,x\n", r"l\.csv:2: column 'loss/web' holds 'x'"),
        ("id,web\na,1\n", "run,loss/web\na,1\n", "share no id column"),
    ],
)
def test_mistakes_are_named_by_file_line_and_column(
    tmp_path: Path, mixtures: str, metrics: str | None, words: str
) -> None:
    first = _write(tmp_path, "m.csv", mixtures)
    second = None if metrics is None else _write(tmp_path, "l.csv", metrics)
    with pytest.raises(DataError, match=words) as caught:
        imported_runs(first, second)
    assert "\n" not in str(caught.value)


def test_unknown_columns_patterns_and_files_are_named(pair: tuple[Path, Path]) -> None:
    with pytest.raises(DataError, match="no column is called 'rum', did you mean 'run'"):
        imported_runs(*pair, id="rum")
    with pytest.raises(DataError, match="no column matches 'share_\\*'"):
        imported_runs(*pair, weights="share_*")
    with pytest.raises(DataError, match="does not exist"):
        imported_runs(pair[0].with_name("none.csv"))
    with pytest.raises(DataError, match="did you mean 'regmix'"):
        imported_runs(*pair, dialect="regmx")


def test_bytes_that_are_no_text_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes(b"id,web\na,\xff\xfe\n")
    with pytest.raises(DataError, match="could not be read as a CSV"):
        imported_runs(path)


def test_metrics_of_one_run_from_json_and_csv(tmp_path: Path) -> None:
    told = {"bpb/web": 1.25, "task/arc": 0.5}
    from_json = _write(tmp_path, "m.json", '{"bpb/web": 1.25, "task/arc": 0.5}')
    from_csv = _write(tmp_path, "m.csv", "name,value\nbpb/web,1.25\ntask/arc,0.5\n")
    assert read_metrics(from_json) == told
    assert read_metrics(from_csv) == told


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("m.json", '{"bpb/web": NaN}', "is nan"),
        ("m.json", '{"bpb/web": "1"}', "must be a number"),
        ("m.json", '{"bpb/web": true}', "must be a number"),
        ("m.json", "[1]", "expected a JSON mapping"),
        ("m.json", "{", "is not a JSON document"),
        ("m.csv", "name,value\nbpb/web,inf\n", r"m\.csv:2: metric 'bpb/web' is inf"),
        ("m.csv", "name,value\na,1\na,2\n", r"m\.csv:3: name 'a' stands on line 2"),
        ("m.csv", "metric,value\na,1\n", "expected the columns name and value"),
    ],
)
def test_metrics_that_are_no_numbers_are_refused(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    with pytest.raises(DataError, match=words):
        read_metrics(_write(tmp_path, name, text))


def _regmix() -> Path:
    """RegMix's published tables, where this machine has them."""
    beside = Path(__file__).parents[4] / "shared" / "data"
    folder = Path(os.environ.get("MIXOPT_DATA", beside)) / "regmix"
    if not folder.exists():
        pytest.skip(f"RegMix's tables are not in {folder}: set MIXOPT_DATA to their folder")
    return folder


def test_regmix_tables_as_they_are_published() -> None:
    folder = _regmix()
    space, table = read_csv(
        folder / "train_mixture_1m.csv", folder / "train_pile_loss_1m.csv", dialect="regmix"
    )
    assert len(table) == 512
    assert space.d == 17
    assert {"arxiv", "pile_cc", "uspto_backgrounds"} <= set(space.names)
    assert len(table.metrics) == 13
    assert "loss/pile_cc" in table.metrics
    first = table.names.index("1")
    assert table.weights[first, space.names.index("pile_cc")] == pytest.approx(0.787)
    arxiv = table.losses[first, table.metrics.index("loss/arxiv")]
    assert arxiv == pytest.approx(7.0255866050720215)


def test_regmix_renaming_and_renormalisation() -> None:
    folder = _regmix()
    found = imported_runs(
        folder / "train_mixture_1m.csv", folder / "train_pile_loss_1m.csv", dialect="regmix"
    )
    assert found.renaming["train_the_pile_arxiv"] == "arxiv"
    assert found.renaming["metric/the_pile_arxiv_val_loss"] == "loss/arxiv"
    assert found.renormalised > 100
    assert found.unmeasured == 0
    assert found.undeclared({}) == ()
