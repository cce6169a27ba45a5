"""init: what it writes is read back as it was listed, teaches, and says what it assumed."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixopt.config import DomainSpec, read_proxy, read_space
from mixopt.corpus import Corpus
from mixopt.errors import ConfigError, DataError
from mixopt.stages import init
from mixopt.stages.init import init_study


@pytest.fixture
def corpus(tmp_path):
    """Three folders."""
    for name in ("web", "code", "law"):
        (tmp_path / "corpus" / name).mkdir(parents=True)
        (tmp_path / "corpus" / name / "a.txt").write_text("x")
    return tmp_path / "corpus"


def test_the_files_are_read_back(tmp_path, corpus):
    written = init_study(tmp_path / "study", corpus, 2e6)
    space = read_space(written.space)
    assert list(space.domain) == ["code", "law", "web"]
    assert space.target.tokens == 2e6
    assert space.objective["mean"].over == ["code", "law", "web"]
    place = tmp_path / "study" / str(space.domain["web"].path)
    assert place.resolve() == (corpus / "web").resolve()
    assert read_proxy(written.proxy).preset == "tiny"
    assert written.has_text


def test_every_assumption_is_told_and_stands_in_the_file(tmp_path, corpus):
    written = init_study(tmp_path / "study", corpus, None)
    assert any("no tokens of the target" in note for note in written.notes)
    assert any("counts them" in note for note in written.notes)
    assert any("target_tokenizer" in note for note in written.notes)
    assert any("the mean over all 3 domains" in note for note in written.notes)
    lines = written.space.read_text().splitlines()
    comment = " ".join(line.lstrip("# ").strip() for line in lines[: lines.index("#")])
    for note in written.notes:
        assert note in comment
    assert all(len(line) <= 100 for line in lines)
    assert written.to_json()["notes"] == list(written.notes)


def test_what_a_list_says_is_not_assumed(tmp_path):
    path = tmp_path / "domains.csv"
    path.write_text("name,tokens,max_epochs,train\nweb,1e9,2,\nlaw,1e6,8,\nbench,,,false\n")
    written = init_study(tmp_path / "study", path, 1e9)
    assert not any("max_epochs" in note or "counts them" in note for note in written.notes)
    assert any("tokens of bench: unknown" in note for note in written.notes)
    assert not written.has_text
    space = read_space(written.space)
    assert space.objective["bench"].over == ["bench"]
    assert space.objective["mean"].over == ["web", "law"]


def test_groups_get_tables_to_fill_in(tmp_path):
    path = tmp_path / "domains.csv"
    path.write_text('name,group\nweb,"open, new"\nlaw,\n')
    space = read_space(init_study(tmp_path / "study", path, None).space)
    assert space.groups["open, new"].max == 1.0
    assert space.domain["web"].group == "open, new"


def test_nothing_is_written_where_something_is_wrong(tmp_path, corpus):
    path = tmp_path / "domains.csv"
    path.write_text("name,train\nweb,false\n")
    with pytest.raises(DataError, match="no domain to train on"):
        init_study(tmp_path / "study", path, None)
    with pytest.raises(DataError, match="does not exist"):
        init_study(tmp_path / "study", tmp_path / "nothing", None)
    assert not (tmp_path / "study").exists()
    init_study(tmp_path / "study", corpus, None)
    with pytest.raises(ConfigError, match="exists already"):
        init_study(tmp_path / "study", corpus, None)


def test_names_of_files_cannot_break_the_comments(tmp_path, corpus):
    (corpus / "left\nout = 1").write_text("x")
    (corpus / "bad\udcff").write_text("x")
    space = read_space(init_study(tmp_path / "study", corpus, None).space)
    assert list(space.domain) == ["code", "law", "web"]


specs = st.builds(
    DomainSpec,
    path=st.none() | st.text(st.characters(codec="utf-8"), min_size=1),
    tokens=st.none() | st.floats(0.001, 1e15),
    group=st.none() | st.text(st.characters(codec="utf-8"), min_size=1),
    max_epochs=st.floats(0.01, 1e3),
    train=st.booleans(),
    where=st.dictionaries(st.text('aZ ü"', min_size=1), st.text('aZ ü"=')),
)


@given(spec=specs, name=st.from_regex(r"[a-z0-9_.:-]+", fullmatch=True))
def test_a_domain_survives_toml(tmp_path_factory, spec, name):
    folder = tmp_path_factory.getbasetemp()
    text = init._space_text(folder, Corpus({name: spec}), folder, 1e9)
    read = DomainSpec(**tomllib.loads(text)["domain"][name])
    assert read.model_dump(exclude={"path"}) == spec.model_dump(exclude={"path"})
    assert (read.path is None) == (spec.path is None)
