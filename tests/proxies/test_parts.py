"""Pieces of work: together they are the whole, and a sample takes an even share of every file."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxies import parts
from proxies.formats.columns import Columns
from proxies.listing import list_files
from proxies.parts import ONE, Piece, Reader, Strides, grouped, lay_out, read_part
from proxies.sources import Source
from proxies.tokenizer import Scheme

READER = Reader(Columns(), None, Scheme())


def lines(folder: Path, sizes: list[int]):
    """Files of numbered lines; line k of file i says so."""
    folder.mkdir()
    for number, size in enumerate(sizes):
        text = "".join(f'{{"text": "{number} {k}"}}\n' for k in range(size))
        (folder / f"{number:03d}.jsonl").write_text(text)
    return list_files(Source("a", folder), READER.format).files


def read(laid_out):
    return [text for part in grouped(laid_out) for _, _, text in read_part(part, READER)]


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=5),
    width=st.integers(10, 3000),
    size=st.integers(50, 5000),
)
def test_the_parts_of_a_whole_are_the_whole_in_order(tmp_path_factory, sizes, width, size):
    files = lines(tmp_path_factory.mktemp("whole") / "a", sizes)
    expected = [f"{i} {k}" for i, count in enumerate(sizes) for k in range(count)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "PART_BYTES", size)
        assert read(lay_out(files, READER, width)) == expected


def test_a_share_is_taken_evenly_from_every_file(tmp_path):
    files = lines(tmp_path / "a", [2000, 1000, 4000])
    total = sum(file.size for file in files)
    for share in (0.1, 0.25):
        pieces = list(lay_out(files, READER, 400, int(share * ONE), shift=12345))
        assert sum(piece.size for piece in pieces) == pytest.approx(share * total, rel=0.02)
        found = [text.split() for text in read(pieces)]
        for number, size in enumerate((2000, 1000, 4000)):
            own = np.array([int(k) for i, k in found if int(i) == number])
            assert len(own) == pytest.approx(share * size, rel=0.2)
            assert own.mean() == pytest.approx(size / 2, rel=0.1)  # beginning, middle and end
            assert np.diff(own).max() < 3 * 400 / 20 / share


def test_a_share_of_many_small_files_takes_some_of_them(tmp_path):
    files = lines(tmp_path / "a", [3] * 500)
    numbers = [int(text.split()[0]) for text in read(lay_out(files, READER, 4096, ONE // 10))]
    assert len(set(numbers)) == pytest.approx(50, abs=1)
    assert set(np.diff(sorted(set(numbers)))) <= {9, 10, 11}


@settings(max_examples=100, deadline=None)
@given(share=st.integers(1, ONE), shift=st.integers(0, ONE - 1), width=st.integers(1, 10**6))
def test_strides_are_the_steps_of_a_sum(share, shift, width):
    taken = Strides(width, share, shift)
    places = [start // width for (start, _), _ in zip(taken, range(20))]
    for step, i in enumerate(places, start=1):
        assert (i * share + shift) // ONE < step <= ((i + 1) * share + shift) // ONE
    assert places == sorted(set(places))


def test_all_strides_are_everything():
    assert [place for place, _ in zip(Strides(10), range(3))] == [(0, 10), (10, 20), (20, 30)]


def test_small_pieces_are_put_together_and_large_ones_stay_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "PART_BYTES", 100)
    files = lines(tmp_path / "a", [1] * 6)
    pieces = [Piece(file, (0, 10), size) for file, size in zip(files, (30, 30, 50, 200, 10, 10))]
    together = [len(part.stretches) for part in grouped(pieces)]
    assert together == [3, 1, 2]
    assert [len(part.stretches) for part in grouped(pieces, 2)] == [2, 2, 2]
    assert [part.size for part in grouped(pieces)] == [110, 200, 20]


def test_neighbours_of_one_file_are_read_in_one_go(tmp_path):
    (file,) = lines(tmp_path / "a", [9])
    (part,) = grouped([Piece(file, (0, 40), 1), Piece(file, (40, 60), 1)])
    assert len(part.stretches) == 1
    assert part.stretches[0].ranges == ((0, 40), (40, 60))
