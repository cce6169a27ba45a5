"""Arrays of tokens: where documents end, wherever they are entered, and what a wrong dtype does."""

from itertools import chain, pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixopt.errors import ConfigError, DataError
from proxies.formats import base, tokens

EOS = 999  # of the fixtures


def saved(folder, values, dtype="<u2"):
    (folder / "a.bin").write_bytes(np.array(values).astype(dtype).tobytes())
    return folder / "a.bin"


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    values=st.lists(st.sampled_from([1, 2, 3, EOS]), min_size=1, max_size=60),
    cuts=st.lists(st.integers(1, 59), max_size=4, unique=True).map(sorted),
    longest=st.integers(3, 20),
)
def test_documents_are_the_same_wherever_the_file_is_entered(
    tmp_path_factory, make, values, cuts, longest, read_tokens
):
    file = saved(tmp_path_factory.mktemp("array"), values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "LONGEST_TOKENS", longest)
        patch.setattr(tokens, "LONGEST_TOKENS", longest)
        whole = read_tokens(make("tokens"), file)
        parts = [read_tokens(make("tokens"), file, [one]) for one in pairwise([0, *cuts, 1 << 40])]
    assert list(chain(*parts)) == whole
    assert list(chain(*whole)) == [value for value in values if value != EOS]
    assert all(0 < len(one) <= longest and EOS not in one for one in whole)


def test_an_array_without_any_end_is_cut(tmp_path, make, monkeypatch, read_tokens):
    monkeypatch.setattr(base, "LONGEST_TOKENS", 4)
    monkeypatch.setattr(tokens, "LONGEST_TOKENS", 4)
    assert read_tokens(make("tokens"), saved(tmp_path, range(10))) == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9],
    ]


@pytest.mark.parametrize("dtype", tokens.DTYPES)
def test_every_dtype(tmp_path, make, dtype, read_tokens):
    values = [1, 2, 100, 3, 4, 100]
    form = make("tokens", dtype=dtype, vocabulary=101, eos=100)
    assert read_tokens(form, saved(tmp_path, values, dtype)) == [[1, 2], [3, 4]]
    np.save(tmp_path / "a.npy", np.array(values, dtype))
    form = make("tokens", dtype=None, vocabulary=101, eos=100)
    assert read_tokens(form, tmp_path / "a.npy") == [[1, 2], [3, 4]]
    assert form.extent(tmp_path / "a.npy") == 6


def test_a_headerless_array_that_is_called_npy(tmp_path, make, read_tokens):
    saved(tmp_path, [1, 2, EOS]).rename(tmp_path / "a.npy")
    assert read_tokens(make("tokens"), tmp_path / "a.npy") == [[1, 2]]


def test_a_dtype_must_be_told_and_known(tmp_path, make):
    file = saved(tmp_path, [1, 2])
    with pytest.raises(ConfigError, match=r"a\.bin says nothing of its tokens: say their `dtype`"):
        make("tokens", dtype=None).extent(file)
    with pytest.raises(ConfigError, match=r"expected a dtype of uint8, .*got 'float32'"):
        make("tokens", dtype="float32").extent(file)


def test_a_dtype_that_is_too_wide_or_too_narrow(tmp_path, make, read_tokens):
    file = saved(tmp_path, range(1, 101))
    with pytest.raises(DataError, match=r"has the id 131073 at token 0, expected 0 to 999"):
        read_tokens(make("tokens", dtype="uint32"), file)
    wide = saved(tmp_path, range(1, 101), "<u4")
    with pytest.raises(DataError, match=r"a 0 at every second place as uint16: .*such as uint32"):
        make("tokens", dtype="uint16").extent(wide)
    (tmp_path / "a.bin").write_bytes(b"abc")
    with pytest.raises(DataError, match=r"has 3 bytes, no multiple of the 2 of uint16"):
        make("tokens").extent(file)
    with pytest.raises(DataError, match=r"has the id -1 at token 1"):
        read_tokens(make("tokens", dtype="int16"), saved(tmp_path, [1, -1], "<i2"))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (np.zeros((2, 2), np.uint16), r"holds uint16 \(2, 2\): expected one axis"),
        (np.zeros(3), r"holds float64 \(3,\): expected one axis of whole numbers"),
        (np.zeros(3, np.uint32), r"holds uint32, space\.toml says dtype 'uint16'"),
        (np.array([{}, {}]), r"is not a whole \.npy file"),
    ],
)
def test_an_npy_that_does_not_fit(tmp_path, make, values, sentence):
    np.save(tmp_path / "a.npy", values, allow_pickle=True)
    with pytest.raises(DataError, match=sentence):
        make("tokens").extent(tmp_path / "a.npy")


def test_a_torn_npy(tmp_path, make):
    np.save(tmp_path / "a.npy", np.arange(100, dtype=np.uint16))
    content = (tmp_path / "a.npy").read_bytes()
    for length in (7, 30, len(content) - 1):
        (tmp_path / "a.npy").write_bytes(content[:length])
        with pytest.raises(DataError, match=r"is not a whole \.npy file"):
            make("tokens").extent(tmp_path / "a.npy")
