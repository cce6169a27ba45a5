"""A cursor goes on where it stopped, and gives what a new one would."""

import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixopt.errors import DataError
from proxies.formats.cursor import Cursor, kept

PLACES = [0, 3, 4, 9, 10, 17, 30]


class Counted:
    """Records of which one knows how many were read."""

    def __init__(self) -> None:
        self.read = 0

    def records(self):
        for place in PLACES:
            self.read += 1
            yield place, str(place)


def ranges():
    cuts = st.lists(st.integers(0, 40), min_size=2, max_size=6, unique=True).map(sorted)
    return cuts.map(lambda edges: list(zip(edges[::2], edges[1::2])))


@settings(max_examples=200, deadline=None)
@given(asked=st.lists(st.tuples(ranges(), st.integers(0, 7)), max_size=5))
def test_whatever_was_asked_before_the_answer_is_the_same(asked):
    cursor = Cursor(Counted().records)
    for places, taken in asked:
        expected = [
            (place, str(number))
            for place in places
            for number in PLACES
            if place[0] <= number < place[1]
        ]
        found = cursor.within(places)
        assert [one for one, _ in zip(found, range(taken))] == expected[:taken]
        found.close()
        assert list(cursor.within(places)) == expected


def test_neighbours_are_read_once():
    counted = Counted()
    cursor = Cursor(counted.records)
    for start in range(0, 40, 5):
        list(cursor.within([(start, start + 5)]))
    assert counted.read == len(PLACES)
    list(cursor.within([(4, 5)]))  # behind it: from the beginning again
    assert counted.read == len(PLACES) + 4


def test_after_an_error_it_begins_anew():
    failing = [True]

    def records():
        yield 0, "a"
        if failing[0]:
            raise DataError("torn")
        yield 1, "b"

    cursor = Cursor(records)
    with pytest.raises(DataError, match="torn"):
        list(cursor.within([(0, 9)]))
    failing[0] = False
    assert list(cursor.within([(1, 9)])) == [((1, 9), "b")]


def test_a_file_that_was_written_anew_is_read_anew(tmp_path, make):
    form, file = make("jsonl"), tmp_path / "a.jsonl.gz"

    def write(texts):
        file.write_bytes(
            gzip.compress("".join(json.dumps({"text": t}) + "\n" for t in texts).encode())
        )

    write(["one", "two"])
    first = kept(form, file)
    assert [text for _, text in form.read(file, [(0, 5)])] == ["one"]
    assert kept(form, file) is first
    write(["three", "four", "five"])
    assert kept(form, file) is not first
    assert [text for _, text in form.read(file, [(5, 99)])] == ["four", "five"]
