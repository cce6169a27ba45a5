"""Every registered format: documents come back, in any ranges; whatever bytes, one sentence."""

from contextlib import suppress
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixopt.errors import MixoptError
from proxies.formats import FORMATS
from proxies.formats.base import LONGEST_TOKENS
from proxies.formats.cutting import LONGEST

WHOLE = ((0, 1 << 40),)


def plain(contents):
    """Documents as what can be compared."""
    return [one if isinstance(one, str) else one.tolist() for one in contents]


def read(form, files, ranges=WHOLE):
    return [content for file in files for _, content in form.read(file, ranges)]


@pytest.mark.parametrize("name", FORMATS)
def test_what_was_written_is_read(tmp_path, name, write, make, example):
    documents = example(name)
    assert plain(read(make(name), write(name, tmp_path, documents))) == plain(documents)


@pytest.mark.parametrize("name", FORMATS)
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_ranges_that_join_have_the_documents_of_the_whole(
    tmp_path_factory, name, write, make, example, data
):
    form, documents = make(name), example(name)
    files = write(name, tmp_path_factory.mktemp("joined"), documents)
    largest = max(form.extent(file) for file in files)
    cuts = data.draw(st.lists(st.integers(1, largest), max_size=6, unique=True).map(sorted))
    ranges = list(pairwise([0, *cuts, 1 << 40]))
    assert plain(read(form, files, ranges)) == plain(documents)
    apart = [one for file in files for place in ranges for one in read(form, [file], [place])]
    assert plain(apart) == plain(documents)
    for file in files:
        assert all(one in ranges for one, _ in form.read(file, ranges))


@pytest.mark.parametrize("name", FORMATS)
def test_an_extent_is_behind_the_last_document(tmp_path, name, write, make, example):
    form = make(name)
    for file in write(name, tmp_path, example(name)):
        extent = form.extent(file)
        assert read(form, [file], [(extent, 1 << 40)]) == []
        assert read(form, [file], [(0, extent)])


@pytest.mark.parametrize("name", FORMATS)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_whatever_the_bytes_there_are_documents_or_one_sentence(
    tmp_path_factory, name, write, make, example, data
):
    form, folder = make(name), tmp_path_factory.mktemp("fuzz")
    files = write(name, folder, example(name, 6))
    for path in sorted(folder.iterdir()):
        if data.draw(st.booleans(), label=path.name):
            path.write_bytes(damaged(data, path.read_bytes()))
    for file in files:
        with suppress(MixoptError):
            form.files(files)
            form.extent(file)
            for _, content in form.read(file, WHOLE):
                assert isinstance(content, str) or content.dtype == np.uint32
                assert 0 < len(content) <= max(LONGEST_TOKENS, LONGEST)


def damaged(data, content: bytes) -> bytes:
    """Cut, overwritten, or something else altogether."""
    kind = data.draw(st.sampled_from(["cut", "bits", "bytes", "other"]))
    if kind == "other":
        return data.draw(st.binary(min_size=1, max_size=200))
    if kind == "cut":
        return content[: data.draw(st.integers(1, len(content)))]
    place = data.draw(st.integers(0, len(content) - 1))
    if kind == "bits":
        changed = bytes([content[place] ^ (1 << data.draw(st.integers(0, 7)))])
    else:
        changed = data.draw(st.binary(min_size=1, max_size=16))
    return content[:place] + changed + content[place + len(changed) :]
