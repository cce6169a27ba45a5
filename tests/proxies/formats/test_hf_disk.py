"""Folders that the `datasets` library itself saved."""

import json

import pytest

from mixopt.errors import DataError
from proxies.formats.columns import Columns

datasets = pytest.importorskip("datasets")
WHOLE = ((0, 1 << 40),)


@pytest.fixture
def saved(tmp_path):
    """A data set of 100 rows in three files, as the library saves it."""
    texts = [f"document {i}" for i in range(100)]
    whole = datasets.Dataset.from_dict({"text": texts, "id": list(range(100))})
    whole.save_to_disk(tmp_path / "saved", num_shards=3)
    return tmp_path / "saved"


def read(make, folder, columns=None):
    form = make("hf_disk", columns=columns or Columns())
    files = form.files(sorted(folder.rglob("*.arrow")))
    return [text for file in files for _, text in form.read(file, WHOLE)]


def test_what_the_library_saved(saved, make):
    assert read(make, saved) == [f"document {i}" for i in range(100)]
    form = make("hf_disk")
    assert [form.extent(file) for file in sorted(saved.glob("*.arrow"))] == [34, 33, 33]
    rows = form.read(saved / "data-00001-of-00003.arrow", [(1, 3), (30, 99)])
    assert [text for _, text in rows] == [f"document {i}" for i in (35, 36, 64, 65, 66)]


def test_a_selection_was_flattened_by_the_library(saved, make, tmp_path):
    chosen = datasets.load_from_disk(saved).select([7, 3, 5])
    chosen.save_to_disk(tmp_path / "chosen")
    assert read(make, tmp_path / "chosen") == ["document 7", "document 3", "document 5"]


def test_a_dictionary_of_splits(tmp_path, make):
    splits = {name: datasets.Dataset.from_dict({"text": [name]}) for name in ("train", "test")}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "both")
    assert read(make, tmp_path / "both") == ["test", "train"]
    form = make("hf_disk")
    beside = form.beside(tmp_path / "both" / "train" / "data-00000-of-00001.arrow")
    assert {path.name for path in beside} == {
        "state.json",
        "dataset_info.json",
        "dataset_dict.json",
    }


def test_a_cache_beside_it_is_no_part_of_it(saved, make):
    (saved / "cache-0123.arrow").write_bytes(b"left behind")
    assert len(read(make, saved)) == 100


def test_the_columns_are_told(saved, make):
    with pytest.raises(DataError, match=r"has no column 'body' \(it has text, id\)"):
        read(make, saved, Columns("body"))


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (None, r"no state\.json"),
        ("{", r"state\.json is not a JSON document"),
        ("[]", r"names no _data_files"),
        ('{"_data_files": [{"filename": "gone.arrow"}]}', r"gone\.arrow is missing"),
        ('{"_data_files": [{"filename": "../../gone.arrow"}]}', r"saved/gone\.arrow is missing"),
        ('{"_data_files": [], "_indices_data_files": [{}]}', "with an index of rows"),
    ],
)
def test_a_state_that_does_not_fit(saved, make, state, sentence):
    (saved / "state.json").unlink()
    if state is not None:
        (saved / "state.json").write_text(state)
    with pytest.raises(DataError, match=sentence):
        read(make, saved)


def test_a_torn_file(saved, make):
    file = saved / "data-00000-of-00003.arrow"
    content = file.read_bytes()
    for length in (3, 200, len(content) - 700):
        file.write_bytes(content[:length])
        with pytest.raises(DataError, match="is not a whole arrow file"):
            read(make, saved)


def test_offsets_that_point_elsewhere_are_found_before_they_are_followed(saved, make):
    file = saved / "data-00000-of-00003.arrow"
    content = bytearray(file.read_bytes())
    place = content.find((10).to_bytes(4, "little") + (20).to_bytes(4, "little"))
    content[place : place + 4] = (2**31 - 1).to_bytes(4, "little")  # where the second text begins
    file.write_bytes(content)
    with pytest.raises(DataError, match="is not a whole arrow file"):
        read(make, saved)


def test_nothing_of_it_is_run(saved, make):
    info = json.loads((saved / "dataset_info.json").read_text())
    info["builder_name"] = "os.system"
    (saved / "dataset_info.json").write_text(json.dumps(info))
    (saved / "saved.py").write_text("raise SystemExit('run')")
    assert len(read(make, saved)) == 100
