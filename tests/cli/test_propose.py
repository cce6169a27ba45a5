"""`mixopt propose` and `mixopt reuse` as a user meets them: every choice, and what goes wrong."""

import csv
import json
import random
import shutil
from pathlib import Path

import pytest

from cli.main import main
from mixopt.runs import read_runs

NAMES = ("web", "code", "books")
PROXY = 'tokens = 1_000_000\nseeds = [1, 2]\nscale = [2e6, 2e6]\n[data]\ntokenizer = "bytes"\n'


def one_sentence(result, code, *words):
    """Whether a command ended as it should."""
    assert result.code == code, result.err
    lines = [line for line in result.err.splitlines() if line.startswith("mixopt: ")]
    assert len(lines) == 1, result.err
    for word in words:
        assert word in lines[0]


def add(path, text):
    path.write_text(path.read_text() + text)


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """A study of 24 runs with a law, over two objectives."""
    folder, rng = tmp_path_factory.mktemp("once"), random.Random(1)
    rows = []
    for number in range(24):
        raw = [rng.expovariate(1.0) for _ in NAMES]
        shares = [value / sum(raw) for value in raw]
        losses = [2 + (0.2 + share) ** -0.4 + rng.gauss(0, 0.002) for share in shares]
        rows.append([f"r{number}", *shares, *losses])
    write(folder / "swarm.csv", ["id", *NAMES, *(f"loss/{name}" for name in NAMES)], rows)
    study = folder / "study"
    swarm = str(folder / "swarm.csv")
    assert main(["import", str(study), "--mixtures", swarm, "--metric-columns", "loss*"]) == 0
    add(study / "space.toml", '\n[objective.books]\nover = ["loss/books", "loss/code"]\n')
    add(study / "space.toml", 'weights = {"loss/books" = 9.0, "loss/code" = 1.0}\n')
    assert main(["fit", str(study), "--law", "ridge", "--quiet"]) == 0
    return study


@pytest.fixture
def fitted(once, tmp_path):
    """A copy of that study."""
    return Path(shutil.copytree(once, tmp_path / "study"))


@pytest.fixture
def sizes(tmp_path):
    """A study of nothing but domains and their sizes."""
    study = tmp_path / "sizes"
    study.mkdir()
    domains = "".join(
        f"[domain.{name}]\ntokens = {count}\n" for name, count in zip(NAMES, (1e9, 1e10, 1e10))
    )
    (study / "space.toml").write_text(f"[target]\ntokens = 3e10\n{domains}")
    return study


def proposed(study):
    return json.loads((study / "proposal.json").read_text())


def pick_of(told):
    return next(entry for entry in told["entries"] if entry["role"] == "proposal")


def test_the_verdict_comes_before_any_number(fitted, mixopt):
    out = mixopt("propose", fitted, "-k", 2, "--objective", "mean").out
    first = next(line for line in out.splitlines() if line)
    assert first.startswith("mean: ")
    assert proposed(fitted)["objectives"]["mean"]["verdict"]["sentence"] in first
    assert "90 %" in out


def test_every_weight_of_the_pick_has_an_interval_that_holds_it(fitted, mixopt):
    told = json.loads(mixopt("propose", fitted, "-k", 2, "--objective", "mean", "--json").out)
    told = told["objectives"]["mean"]
    pick = pick_of(told)
    for name, share in pick["shares"].items():
        low, high = told["weights"][name]
        assert 0 <= low <= share <= high <= 1
    assert max(high - low for low, high in told["weights"].values()) > 0.001
    assert told["optimism"] >= 0


def test_a_risk_is_taken_off_and_never_raises_the_sd(fitted, mixopt):
    sds = []
    for risk in ("0", "4"):
        told = json.loads(
            mixopt("propose", fitted, "-k", 1, "--risk", risk, "--objective", "mean", "--json").out
        )
        one = told["objectives"]["mean"]
        pick = pick_of(one)
        sds.append(pick["gains"][one["best_baseline"]]["sd"])
        assert one["risk"] == float(risk)
    assert sds[1] <= sds[0] * 1.05


def test_a_risk_is_for_the_method_that_takes_one(fitted, mixopt):
    one_sentence(mixopt("propose", fitted, "--method", "simulate", "--risk", 1), 3, "risk")


@pytest.mark.parametrize("method", ["unimax", "natural", "uniform", "tempered"])
def test_a_method_without_a_law_needs_none(sizes, mixopt, tmp_path, method):
    result = mixopt("propose", sizes, "--method", method)
    assert result.code == 0, result.err
    assert "no law was fitted" in result.out
    target = tmp_path / "mixture.json"
    assert mixopt("export", sizes, "--to", "json", "-o", target).code == 0
    entry = proposed(sizes)["objectives"]["mean"]["entries"][0]
    assert sum(entry["shares"].values()) == pytest.approx(1)
    assert entry["epochs"]["web"] <= 4 + 1e-6
    assert mixopt("propose", sizes, "--method", method, "--require", "ranking_only").code == 1


def test_a_proposal_without_a_law_is_not_confirmed_and_ages_with_its_limits(
    sizes, mixopt, tmp_path
):
    mixopt("propose", sizes, "--method", "unimax")
    (sizes / "proxy.toml").write_text(PROXY)
    one_sentence(mixopt("confirm", sizes, "--plan"), 3, "without a law", "mixopt fit")
    edit(sizes / "space.toml", "tokens = 3e10", "tokens = 2e10")
    one_sentence(
        mixopt("export", sizes, "--to", "json", "-o", tmp_path / "x.json"), 3, "space.toml changed"
    )


def test_a_method_with_a_law_says_what_to_run(sizes, mixopt):
    assert mixopt("propose", sizes).code == 3
    one_sentence(
        mixopt("propose", sizes, "--method", "unimax", "--pareto"), 3, "trade-off", "mixopt fit"
    )


def test_a_method_without_a_law_is_ranked_where_there_is_one(fitted, mixopt):
    told = json.loads(
        mixopt("propose", fitted, "--method", "unimax", "--objective", "mean", "--json").out
    )
    one = told["objectives"]["mean"]
    assert one["optimism"] is None
    assert one["weights"] is None
    assert {"proposal-1", one["best_baseline"]} <= {entry["name"] for entry in one["entries"]}


def test_a_proposal_that_is_a_baseline_stands_once(fitted, mixopt):
    result = mixopt("propose", fitted, "--method", "unimax", "--objective", "mean")
    ranked = result.out[: result.out.index("shares in %")]
    entries = {entry["name"]: entry for entry in proposed(fitted)["objectives"]["mean"]["entries"]}
    same = entries["proposal-1"]["aliases"]
    assert {"uniform", "unimax"} <= set(same)
    rows = [line.split() for line in ranked.splitlines() if line.startswith("  ")]
    assert ["proposal-1", "=", "uniform"] in [row[:3] for row in rows]
    assert not {"uniform", "unimax"} & {row[0] for row in rows if row}
    chances = {name: entries[name]["best_probability"] for name in ("proposal-1", "uniform")}
    assert chances["proposal-1"] == chances["uniform"]


def test_without_a_law_as_well(sizes, mixopt):
    result = mixopt("propose", sizes, "--method", "unimax")
    header = next(line for line in result.out.splitlines() if line.startswith("  domain"))
    assert "proposal-1 = uniform = unimax = tempered " in header
    assert header.count("unimax") == 1


def test_a_best_run_above_the_pick_is_explained(fitted, mixopt):
    result = mixopt("propose", fitted, "--method", "natural", "--objective", "books")
    (note,) = [line for line in result.out.splitlines() if line.startswith("best_run, ")]
    assert "it was measured" in note
    assert "also lucky" in note


def test_a_title_is_one_line_however_narrow_its_table(fitted, mixopt, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    result = mixopt("propose", fitted, "-k", 2, "--objective", "mean")
    assert "the other proposals, in %" in result.out.splitlines()


def test_utilimax_names_the_domains_that_were_never_alone(fitted, mixopt):
    one_sentence(
        mixopt("propose", fitted, "--method", "utilimax"), 3, "each domain alone", "web, code"
    )


def test_mixmin_reads_what_the_experts_say(sizes, mixopt, tmp_path):
    one_sentence(mixopt("propose", sizes, "--method", "mixmin"), 3, "--experts")
    table = tmp_path / "experts.csv"
    write(table, ["sequence", *NAMES], [[i // 2, -1.0 - i % 3, -1.5, -4.0] for i in range(20)])
    result = mixopt("propose", sizes, "--method", "mixmin_token", "--experts", table)
    assert result.code == 0, result.err
    shares = proposed(sizes)["objectives"]["mean"]["entries"][0]["shares"]
    assert shares["books"] < 0.1
    write(table, ["web", "code"], [[-1.0, -1.0]])
    one_sentence(
        mixopt("propose", sizes, "--method", "mixmin", "--experts", table), 3, "no column", "books"
    )
    write(table, NAMES, [[-1.0, -1.0, "n/a"]])
    one_sentence(
        mixopt("propose", sizes, "--method", "mixmin", "--experts", table), 3, "experts.csv:2"
    )


def test_objectives_are_traded_in_numbers_and_words(fitted, mixopt, tmp_path):
    out = mixopt("propose", fitted, "-k", 1, "--pareto").out
    assert "giving up" in out
    assert "% of books" in out
    document = proposed(fitted)
    for one in document["objectives"].values():
        names = {entry["name"] for entry in one["entries"]}
        assert {point["name"] for point in document["pareto"]["points"]} <= names
    target = tmp_path / "x.json"
    command = ("export", fitted, "--to", "json", "-o", target, "--mixture", "pareto-2")
    assert mixopt(*command).code == 0


def test_one_objective_has_nothing_to_trade(fitted, mixopt):
    result = mixopt("propose", fitted, "--pareto", "--objective", "mean")
    one_sentence(result, 3, "two objectives")


def test_a_floor_is_kept(fitted, mixopt):
    lost = []
    for floor in ("", 'floor = {against = "uniform", percent = 0.5}\n'):
        if floor:
            add(fitted / "space.toml", floor)
            mixopt("fit", fitted, "--law", "ridge")
        result = mixopt("propose", fitted, "-k", 1, "--objective", "books", "--json")
        entries = json.loads(result.out)["objectives"]["books"]["entries"]
        code = {entry["name"]: entry["metrics"]["loss/code"]["mean"] for entry in entries}
        lost.append(code["proposal-1"] / code["uniform"] - 1)
    assert lost[0] > 0.006
    assert lost[1] <= 0.0052


def test_a_proposal_stays_where_runs_were_unless_asked(tmp_path, mixopt):
    rng = random.Random(0)
    rows = []
    for number in range(24):
        web = rng.uniform(0.02, 0.3)
        code = rng.uniform(0.2, 0.5)
        rows.append([f"r{number}", web, code, 1 - web - code, 3 - web + rng.gauss(0, 0.002)])
    write(tmp_path / "swarm.csv", ["id", *NAMES, "loss/web"], rows)
    study = tmp_path / "study"
    mixopt("import", study, "--mixtures", tmp_path / "swarm.csv", "--metric-columns", "loss*")
    mixopt("fit", study, "--law", "ridge")
    inside = mixopt("propose", study, "-k", 1)
    assert "web is held at" in inside.out
    assert "--outside" in inside.out
    held = proposed(study)["objectives"]["mean"]
    assert pick_of(held)["support"] >= 3
    outside = mixopt("propose", study, "-k", 1, "--outside")
    told = proposed(study)["objectives"]["mean"]
    assert pick_of(told)["support"] < 3
    assert pick_of(told)["shares"]["web"] > pick_of(held)["shares"]["web"] + 0.1
    assert told["verdict"]["verdict"] != "better_at_proxy"
    assert "held at" not in outside.out


def test_metrics_that_rise_are_raised(tmp_path, mixopt):
    """Rewards by task over sources of data, from the user's own file."""
    rng = random.Random(0)
    rows = []
    for number in range(30):
        raw = [rng.expovariate(1.0) for _ in NAMES]
        web, code, books = (value / sum(raw) for value in raw)
        chart = -1 + web**0.5 + rng.gauss(0, 0.01)
        rows.append([f"r{number}", web, code, books, chart, 0.5 + 0.3 * code])
    write(tmp_path / "swarm.csv", ["id", *NAMES, "reward", "accuracy"], rows)
    study = tmp_path / "study"
    mixtures = tmp_path / "swarm.csv"
    mixopt("import", study, "--mixtures", mixtures, "--metric-columns", "[ra]*")
    one_sentence(mixopt("fit", study), 3, "no direction")
    edit(study / "space.toml", "# [metrics]", "[metrics]")
    text = (study / "space.toml").read_text()
    (study / "space.toml").write_text(text.replace('# "task/', '"task/'))
    assert mixopt("fit", study, "--law", "ridge").code == 0
    result = mixopt("propose", study, "-k", 1)
    assert "standard deviations" in result.out
    pick = pick_of(proposed(study)["objectives"]["mean"])
    assert pick["shares"]["books"] < 0.1
    assert -1 < pick["metrics"]["task/reward"]["mean"] < 0
    assert 0.5 < pick["metrics"]["task/accuracy"]["mean"] < 0.8


def losses_and_accuracies(folder):
    """The file of 24 runs whose loss falls with the first domain, accuracy rises with the next."""
    rng = random.Random(0)
    rows = []
    for number in range(24):
        raw = [rng.expovariate(1.0) for _ in NAMES]
        shares = [value / sum(raw) for value in raw]
        rows.append([f"r{number}", *shares, 3 - shares[0], 0.2 + shares[1]])
    file = folder / "swarm.csv"
    write(file, ["id", *NAMES, "loss/web", "accuracy"], rows)
    return file


def test_an_objective_of_metrics_with_different_signs(tmp_path, mixopt):
    study, swarm = tmp_path / "study", losses_and_accuracies(tmp_path)
    mixopt("import", study, "--mixtures", swarm, "--metric-columns", "[la]*")
    edit(study / "space.toml", "# [metrics]", "[metrics]")
    edit(study / "space.toml", '# "task/', '"task/')
    edit(study / "space.toml", '["loss/web"]', '["loss/web", "task/accuracy"]')
    one_sentence(mixopt("fit", study, "--law", "ridge"), 3, "task/accuracy", 'kind = "absolute"')


def test_accuracies_beside_losses_wait_until_they_are_named(tmp_path, mixopt):
    study, swarm = tmp_path / "study", losses_and_accuracies(tmp_path)
    command = ["import", study, "--mixtures", swarm, "--metric-columns", "[la]*"]
    told = mixopt(*command).err
    left_out = [line for line in told.splitlines() if "left out of [objective.mean]" in line]
    assert len(left_out) == 1
    assert "task/accuracy" in left_out[0]
    assert 'kind = "absolute"' in left_out[0]
    edit(study / "space.toml", "# [metrics]", "[metrics]")
    edit(study / "space.toml", '# "task/', '"task/')
    assert mixopt("fit", study, "--law", "ridge").code == 0
    assert "standard deviations" not in mixopt("propose", study, "-k", 1).out
    assert proposed(study)["objectives"]["mean"]["entries"][0]["shares"]["web"] > 0.5
    edit(study / "space.toml", "over =", 'kind = "absolute"\nover =')
    edit(study / "space.toml", '["loss/web"]', '["loss/web", "task/accuracy"]')
    assert mixopt("fit", study, "--law", "ridge").code == 0
    assert "standard deviations" in mixopt("propose", study, "-k", 1).out
    assert "left out of" not in mixopt(*command).err


def test_a_law_of_other_domains(fitted, mixopt):
    edit(fitted / "space.toml", '[domain."books"]', "[domain.law]")
    edit(fitted / "space.toml", ', "loss/books"', "")
    one_sentence(mixopt("propose", fitted), 3, "other domains", "books", "law", "mixopt fit")


def test_caps_that_leave_no_mixture_name_what_would_do(sizes, mixopt):
    edit(sizes / "space.toml", "tokens = 3e10", "tokens = 2e11")
    one_sentence(
        mixopt("propose", sizes, "--method", "unimax"), 5, "42 %", "lower [target]", "max_epochs"
    )


def test_constraints_that_contradict_each_other_are_named(sizes, mixopt):
    for name, limit in (("much", "min = 0.6"), ("little", "max = 0.4")):
        add(sizes / "space.toml", f'\n[[constraint]]\nname = "{name}"\n{limit}\n')
        add(sizes / "space.toml", "coefficients = {code = 1.0}\n")
    one_sentence(mixopt("propose", sizes, "--method", "natural"), 5, "much", "little")


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ("[target]\ntokens = 3e10\n", "", "[target]"),
        ("tokens = 1000000000.0\n", "", "[domain.web]"),
    ],
)
def test_an_epoch_cap_that_cannot_hold(sizes, mixopt, old, new, hint):
    edit(sizes / "space.toml", "[domain.web]\n", "[domain.web]\nmax_epochs = 2\n")
    edit(sizes / "space.toml", old, new)
    one_sentence(
        mixopt("propose", sizes, "--method", "natural"), 3, "max_epochs", "'web'", hint, "toml:"
    )


def test_only_what_changed_is_run_again(fitted, tmp_path, mixopt):
    mixopt("propose", fitted, "-k", 1, "--objective", "mean")
    new = tmp_path / "new"
    new.mkdir()
    text = (fitted / "space.toml").read_text()
    (new / "space.toml").write_text(text.replace("\n[target]", "\n[domain.law]\n\n[target]", 1))
    (new / "proxy.toml").write_text(PROXY)
    result = mixopt("reuse", fitted, new)
    assert result.code == 0, result.err
    assert "9 runs in place of 15, 6 saved" in result.out
    once = (new / "space.toml").read_text()
    assert mixopt("reuse", fitted, new).code == 0
    assert (new / "space.toml").read_text() == once
    assert mixopt("sample", new, "-n", 9).code == 0
    shares = pick_of(proposed(fitted)["objectives"]["mean"])["shares"]
    runs = read_runs(new / "runs")
    for run in runs:
        ((_, mixture),) = run.schedule
        assert mixture["web"] * shares["code"] == pytest.approx(
            mixture["code"] * shares["web"], abs=2e-6
        )
        losses = {f"loss/{name}": 2 + (0.2 + mixture[name]) ** -0.4 for name in NAMES}
        (tmp_path / "losses.json").write_text(json.dumps(losses))
        assert mixopt("record", new, run.id, tmp_path / "losses.json").code == 0
    assert mixopt("fit", new, "--law", "ridge").code == 0
    assert mixopt("propose", new, "-k", 1).code == 0
    one = proposed(new)["objectives"]["mean"]
    assert "few_runs" not in one["verdict"]["reasons"]
    assert "collinear" not in one["verdict"]["reasons"]
    found = pick_of(one)["shares"]
    assert found["code"] / found["web"] == pytest.approx(shares["code"] / shares["web"], abs=1e-3)


def test_reuse_says_when_nothing_changed(fitted, tmp_path, mixopt):
    mixopt("propose", fitted, "-k", 1, "--objective", "mean")
    new = tmp_path / "new"
    new.mkdir()
    (new / "space.toml").write_text((fitted / "space.toml").read_text())
    one_sentence(mixopt("reuse", fitted, new), 3, "no domain was added or revised")
    one_sentence(mixopt("reuse", fitted, new, "--revised", "wb"), 3, "wb")


def write(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
