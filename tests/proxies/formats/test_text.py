"""Text as it is: what is a document, where long ones are cut, what is no text."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixopt.errors import DataError
from proxies.formats import cutting
from proxies.formats.cutting import cut_text, last_break

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff"))
WHOLE = ((0, 1 << 40),)


def read(make, file, **options):
    return [text for _, text in make("text", **options).read(file, WHOLE)]


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=TEXT.filter(str.strip), block=st.integers(8, 40), start=st.integers(0, 100))
def test_long_files_are_cut_without_loss(tmp_path_factory, make, text, block, start):
    file = tmp_path_factory.mktemp("long") / "a.txt"
    file.write_bytes(text.encode())
    documents = read(make, file, block=block)
    assert all(len(document.encode()) < 2 * block for document in documents)
    left_out = text
    for document in documents:  # only white space may be left between them
        before, _, left_out = left_out.partition(document)
        assert not before.strip()
    assert not left_out.strip()
    form = make("text", block=block)
    halves = [list(form.read(file, [part])) for part in ((0, start), (start, 1 << 40))]
    assert [one for half in halves for _, one in half] == documents


def test_lines_stay_whole_where_a_file_is_cut(tmp_path, make):
    (tmp_path / "a.txt").write_text("one\ntwo\nthree\nfour\n")
    assert read(make, tmp_path / "a.txt", block=10) == ["one\ntwo\n", "three\nfour\n"]
    assert read(make, tmp_path / "a.txt", block=19) == ["one\ntwo\nthree\nfour\n"]


@settings(max_examples=100, deadline=None)
@given(block=st.text(st.characters(exclude_categories=["Cs"]), min_size=4).map(str.encode))
def test_a_cut_is_between_characters(block):
    for length in range(4, len(block) + 1):
        part = block[:length]
        end = last_break(part)
        assert 0 < end <= length
        assert part[:end].decode("utf-8", errors="strict") is not None
        assert b"\n" not in part[end:]


@settings(max_examples=50, deadline=None)
@given(text=st.text(st.sampled_from("ab é\n𝄞"), max_size=300))
def test_long_texts_of_tables_are_cut_alike(text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "BLOCK", 16)
        patch.setattr(cutting, "LONGEST", 32)
        parts = list(cut_text(text))
    assert "".join(parts) == text
    assert all(len(part.encode()) <= 32 for part in parts)


def test_a_document_of_one_byte(tmp_path, make):
    (tmp_path / "a.txt").write_bytes(b"x")
    assert read(make, tmp_path / "a.txt") == ["x"]


def test_a_mark_of_byte_order_is_no_text_and_line_ends_are(tmp_path, make):
    (tmp_path / "a.txt").write_bytes("\ufeffone\r\ntwo".encode())
    assert read(make, tmp_path / "a.txt") == ["one\r\ntwo"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"good \xe4", r"a\.txt is not UTF-8 at byte 5 \(0xe4\): convert it"),
        (b"line\n" * 9 + b"\xff", r"not UTF-8 at byte 45"),
        ("grün".encode("utf-16"), r"not UTF-8 at byte 0"),
        (b"x = 1\0", r"a\.txt has a NUL at byte 5"),
        (b"line\n" * 9 + b"\0", r"a NUL at byte 45"),
    ],
)
def test_what_is_no_text(tmp_path, make, content, sentence):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        read(make, tmp_path / "a.txt", block=16)
