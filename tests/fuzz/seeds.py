"""Small whole files of every kind, which a run starts from beside the corpus."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow
from pyarrow import csv, feather, parquet
from sklearn.datasets import dump_svmlight_file

from softunit import SoftmaxClassifier, SoftmaxRegressor, TwoLayerRegressor
from softunit.model_file import SavedModel, Training, save_model
from softunit.tables import CategoricalColumn, Encoding, NumericColumn
from tests.fuzz.fuzz_checkpoint import SOLVERS, stopped
from tests.fuzz.fuzz_tables import FORMATS
from tests.fuzz.harness import quiet


def model_files() -> Iterator[bytes]:
    """Yield models of several problems."""
    rng = np.random.default_rng(1)
    columns = Encoding(
        (NumericColumn("a", 1.5), CategoricalColumn("b", ("u", "v")), NumericColumn("c"))
    )
    run = Encoding(tuple(NumericColumn(f"x{number}") for number in range(4)))
    X, y = rng.standard_normal((30, 4)), np.array(["p", "q", "r"])[np.arange(30) % 3]
    b = rng.dirichlet(np.ones(30))
    fits = [
        (SoftmaxClassifier().fit(X, y), columns, "classifier"),
        (SoftmaxRegressor().fit(X, b), run, "softmax"),
        (TwoLayerRegressor(rng.standard_normal((3, 30)), max_iter=3), run, "two-layer"),
    ]
    with quiet():  # it does not converge in so few iterations, and need not
        fits[2][0].fit(X, np.ones(3))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.safetensors"
        for estimator, encoding, problem in fits:
            training = Training.of(estimator, source="t.csv", rows=30)
            save_model(path, SavedModel(estimator, encoding, problem, "y", training))
            yield path.read_bytes()


def checkpoints() -> Iterator[bytes]:
    """Yield checkpoints of several solvers, of runs that were stopped and of one that ended."""
    with tempfile.TemporaryDirectory() as folder:
        for solver in SOLVERS:
            for iterations in (2, 1000):
                path = Path(folder) / f"{solver}-{iterations}.ckpt"
                stopped(solver, path, iterations)
                yield path.read_bytes()


def tables() -> Iterator[bytes]:
    """Yield a table in each format, behind the byte that says which."""
    for format, content in _tables():
        yield bytes([FORMATS.index(format)]) + content


def _tables() -> Iterator[tuple[str, bytes]]:
    number = [1.5, None, -3.0, 0.25]
    table = pyarrow.table(
        {
            "n": number,
            "i": pyarrow.array([1, 2, None, 4], pyarrow.int32()),
            "t": ["a", None, "bé", "a"],
            "d": pyarrow.array(["u", "v", "u", None]).dictionary_encode(),
            "f": [True, False, None, True],
            "when": pyarrow.array([1, 2, 3, 4], pyarrow.date32()),
            "y": ["p", "q", "p", "q"],
        }
    )
    sink = io.BytesIO()
    csv.write_csv(table, sink)
    text = sink.getvalue()
    yield "csv", text
    yield "tsv", text.replace(b",", b"\t")
    sink = io.BytesIO()
    np.savez(sink, X=np.arange(8.0).reshape(4, 2), y=np.arange(4), names=np.array(["a", "bc"]))
    yield "npz", sink.getvalue()
    sink = io.BytesIO()
    dump_svmlight_file(np.eye(4)[:, ::-1] * 2.5, np.array([1, -1, 1, -1]), sink)
    yield "svmlight", sink.getvalue()
    for packing in ("uncompressed", "lz4"):
        sink = io.BytesIO()
        feather.write_feather(table, sink, compression=packing)
        yield "arrow", sink.getvalue()
    sink = io.BytesIO()
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    yield "arrow", sink.getvalue()
    for options in ({"compression": "none"}, {"compression": "snappy", "data_page_version": "2.0"}):
        sink = io.BytesIO()
        parquet.write_table(table, sink, **options)
        yield "parquet", sink.getvalue()
