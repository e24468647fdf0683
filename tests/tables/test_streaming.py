"""What one pass over a dataset learns is what is learned of a table in memory."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from softunit.errors import FileError, InputError
from softunit.tables import fills, fit_encoding, read_target, read_weights, write_table
from softunit.tables.encoded_source import EncodedSource
from softunit.tables.scanning import scan, scan_known
from softunit.tables.several import read_tables
from softunit.tables.streams import Dataset
from tests.tables.datasets import mixed, parts

SUFFIXES = [".parquet", ".arrow", ".arrows", ".csv", ".tsv.gz"]
IMPUTE = ["mean", "median", "most-frequent"]
ROLES = {"weights": "weight", "offset": "shift"}


def encoded(source):
    """Return all rows of a source of blocks, in order."""
    blocks = list(source.read(range(len(source.stretches))))
    assert [start for start, _ in blocks] == np.cumsum([0, *(len(b) for _, b in blocks)])[
        :-1
    ].tolist()
    return np.concatenate([block for _, block in blocks])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_one_pass_learns_what_a_table_in_memory_teaches(suffix, tmp_path, rng):
    folder = parts(tmp_path / "d", rng, suffix=suffix)
    found = scan(Dataset.open([str(folder)]), target="kind", drop=["flag"], roles=ROLES)
    table = read_tables([str(folder)])
    expected = fit_encoding(table, target="kind", drop=["flag"], roles=ROLES)
    assert found.encoding == expected
    assert found.lengths == (400, 400, 400)
    labels = read_target(table, "kind", kind="labels")
    np.testing.assert_array_equal(found.classes[found.codes], labels)
    assert found.codes.dtype == np.uint8
    np.testing.assert_array_equal(found.values["weights"], read_weights(table, "weight"))
    source = EncodedSource(found, 150)
    np.testing.assert_array_equal(encoded(source), expected.apply(table))
    assert source.describe(801) == f"data row 2 of {folder}/part-2{suffix}"


@pytest.mark.parametrize("impute", IMPUTE)
def test_fills_are_those_of_a_table_in_memory(impute, tmp_path, rng):
    folder = str(parts(tmp_path / "d", rng, missing=0.1))
    found = scan(Dataset.open([folder]), target="kind", impute=impute)
    expected = fit_encoding(read_tables([folder]), target="kind", impute=impute)
    for column, twin in zip(found.encoding.columns, expected.columns, strict=True):
        if isinstance(twin.fill, float):
            assert column.fill == pytest.approx(twin.fill, rel=1e-14, abs=1e-300)
        else:
            assert column == twin


@pytest.mark.parametrize("ties", [True, False], ids=["ties", "distinct"])
@pytest.mark.parametrize("n", [4001, 4002])
def test_a_median_of_more_values_than_are_kept_is_exact(n, ties, rng):
    values = rng.integers(7, size=n).astype(float) if ties else rng.standard_cauchy(n)
    fill = fills.MedianFill(200)
    for _ in range(3):
        for part in np.array_split(values, 13):
            fill.add(part)
        if (found := fill.value()) is not None:
            break
    assert found == np.median(values)


def test_a_bracket_that_misses_the_median_is_widened(rng, monkeypatch):
    monkeypatch.setattr(fills, "_REACH", 1e-9)
    values, fill, found, turns = rng.normal(size=5001), fills.MedianFill(100), None, 0
    while found is None:
        fill.add(values)
        found, turns = fill.value(), turns + 1
    assert found == np.median(values)
    assert 2 <= turns <= 30


def test_too_many_values_for_the_most_frequent_are_refused(rng, monkeypatch):
    monkeypatch.setattr(fills, "MOST_VALUES", 50)
    fill = fills.FrequentFill("a")
    with pytest.raises(InputError, match=r"more than 50 different values.*--impute median"):
        fill.add(rng.normal(size=51))


def test_the_mean_is_refused_where_it_overflows(tmp_path):
    column = np.array([1.5e308, 1.5e308, np.nan, 1.0])
    write_table(tmp_path / "a.parquet", {"x": column, "y": np.arange(4) % 2})
    with pytest.raises(InputError, match="'x' has values so large that no mean"):
        scan(Dataset.open([str(tmp_path)]), target="y", impute="mean")


def test_cells_late_in_a_csv_file_widen_their_column(tmp_path, monkeypatch):
    monkeypatch.setattr("softunit.tables.file_readers._CSV_BLOCK", 4096)
    lines = ["a,b,c,d,y", *(f"{i},{'ab'[i % 2]},,{i % 5},{i % 2}" for i in range(3000))]
    lines += ["1.5,red,7,oops,1", "2,red,2.5,1,0"]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines) + "\n")
    found = scan(Dataset.open([str(path)]), target="y", impute="mean")
    table = read_tables([str(path)])
    assert {name: str(kind) for name, kind in found.dataset.types.items()} == {
        name: str(table.column(name).type) for name in table.names
    }
    expected = fit_encoding(table, target="y", impute="mean")
    assert found.encoding.columns[1:2] == expected.columns[1:2]
    assert found.encoding.columns[3] == expected.columns[3]
    assert found.notes == (
        "Column 'd' looks like numbers, but 1 cell is no number: 'oops' in data row 3001. Correct"
        " it, or leave it empty and use --impute. It was encoded as text.",
    )


def test_folders_with_names_and_values_become_columns(tmp_path, rng):
    for year in (2020, 2021):
        for land in ("north", "a%20b"):
            folder = tmp_path / "d" / f"year={year}" / f"land={land}"
            folder.mkdir(parents=True)
            write_table(folder / "t.parquet", mixed(rng, 50))
    dataset = Dataset.open([str(tmp_path / "d")])
    assert dataset.names[-2:] == ("year", "land")
    table = dataset.table()
    assert table.column("year").to_pylist()[:1] == [2020]
    assert sorted(set(table.column("land").to_pylist())) == ["a b", "north"]
    found = scan(dataset, target="kind")
    assert found.encoding == fit_encoding(table, target="kind")
    np.testing.assert_array_equal(encoded(EncodedSource(found, 20)), found.encoding.apply(table))


def test_sentences_count_rows_in_their_own_file(tmp_path, rng):
    folder = parts(tmp_path / "d", rng, n=100)
    late = mixed(rng, 100)
    late["number"][[7, 9]] = np.nan
    late["weight"][3] = -1.0
    late["kind"] = late["kind"].astype(object)
    write_table(folder / "part-2.parquet", late)
    place = f"in data row 8 of {folder}/part-2.parquet"
    said = f"'number' has 2 missing values, the first {place}"
    for route in (scan, lambda data, **given: fit_encoding(data.table(), **given)):
        table = Dataset.open([str(folder)])
        with (
            pytest.raises(InputError, match="2 missing values") as error,
            table.table().told(),
        ):
            route(table, target="kind")
        assert said in str(error.value)
    with pytest.raises(InputError, match=r"negative value, in data row 4 of .*part-2\.parquet"):
        scan(Dataset.open([str(folder)]), target="kind", roles=ROLES, drop=["number"])
    late["kind"][5] = None
    write_table(folder / "part-2.parquet", late)
    with pytest.raises(InputError, match=r"'kind' has 1 missing value, in data row 6 of .*part-2"):
        scan(Dataset.open([str(folder)]), target="kind", drop=["number"])


def test_infinite_numbers_are_named_with_their_row(tmp_path, rng):
    data = mixed(rng, 90)
    data["number"][70] = np.inf
    write_table(tmp_path / "t.parquet", data)
    with pytest.raises(InputError, match="'number' has 1 infinite value, in data row 71: replace"):
        scan(Dataset.open([str(tmp_path / "t.parquet")]), target="kind")


def test_a_text_of_too_many_levels_is_refused_on_the_way(tmp_path):
    names = np.array([f"name {i}" for i in range(3000)])
    write_table(tmp_path / "t.parquet", {"id": names, "y": np.arange(3000) % 2})
    with pytest.raises(InputError, match=r"'id' has more than 1,000 different texts \(data row 10"):
        scan(Dataset.open([str(tmp_path / "t.parquet")]), target="y")


def test_a_target_that_is_a_quantity_is_refused(tmp_path, rng):
    write_table(tmp_path / "t.parquet", {"x": rng.normal(size=99), "y": rng.normal(size=99)})
    with pytest.raises(InputError, match="looks continuous"):
        scan(Dataset.open([str(tmp_path)]), target="y")


def test_codes_take_two_bytes_for_many_labels(tmp_path, rng):
    y = np.repeat(np.arange(300), 2)
    write_table(tmp_path / "t.parquet", {"x": rng.normal(size=600), "y": rng.permutation(y)})
    found = scan(Dataset.open([str(tmp_path)]), target="y")
    assert found.codes.dtype == np.uint16
    np.testing.assert_array_equal(found.classes, np.arange(300))


def test_a_model_reads_only_labels_that_it_knows(tmp_path, rng):
    folder = str(parts(tmp_path / "d", rng))
    found = scan(Dataset.open([folder]), target="kind", drop=["weight", "shift"])
    again = scan_known(Dataset.open([folder]), found.encoding, target="kind", classes=found.classes)
    np.testing.assert_array_equal(again.codes, found.codes)
    with pytest.raises(InputError, match=r"'cow' \(\d+ rows, the first in data row 2 of .*part-0"):
        scan_known(Dataset.open([folder]), found.encoding, target="kind", classes=found.classes[:2])


def test_a_level_that_came_with_a_changed_file_is_named(tmp_path, rng):
    folder = parts(tmp_path / "d", rng, n=100)
    found = scan(Dataset.open([str(folder)]), target="kind")
    source = EncodedSource(found, 40)
    path = folder / "part-1.parquet"
    state = path.stat()
    data = mixed(rng, 100)
    data["text"][60] = "mauve"
    write_table(path, data)
    with pytest.raises(FileError, match=r"part-1\.parquet was changed while it was being read"):
        source.check_unchanged()
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    states = (*found.dataset.states[:1], (path.stat().st_size, state.st_mtime_ns))
    object.__setattr__(found.dataset, "states", (*states, *found.dataset.states[2:]))
    with pytest.raises(
        FileError, match=r"begins with data row 41 of .*part-1.*'text' holds 'mauve'"
    ):
        list(source.read(range(3)))


def test_other_rows_than_at_the_first_pass_are_refused(tmp_path, rng):
    folder = parts(tmp_path / "d", rng, suffix=".arrow", n=100)
    found = scan(Dataset.open([str(folder)]), target="kind")
    object.__setattr__(found, "lengths", (100, 90, 100))
    with pytest.raises(FileError, match=r"part-1\.arrow has 100 rows where it had 90"):
        list(EncodedSource(found, 40).read([0, 1]))


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_partitions_are_read_where_they_are_sent(suffix, tmp_path, rng):
    folder = parts(tmp_path / "d", rng, suffix=suffix)
    found = scan(Dataset.open([str(folder)]), target="kind")
    source = EncodedSource(found, 150)
    loaders = source.loaders(500)
    assert [len(loader.parts) for loader in loaders] == [1, 1, 1]
    assert len(source.loaders(800)) == 2
    blocks = [pickle.loads(pickle.dumps(loader))() for loader in loaders]
    np.testing.assert_array_equal(np.concatenate(blocks), encoded(source))


def test_row_groups_are_read_on_their_own(tmp_path, rng):
    table = pa.table({"x": rng.normal(size=1000), "y": np.arange(1000) % 2})
    parquet.write_table(table, tmp_path / "t.parquet", row_group_size=300)
    found = scan(Dataset.open([str(tmp_path)]), target="y")
    source = EncodedSource(found, 128)
    assert source.stretches == ((0, 300), (300, 600), (600, 900), (900, 1000))
    blocks = dict(source.read([1, 3]))
    assert list(blocks) == [300, 428, 556, 900]
    np.testing.assert_array_equal(blocks[428][:, 0], table["x"].to_numpy()[428:556])


def test_sparse_encodings_make_sparse_blocks(tmp_path, rng):
    text = np.array([f"t{i % 150}" for i in range(600)])
    write_table(tmp_path / "t.parquet", {"text": text, "y": np.arange(600) % 2})
    found = scan(Dataset.open([str(tmp_path)]), target="y")
    source = EncodedSource(found, 250)
    blocks = [block for _, block in source.read([0])]
    assert [block.format for block in blocks] == ["csr"] * 3
    assert source.row_entries == 1
    table = read_tables([str(tmp_path)])
    whole = np.concatenate([block.toarray() for block in blocks])
    np.testing.assert_array_equal(whole, found.encoding.apply(table).toarray())
