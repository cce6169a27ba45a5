"""`sample --warm`: earlier studies of other domains, and what a design makes of them."""

import json
import random

import pytest

from tests.cli.conftest import write_csv

WORTH = {"web": 0.2, "code": 1.5, "books": 0.6, "news": 0.1, "wiki": 0.4}


def imported(folder, names, runs, mixopt, seed):
    """A study of runs that were trained elsewhere; code is worth most wherever it stands."""
    rng, rows = random.Random(seed), []
    for number in range(runs):
        raw = [rng.expovariate(1.0) for _ in names]
        shares = [value / sum(raw) for value in raw]
        gain = sum(WORTH[name] * share**0.5 for name, share in zip(names, shares))
        rows.append([f"r{number}", *map(str, shares), str(2 + (0.2 + gain) ** -0.7)])
    file = folder.with_suffix(".csv")
    write_csv(file, ["id", *names, f"loss/{names[0]}"], rows)
    assert mixopt("import", folder, "--mixtures", file, "--metric-columns", "loss*").code == 0
    (folder / "proxy.toml").write_text("tokens = 1_000_000\n")
    return folder


@pytest.fixture
def studies(tmp_path, mixopt):
    """Two earlier studies and a new one with a domain of its own."""
    return (
        imported(tmp_path / "spring", ("web", "code", "books"), 30, mixopt, 0),
        imported(tmp_path / "summer", ("web", "code", "wiki"), 30, mixopt, 1),
        imported(tmp_path / "autumn", ("web", "code", "wiki", "news"), 4, mixopt, 2),
    )


def test_earlier_studies_say_where_to_look(studies, mixopt):
    spring, summer, autumn = studies
    warm = ("--warm", spring, "--warm", summer)
    told = json.loads(mixopt("sample", autumn, "-n", 2, "--design", "auto", *warm, "--json").out)
    assert told["notes"][0] == "auto chose bo"
    first = told["runs"][0]["mixture"]
    assert first["code"] == max(first.values())


def test_another_design_and_a_study_of_other_domains_are_refused(studies, tmp_path, mixopt):
    spring, _, autumn = studies
    refused = mixopt("sample", autumn, "-n", 2, "--design", "climb", "--warm", spring)
    assert refused.code == 3
    assert "(auto, bo), got 'climb'" in refused.err
    strange = imported(tmp_path / "strange", ("books", "code"), 10, mixopt, 3)
    apart = mixopt("sample", autumn, "-n", 2, "--design", "bo", "--warm", strange)
    assert apart.code != 0
    assert f"earlier study {strange}: " in apart.err
    assert "shares 2 domains or more, got 1 of books, code" in apart.err
