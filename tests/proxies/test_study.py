"""What training reads of a folder: mixtures are the target's tokens, proxies count in their own."""

import json

import numpy as np
import pytest

from mixopt.config import read_space
from mixopt.tokens import proxy_factors
from proxies.study import Study

FACTORS = {"sea": 0.5, "web": 1.25}
"""Tokens of the proxies for one of the target's."""


@pytest.fixture
def study(make_study):
    """A study whose proxies have the target's tokenizer."""
    folder = make_study(shares=(0.25, 0.6))
    (folder / "space.toml").write_text(
        "[target]\ntokens = 100_000\n[domain.sea]\ntokens = 60_000\n[domain.web]\ntokens = 50_000\n"
    )
    return Study.open(folder)


def differ(study, folder):
    """The same study, were the target's tokenizer another."""
    (folder / "data").mkdir(parents=True)
    for item in study.data.folder.iterdir():
        (folder / "data" / item.name).symlink_to(item)
    (folder / "data" / "manifest.json").unlink()
    manifest = json.loads((study.data.folder / "manifest.json").read_text())
    for name, part in manifest["domains"].items():
        part["target_bytes_per_token"] = part["bytes_per_token"] * FACTORS[name]
    (folder / "data" / "manifest.json").write_text(json.dumps(manifest))
    for name in ("space.toml", "proxy.toml"):
        (folder / name).write_text((study.folder / name).read_text())
    (folder / "runs").symlink_to(study.folder / "runs")
    return Study.open(folder)


def test_equal_tokenizers_leave_mixtures_as_they_are(study):
    for run in study.runs().values():
        assert study.schedule(run) is run.schedule
        assert study.controller(run).weights().tolist() == list(run.schedule[0][1].values())


def test_proxies_read_the_same_text_in_tokens_of_their_own(study, tmp_path):
    other = differ(study, tmp_path / "other")
    assert other.factors == pytest.approx(FACTORS)
    for run in other.runs().values():
        weights = other.controller(run).weights()
        wanted = np.array([run.schedule[0][1][name] * FACTORS[name] for name in other.names])
        np.testing.assert_allclose(weights, wanted / wanted.sum())


@pytest.mark.parametrize("same", [True, False])
def test_every_domain_is_repeated_as_often_as_by_the_target(study, tmp_path, same):
    study = study if same else differ(study, tmp_path / "other")
    for run in study.runs().values():
        pools = study.pools(run)
        shares = dict(zip(study.names, study.controller(run).weights()))
        for name, share in run.schedule[0][1].items():
            target = share * study.target_tokens / study.tokens[name]
            assert shares[name] * run.proxy["tokens"] / pools[name] == pytest.approx(target, 0.01)


def test_a_figure_of_ones_own_wins(study, tmp_path):
    other = differ(study, tmp_path / "other")
    text = (other.folder / "space.toml").read_text()
    told = text.replace("[domain.sea]\n", "[domain.sea]\nbytes_per_token = 3.0\n")
    (other.folder / "space.toml").write_text(told)
    own = other.data.manifest["domains"]["sea"]["bytes_per_token"]
    assert Study.open(other.folder).factors["sea"] == pytest.approx(3.0 / own)


def test_tokens_without_a_tokenizer_are_the_targets(study):
    manifest = json.loads(json.dumps(study.data.manifest))
    for part in manifest["domains"].values():
        part["bytes_per_token"] = None
    spec = read_space(study.folder / "space.toml")
    assert proxy_factors(spec.domain, manifest) == {"sea": 1.0, "web": 1.0}
