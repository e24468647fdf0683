"""Data of several files, and larger than memory: the same answers from disk and from a cluster."""

from __future__ import annotations

import contextlib
import re

import numpy as np
import pytest

from softunit.cli import homes
from softunit.errors import FileError
from softunit.model_file import load_model
from softunit.tables import read_table, write_table
from tests.cli.commands import columns, figures, matrix_file, refused, run
from tests.tables.datasets import mixed, parts

LEAST = "8MB"


@pytest.fixture
def data(tmp_path, rng):
    """A folder of three Parquet files."""
    return parts(tmp_path / "data", rng, n=2000)


def coefficients(path):
    estimator = load_model(path).estimator
    return np.column_stack([estimator.coef_, estimator.intercept_])


def test_rows_on_disk_give_the_model_of_rows_in_memory(data, tmp_path, monkeypatch):
    monkeypatch.setattr("softunit.designs._memory.CHUNK_LEAST", 1 << 15)
    monkeypatch.setattr("softunit.designs._memory.CHUNK_MOST", 1 << 15)
    found = {}
    for name, more in {"memory": (), "disk": ("--memory", LEAST)}.items():
        model, json = tmp_path / f"{name}.st", tmp_path / f"{name}.json"
        files = sorted(data.iterdir()) if name == "disk" else [data]
        args = ("--target", "kind", "--weights", "weight", "--drop", "shift", "--tol", 1e-10)
        report = tmp_path / f"{name}.html"
        result = run(
            "fit", *files, *args, *more, "--out", model, "--json", json, "--report", report
        )
        found[name] = figures(json)
        assert found[name]["rows_live"] == name
    inside, outside = found.values()
    assert set(inside) == set(outside)
    np.testing.assert_allclose(
        coefficients(tmp_path / "disk.st"), coefficients(tmp_path / "memory.st"), atol=1e-8
    )
    assert outside["value"] == pytest.approx(inside["value"], rel=1e-12)
    assert outside["gap_bound"] < 1e-10
    assert outside["measures"] == inside["measures"]
    assert outside["calibration_error"] == pytest.approx(inside["calibration_error"], rel=1e-9)
    assert outside["settings"] == inside["settings"]
    assert (outside["n"], outside["d"], outside["memory_budget"]) == (6000, 6, 8_000_000)
    assert outside["reads"] >= 3
    for one, other in zip(
        outside["largest_coefficients"], inside["largest_coefficients"], strict=True
    ):
        assert one["feature"] == other["feature"]
        assert one["effect"] == pytest.approx(other["effect"], rel=1e-6)
    assert "Rows live" in result.stdout
    told = " ".join(result.stdout.split())
    reads = re.search(r"on disk, within 8 MB of memory, read (\S+) times in full: (\S+) by", told)
    assert float(reads[1]) >= 1 + float(reads[2]) >= 3
    assert "on disk, within 8 MB" in (tmp_path / "disk.html").read_text("utf-8")
    assert outside["source"] == f"{data}/*.parquet"
    assert outside["repeat"].startswith(f"softunit fit '{data}/*.parquet'")
    saved = load_model(tmp_path / "disk.st")
    assert saved.training.rows == 6000
    assert saved.encoding == load_model(tmp_path / "memory.st").encoding


def test_predictions_of_blocks_are_those_of_the_whole(data, tmp_path, monkeypatch):
    model = tmp_path / "m.st"
    run("fit", data, "--target", "kind", "--memory", LEAST, "--out", model)
    monkeypatch.setattr("softunit.designs._memory.CHUNK_LEAST", 1 << 15)
    monkeypatch.setattr("softunit.designs._memory.CHUNK_MOST", 1 << 15)
    said = {}
    for name, more in {"whole": (), "blocks": ("--memory", LEAST)}.items():
        result = run(
            *("predict", model, data, *more, "--out", tmp_path / f"{name}.parquet"),
            *("--json", tmp_path / f"{name}.json"),
        )
        said[name] = "The rows stayed on disk, within 8 MB of memory." in result.stdout
    whole, blocks = (read_table(tmp_path / f"{name}.parquet") for name in ("whole", "blocks"))
    assert whole.arrow.schema.equals(blocks.arrow.schema)
    for name in whole.names:
        assert whole.column(name).to_pylist() == pytest.approx(blocks.column(name).to_pylist())
    assert said == {"whole": False, "blocks": True}
    one, other = (figures(tmp_path / f"{name}.json") for name in ("whole", "blocks"))
    assert set(one) == set(other)
    assert one["counts"] == other["counts"]
    assert (one["rows"], other["rows"], other["rows_live"]) == (6000, 6000, "disk")


def test_certifying_from_disk_is_certifying_in_memory(data, tmp_path):
    model = tmp_path / "m.st"
    run("fit", data, "--target", "kind", "--weights", "weight", "--out", model)
    for name, more in {"memory": (), "disk": ("--memory", LEAST)}.items():
        run("certify", model, data, *more, "--json", tmp_path / f"{name}.json")
    one, other = (figures(tmp_path / f"{name}.json") for name in ("memory", "disk"))
    assert set(one) == set(other)
    assert other["value"] == pytest.approx(one["value"], rel=1e-12)
    write_table(
        data / "part-1.parquet", mixed(np.random.default_rng(0), 50) | {"kind": ["dog"] * 50}
    )
    for more in ((), ("--memory", LEAST)):
        said = refused("certify", model, data, *more)
        assert f"'dog' (50 rows, the first in data row 1 of {data}/part-1.parquet)" in said


def test_levels_never_seen_follow_the_rule_from_disk_too(data, tmp_path, rng):
    model = tmp_path / "m.st"
    run("fit", data, "--target", "kind", "--out", model)
    late = mixed(rng, 90)
    late["text"][50] = "mauve"
    write_table(data / "part-2.parquet", late)
    place = f"in data row 51 of {data}/part-2.parquet"
    for more in ((), ("--memory", LEAST)):
        out = tmp_path / "p.csv"
        said = refused("predict", model, data, "--out", out, *more)
        assert "'text' holds 'mauve', never seen" in said
        assert place in said
        assert not out.exists()
        run("predict", model, data, "--out", out, "--unknown", "other", *more)
        out.unlink()
        assert place in refused("certify", model, data, *more)
        run("certify", model, data, "--unknown", "other", *more, status=3)


def test_an_offset_and_errors_work_from_disk(tmp_path, rng):
    for number in range(2):
        two = columns(rng, 300)
        two["species"] = np.where(two["species"] == "setosa", "setosa", "other")
        write_table(tmp_path / f"part-{number}.parquet", two)
    values = []
    for more in ((), ("--memory", LEAST)):
        args = ("--target", "species", "--offset", "weight", "--errors", "robust", "--tol", 1e-10)
        run("fit", tmp_path / "part-*.parquet", *args, *more, "--json", tmp_path / "f.json")
        rows = figures(tmp_path / "f.json")["estimates"]["rows"]
        values.append([(row["value"], row["error"]) for row in rows])
        names = [row["feature"] for row in rows]
        assert names == ["width", "height", "colour=green", "colour=red", "intercept"]
    np.testing.assert_allclose(values[1], values[0], rtol=1e-6)


def test_missing_values_are_filled_from_disk_as_in_memory(tmp_path, rng):
    data = parts(tmp_path / "data", rng, missing=0.1)
    args = ("fit", data, "--target", "kind")
    said = {refused(*args, *more) for more in ((), ("--memory", LEAST))}
    assert len(said) == 1
    assert "'number' has" in said.pop()
    for more in ((), ("--memory", LEAST)):
        run(*args, "--impute", "median", *more, "--out", tmp_path / f"{len(more)}.st")
    one, other = (load_model(tmp_path / f"{n}.st").encoding for n in (0, 2))
    assert one == other


@pytest.fixture
def little_memory(monkeypatch):
    """Make 40 MB of memory free, of which a quarter is the budget."""
    monkeypatch.setattr(homes, "free_memory", lambda: 40_000_000)
    monkeypatch.setattr(homes, "decoded_bytes", lambda files: 25_000_000)


def test_rows_stay_on_disk_by_themselves_where_memory_is_short(data, tmp_path, little_memory):
    model = tmp_path / "m.st"
    result = run("fit", data, "--target", "kind", "--json", tmp_path / "f.json", "--out", model)
    said = " ".join(result.stdout.split())
    assert "The data take about 25 MB, more than half of the 40 MB of free memory" in said
    assert "within 10 MB (--memory)" in said
    assert figures(tmp_path / "f.json")["memory_budget"] == 10_000_000
    run("predict", model, data, "--out", tmp_path / "p.csv", "--json", tmp_path / "f.json")
    assert figures(tmp_path / "f.json")["rows_live"] == "disk"
    assert "--memory" in run("certify", model, data).stdout


def test_other_problems_say_how_much_memory_they_need(data, tmp_path, little_memory, monkeypatch):
    regression = ("fit", data, "--target", "number", "--problem", "exp", "--drop", "kind")
    run(*regression, "--drop", "text", "--ridge", 1, "--json", tmp_path / "f.json")
    assert figures(tmp_path / "f.json")["rows_live"] == "memory"
    monkeypatch.setattr(homes, "decoded_bytes", lambda files: 50_000_000)
    said = refused(*regression)
    assert "takes about 50 MB in memory, and 40 MB are free" in said
    assert "--problem exp needs all rows in memory. Use fewer rows" in said
    matrix = matrix_file(tmp_path / "m.npz", np.random.default_rng(0))
    monkeypatch.setattr(homes, "_SMALL", 0)
    assert "npz files are read whole. Write the rows as Parquet" in refused("fit", matrix)


REFUSED = {
    "--memory 1MB": ["--memory must be at least 8 MB"],
    "--memory lots": ["--memory must be a size such as '2GB'"],
    "--memory 2GB --problem softmax": ["--memory belongs to --problem classifier"],
    "--memory 2GB --dask local": ["--memory leaves the rows on the disk", "give one of them"],
    "--memory 2GB --errors clustered --clusters count": ["give --errors robust"],
    "--dask local --problem exp": ["--dask belongs to --problem classifier"],
    "--dask localhost": ["must be like 'tcp://host:8786'; got 'localhost'"],
    "--resume": ["--resume goes with --checkpoint"],
    "--every 3": ["--every goes with --checkpoint"],
    "--checkpoint c --every -3": ["--every must be"],
    "--checkpoint c --problem rescaled": [
        "--checkpoint belongs to --problem classifier, choice or"
    ],
    "--memory 8MB --drop kind --target number": ["looks continuous"],
    "--memory 8MB --offset shift": ["--offset is for two classes"],
    "--memory 8MB --reference dog --errors robust": ["--reference names 'dog'"],
    "--memory 8MB --weights text": ["'text' must hold numbers"],
    "--memory 8MB --weights wieght": ["no column 'wieght'", "Did you mean 'weight'"],
}


@pytest.mark.parametrize("options", REFUSED)
def test_refuses_with_a_sentence(options, data, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    target = () if "--target" in options else ("--target", "kind")
    said = refused("fit", data, *target, *options.split())
    for words in REFUSED[options]:
        assert words in said, said
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_outputs_do_not_overwrite_a_file_of_the_dataset(data, tmp_path):
    model = tmp_path / "m.st"
    run("fit", data, "--target", "kind", "--out", model)
    out = data / "part-1.parquet"
    assert f"({out}) are the same file" in refused("predict", model, data, "--out", out)
    said = refused("predict", model, data, "--memory", LEAST, "--out", tmp_path / "p.npz")
    assert "cannot be written block by block" in said


def test_predictions_that_look_at_all_rows_take_no_memory_budget(tmp_path, rng):
    x = rng.random(40)
    write_table(tmp_path / "t.parquet", {"x": x, "y": np.exp(x) / np.exp(x).sum()})
    args = (tmp_path / "t.parquet", "--memory", LEAST)
    run("fit", args[0], "--target", "y", "--problem", "softmax", "--out", tmp_path / "m.st")
    said = refused("predict", tmp_path / "m.st", *args, "--out", tmp_path / "p.csv")
    assert "--problem softmax looks at all rows together" in said
    assert "--memory certifies classifiers" in refused("certify", tmp_path / "m.st", *args)


def test_an_interrupted_fit_says_how_it_goes_on(data, tmp_path, monkeypatch):
    args = ("fit", data, "--target", "kind", "--memory", LEAST, "--tol", 1e-10)
    run(*args, "--out", tmp_path / "whole.st")
    kept = tmp_path / "run.ckpt"
    more = ("--checkpoint", kept, "--every", 0, "--out", tmp_path / "m.st")

    @contextlib.contextmanager
    def impatient(verbose, tol):
        def line(record):
            if record.iteration == 2:
                raise KeyboardInterrupt
            return False

        yield line

    with monkeypatch.context() as patch:
        patch.setattr("softunit.estimators.softmax_classifier.progress", impatient)
        said = run(*args, *more, status=130).stderr
    assert f"The run is kept in {kept}. Give the same command with --resume" in said
    assert not (tmp_path / "m.st").exists()
    assert "--resume" in refused(*args, *more)
    run(*args, *more, "--resume", "--json", tmp_path / "f.json")
    np.testing.assert_allclose(
        coefficients(tmp_path / "m.st"), coefficients(tmp_path / "whole.st"), atol=1e-10
    )
    settings = figures(tmp_path / "f.json")["settings"]
    assert settings["checkpoint"] == str(kept)
    other = refused(*args, "--checkpoint", kept, "--resume", "--C", 3)
    assert "another problem" in other or "finished" in other


def test_a_checkpoint_that_is_not_there_is_told_of(data, tmp_path):
    args = ("fit", data, "--target", "kind", "--checkpoint", tmp_path / "c.ckpt", "--resume", "-q")
    said = run(*args).stderr
    assert "c.ckpt is not there, so there is nothing to resume: the fit begins at" in said
    assert run(*args).stderr == ""


def test_both_homes_refuse_in_the_same_words(tmp_path, rng):
    n = 60
    values = {"x": rng.random(n), "one": np.full(n, "no"), "size": rng.random(n)}
    write_table(tmp_path / "t.parquet", values)
    for more in ((), ("--memory", LEAST)):
        said = refused("fit", tmp_path / "t.parquet", "--target", "one", "--drop", "size", *more)
        assert "Target 'one' holds one class only, 'no', in all 60 rows: a classifier" in said
        least = "at least " if more else ""
        said = refused("fit", tmp_path / "t.parquet", "--target", "size", "--drop", "one", *more)
        assert f"has {least}60 different values that are not whole numbers" in said


def test_what_a_prediction_cannot_do_is_not_advised(data, tmp_path, rng):
    model = tmp_path / "m.st"
    run("fit", data, "--target", "kind", "--out", model)
    far = mixed(rng, 20)
    far["number"][7] = np.inf
    write_table(data / "part-1.parquet", far)
    for more in ((), ("--memory", LEAST)):
        said = refused("predict", model, data, "--out", tmp_path / "p.csv", *more)
        assert "'number' has 1 infinite value, in data row 8 of" in said
        assert "--drop" not in said


def test_files_are_looked_for_before_a_cluster_is_started(tmp_path, monkeypatch):
    monkeypatch.setattr("softunit.designs.dask.local_client", None)  # calling it fails
    said = refused("fit", tmp_path / "x*.parquet", "--target", "y", "--dask", "local")
    assert "no file matches" in said


def test_a_store_that_does_not_answer_is_asked_once(monkeypatch):
    asked = []

    def ask(url, look):
        asked.append(url)
        raise FileError(f"{url} cannot be opened: nothing answered.")

    monkeypatch.setattr("softunit.tables.data_files.in_time", ask)
    assert "nothing answered" in refused("fit", "gs://x/y", "--target", "y")
    assert asked == ["gs://x/y"]


@pytest.fixture
def cluster():
    """A scheduler with two workers on threads of this process, at an address of loopback."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        2,
        threads_per_worker=1,
        host="127.0.0.1",
        processes=False,
        protocol="tcp://",
        dashboard_address="127.0.0.1:0",
        scheduler_kwargs={"dashboard": False},
    ) as started:
        yield started


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_rows_on_a_cluster_give_the_model_of_rows_in_memory(data, tmp_path, cluster, monkeypatch):
    from distributed import Client

    ended = []

    @contextlib.contextmanager
    def local(workers):
        client = Client(cluster)
        try:
            yield client
        finally:
            client.close()
            ended.append(client.status)

    monkeypatch.setattr("softunit.designs.dask.local_client", local)
    args = ("fit", data, "--target", "kind", "--weights", "weight", "--tol", 1e-10)
    run(*args, "--out", tmp_path / "memory.st", "--json", tmp_path / "memory.json")
    for name, address in {"tcp": cluster.scheduler_address, "local": "local"}.items():
        files = ("--out", tmp_path / f"{name}.st", "--json", tmp_path / f"{name}.json")
        result = run(*args, "--dask", address, *files)
        found, inside = (figures(tmp_path / f"{each}.json") for each in (name, "memory"))
        assert set(found) == set(inside)
        assert found["rows_live"] == "cluster"
        assert found["measures"] == inside["measures"]
        assert found["gap_bound"] < 1e-10
        np.testing.assert_allclose(
            coefficients(tmp_path / f"{name}.st"), coefficients(tmp_path / "memory.st"), atol=1e-8
        )
        told = " ".join(result.stdout.split())
        assert "on the workers of" in told
        assert "softunit certify looks further, from disk (--memory)" in told
    assert ended == ["closed"]
    assert "no column 'knid'" in refused(*args[:3], "knid", "--dask", "local")
    assert ended == ["closed"] * 2
