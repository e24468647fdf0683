"""What a run does not go on from, and what it does where a checkpoint cannot be written."""

from __future__ import annotations

import errno
import os
from functools import partial

import numpy as np
import pytest
from scipy import sparse

import softunit as su
from softunit.checkpoints import check_checkpoint
from softunit.checkpoints import checkpoint as module
from softunit.checkpoints.files import read_file, write_file
from softunit.errors import CheckpointWarning, FileError, InputError
from softunit.penalties import ElasticNet, Ridge, ScoreRidge
from softunit.solvers import LBFGS
from softunit.units import GroupedSoftmax, Multinomial, SoftmaxSquares
from tests.checkpoints.kept import EndedError, ended_at, same_run
from tests.contracts.cases import multinomial_problem

RNG = np.random.default_rng(11)
A = RNG.standard_normal((200, 4))
Y = RNG.integers(0, 3, 200)
B = RNG.dirichlet(np.ones(200))
WEIGHTS = RNG.uniform(1, 2, 200)
OFFSET = RNG.standard_normal((200, 3))


RIDGE, SQUARES = Ridge(0.01), SoftmaxSquares()


def classes(a=A, y=Y, k=3, penalty=RIDGE, **more) -> su.Problem:
    return su.Problem(a, Multinomial(k), y, penalty, **more)


def squares(a=A, b=B, penalty=RIDGE, unit=SQUARES, **more) -> su.Problem:
    return su.Problem(a, unit, b, penalty, **more)


def changed(array, place, value):
    out = np.array(array)
    out[place] = value
    return out


GROUPS = np.arange(200) // 4
OTHERS = [
    (
        classes(),
        classes(A[:150], Y[:150]),
        r"it is of a problem with 200 rows, and this one has 150",
    ),
    (classes(), classes(A[:, :1]), "it is of a problem with 4 columns, and this one has 1"),
    (classes(A[:, :1]), classes(), "it is of a problem with 1 column, and this one has 4"),
    (
        classes(),
        classes(k=4, y=changed(Y, 0, 3)),
        r"its x has shape \(4, 3\), and here x has shape \(4, 4\)",
    ),
    (classes(), squares(), r"its x has shape \(4, 3\), and here x has shape \(4\)"),
    (
        squares(),
        squares(unit=su.units.SinhSquares(), b=B + 0.1),
        "its unit is SoftmaxSquares, and here it is SinhSquares",
    ),
    (
        squares(unit=GroupedSoftmax(GROUPS), b=np.tile([1.0, 0, 0, 0], 50)),
        squares(unit=GroupedSoftmax(GROUPS[::-1] // 2), b=np.tile([1.0, 0, 0, 0], 50)),
        "its unit settings differ",
    ),
    (classes(), classes(y=changed(Y, 5, (Y[5] + 1) % 3)), "its target differs"),
    (classes(), classes(weights=WEIGHTS), "this problem has row weights, and it has none"),
    (classes(weights=WEIGHTS), classes(), "it has row weights, and this problem has none"),
    (
        classes(weights=WEIGHTS),
        classes(weights=changed(WEIGHTS, 7, 1.5)),
        "its row weights differ",
    ),
    (classes(offset=OFFSET), classes(offset=OFFSET + 1), "its offset differs"),
    (classes(), classes(changed(A, (9, 2), 0.123)), "its entries differ|of its columns differ"),
    (classes(), classes(penalty=Ridge(0.02)), "the strength of its ridge differs"),
    (
        classes(),
        classes(penalty=ElasticNet(0.01)),
        r"its penalties are \(Ridge\), and here they are \(ElasticNet\)",
    ),
    (
        squares(penalty=ScoreRidge(WEIGHTS)),
        squares(penalty=ScoreRidge(WEIGHTS[::-1])),
        "its score ridge differs",
    ),
    (
        classes(penalty=ElasticNet(0.1, l1_ratio=0.5)),
        classes(penalty=ElasticNet(0.1, l1_ratio=0.500001)),
        "the strength of its ridge differs|l1 penalty differs",
    ),
    (
        classes(penalty=ElasticNet(0.1, l1_ratio=0.5)),
        classes(penalty=ElasticNet(0.1, l1_ratio=0.5, group=True)),
        "l1 takes groups in one of the problems",
    ),
    (
        classes(su.designs.ScaledDesign(su.designs.as_design(A), scale=np.ones(4))),
        classes(su.designs.ScaledDesign(su.designs.as_design(A), scale=np.array([1, 1, 2.0, 1]))),
        "the scaling of its columns differs",
    ),
]


@pytest.mark.parametrize(("one", "other", "told"), OTHERS, ids=[told[:40] for _, _, told in OTHERS])
def test_another_problem(one, other, told, tmp_path):
    path = tmp_path / "run.ckpt"
    su.minimize(one, checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(FileError, match=f"checkpoint of another problem: ({told})"):
        su.minimize(other, checkpoint=path, resume=True)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "twin",
    [
        lambda: classes(np.asfortranarray(A)),
        lambda: classes(A.copy()),
        lambda: classes(sparse.csr_array(A)),
    ],
    ids=["by columns", "copied", "sparse"],
)
def test_the_same_problem_in_other_memory(twin, tmp_path):
    path, run = tmp_path / "run.ckpt", partial(su.minimize, solver="lbfgs", tol=1e-12)
    with pytest.raises(EndedError, match="ended"):
        run(classes(), checkpoint=path, callback=ended_at(4))
    end = run(twin(), checkpoint=path, resume=True)
    np.testing.assert_allclose(end.x, run(classes()).x, rtol=0, atol=1e-10)


def test_rows_that_no_look_has_met(tmp_path, monkeypatch):
    """What hashes and sums miss, the value of the objective at the saved point shows."""
    path = tmp_path / "run.ckpt"
    with pytest.raises(EndedError, match="ended"):
        su.minimize(classes(), solver="lbfgs", checkpoint=path, callback=ended_at(3))
    monkeypatch.setattr("softunit.checkpoints.part.difference", lambda *_, **__: "")
    with pytest.raises(FileError, match=r"its data have changed: at the point saved the objective"):
        su.minimize(classes(A[::-1]), solver="lbfgs", checkpoint=path, resume=True)


def test_a_forged_gradient_makes_no_optimum(tmp_path):
    path = tmp_path / "run.ckpt"
    with pytest.raises(EndedError, match="ended"):
        su.minimize(classes(), solver="newton", checkpoint=path, callback=ended_at(1))
    tree = read_file(path)
    tree["parts"][0]["state"]["point"]["gradient"][:] = 0.0
    tree["parts"][0]["history"][-1, 2] = 0.0
    write_file(path, tree)
    end = su.minimize(classes(), solver="newton", tol=1e-10, checkpoint=path, resume=True)
    gradient = classes().gradient(end.x)
    assert np.abs(gradient).max() <= 1e-10


@pytest.mark.parametrize("solver", ["lbfgs", "newton", "block-coordinate", "zeroth-order"])
def test_a_forged_end_is_none(solver, tmp_path):
    path, run = tmp_path / "run.ckpt", partial(su.minimize, classes(), solver=solver, max_iter=3)
    run(checkpoint=path)
    again = run(checkpoint=path, resume=True)
    assert again.n_iter == 3 or again.converged
    edited(path, lambda part, tree: part["ended"].update(x=part["ended"]["x"] + 1e-2))
    with pytest.raises(FileError, match=r"its data have changed|the largest gradient entry at its"):
        run(checkpoint=path, resume=True)


def test_another_solver(tmp_path):
    path = tmp_path / "run.ckpt"
    su.minimize(classes(), solver="lbfgs", checkpoint=path)
    with pytest.raises(FileError, match=r"it was written by LBFGS\(\), and this is Newton\(\)"):
        su.minimize(classes(), solver="newton", checkpoint=path, resume=True)
    with pytest.raises(FileError, match=r"by LBFGS\(\), and this is LBFGS\(memory=5\)"):
        su.minimize(classes(), solver=LBFGS(5), checkpoint=path, resume=True)


def test_an_unfinished_run_is_not_overwritten(tmp_path):
    path = tmp_path / "run.ckpt"
    with pytest.raises(EndedError, match="ended"):
        su.minimize(classes(), checkpoint=path, callback=ended_at(2))
    before = path.read_bytes()
    with pytest.raises(FileError, match=r"of a fit that has not finished. Go on from it with"):
        su.minimize(classes(), checkpoint=path)
    assert path.read_bytes() == before


def test_files_of_others_are_not_overwritten(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("a,b\n1,2\n3,4\n")
    with pytest.raises(FileError, match=r"though it is no finished .* damaged\. Remove it"):
        su.minimize(classes(), checkpoint=path)
    with pytest.raises(FileError, match="it is no checkpoint of softunit, or it is truncated"):
        su.minimize(classes(), checkpoint=path, resume=True)
    assert path.read_text() == "a,b\n1,2\n3,4\n"


def test_an_empty_file_holds_nothing_to_lose(tmp_path):
    path = tmp_path / "run.ckpt"
    path.touch()
    with pytest.raises(FileError, match="it is no checkpoint of softunit, or it is truncated"):
        su.minimize(classes(), checkpoint=path, resume=True)
    su.minimize(classes(), checkpoint=path)
    assert read_file(path)["finished"]


def edited(path, change) -> None:
    tree = read_file(path)
    change(tree["parts"][0], tree)
    write_file(path, tree)


DAMAGES = {
    "no runs": lambda part, tree: tree.pop("parts"),
    "a run that is none": lambda part, tree: tree.update(parts=[3]),
    "no end": lambda part, tree: tree.pop("finished"),
    "no fingerprint": lambda part, tree: part.pop("fingerprint"),
    "half a fingerprint": lambda part, tree: part["fingerprint"]["facts"].pop("target"),
    "no figures": lambda part, tree: part["fingerprint"]["figures"].pop("mean"),
    "no solver": lambda part, tree: part.pop("solver"),
    "no state": lambda part, tree: part.pop("state"),
    "a state that is none": lambda part, tree: part.update(state=[1, 2]),
    "another state": lambda part, tree: part["state"].update(radius=3.0),
    "no memory": lambda part, tree: part["state"].update(memory=3),
    "half a memory": lambda part, tree: part["state"]["memory"].pop("pairs"),
    "a memory of other moves": lambda part, tree: part["state"]["memory"].update(
        pairs=[[np.zeros(2), np.zeros(2), 1.0]]
    ),
    "a memory without curvature": lambda part, tree: part["state"]["memory"]["pairs"][
        0
    ].__setitem__(2, -1.0),
    "no point": lambda part, tree: part["state"].pop("point"),
    "half a point": lambda part, tree: part["state"]["point"].pop("x"),
    "a point elsewhere": lambda part, tree: part["state"]["point"].update(x=np.zeros((2, 2))),
    "a point of text": lambda part, tree: part["state"]["point"].update(x="zero"),
    "a point of float32": lambda part, tree: part["state"]["point"].update(
        x=np.zeros((4, 3), dtype=np.float32)
    ),
    "infinite": lambda part, tree: part["state"]["point"].update(x=np.full((4, 3), np.inf)),
    "a value of text": lambda part, tree: part["state"]["point"].update(value="small"),
    "a yes of text": lambda part, tree: part["state"]["point"].update(exact="yes"),
    "no share": lambda part, tree: part["state"]["point"].update(share=0.0),
    "no history": lambda part, tree: part.update(history=np.zeros((0, 7))),
    "a narrow history": lambda part, tree: part.update(history=np.zeros((2, 3))),
    "a history of no iteration": lambda part, tree: part["history"].__setitem__(0, np.nan),
    "judged from nowhere": lambda part, tree: part.update({"judged from": 99}),
    "no cost": lambda part, tree: part.update(cost={}),
    "no seconds": lambda part, tree: part.update(seconds="3"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_contents_that_fit_their_checksum_are_looked_at(damage, tmp_path):
    path = tmp_path / "run.ckpt"
    with pytest.raises(EndedError, match="ended"):
        su.minimize(classes(), solver="lbfgs", checkpoint=path, callback=ended_at(4))
    edited(path, damage)
    with pytest.raises(FileError, match=r"run.ckpt cannot be resumed from: .*\."):
        su.minimize(classes(), solver="lbfgs", checkpoint=path, resume=True)


@pytest.mark.parametrize(
    "damage",
    [
        lambda ended: ended.update(x=np.zeros(3)),
        lambda ended: ended.update(status="GOOD"),
        lambda ended: ended.pop("value"),
        lambda ended: ended.update(solver=3),
    ],
    ids=["x", "status", "value", "solver"],
)
def test_ends_are_looked_at(damage, tmp_path):
    path = tmp_path / "run.ckpt"
    su.minimize(classes(), solver="lbfgs", checkpoint=path)
    edited(path, lambda part, tree: damage(part["ended"]))
    with pytest.raises(FileError, match=r"run.ckpt cannot be resumed from: .*damaged|missing"):
        su.minimize(classes(), solver="lbfgs", checkpoint=path, resume=True)


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: state.update(stage=99),
        lambda state: state.update(stage="last"),
        lambda state: state.update(inverse={"x": np.zeros(2), "of blocks": False}),
        lambda state: state.update(inverse=[]),
        lambda state: state.update(newton=7),
        lambda state: state.update(age="old"),
        lambda state: state.update(sharp=1),
    ],
    ids=["stage", "text", "inverse", "list", "newton", "age", "sharp"],
)
def test_sketched_states_are_looked_at(damage, tmp_path):
    path = tmp_path / "run.ckpt"
    with pytest.raises(EndedError, match="ended"):
        su.minimize(classes(), solver="sketched-newton", checkpoint=path, callback=ended_at(2))
    edited(path, lambda part, tree: damage(part["state"]))
    with pytest.raises(FileError, match=r"run.ckpt cannot be resumed from: it is damaged"):
        su.minimize(classes(), solver="sketched-newton", checkpoint=path, resume=True)


# What is told, and where it is to be written ------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "error", "sentence"),
    [
        ((3, 30.0, False), InputError, "`checkpoint` must be a path; got int"),
        (("a.ckpt", -1.0, False), InputError, "`every` must be a finite number >= 0; got -1"),
        (("a.ckpt", "often", False), InputError, "`every` must be"),
        (("a.ckpt", 30.0, "yes"), InputError, "`resume` must be True or False; got 'yes'"),
        ((None, 30.0, True), InputError, "`resume` needs the `checkpoint` to go on from"),
        (("", 30.0, False), FileError, "An output path is empty"),
        (("no/such/folder/a.ckpt", 30.0, False), FileError, "does not exist"),
        ((".", 30.0, False), FileError, "it is a folder"),
        (("/dev/null", 30.0, False), FileError, "/dev/null cannot be a checkpoint: it is no plain"),
    ],
)
def test_what_is_told_is_checked_before_the_work(told, error, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path, every, resume = told
    with pytest.raises(error, match=sentence):
        check_checkpoint(path, every, resume)
    with pytest.raises(error, match=sentence):
        su.minimize(classes(), checkpoint=path, every=every, resume=resume, callback=ended_at(0))
    assert os.listdir(tmp_path) == []


def full(monkeypatch, fails):
    """Let the disk be full on the writings for which `fails` says so."""
    write, count = module.write_file, []

    def written(path, tree):
        count.append(path)
        if fails(len(count)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, tree)

    monkeypatch.setattr(module, "write_file", written)


def test_a_disk_that_fills_does_not_end_the_run(tmp_path, monkeypatch, rng):
    problem, path = multinomial_problem(rng), tmp_path / "run.ckpt"
    run = partial(su.minimize, problem, solver="lbfgs", tol=1e-10)
    whole = run()
    full(monkeypatch, lambda count: count > 3)
    with pytest.warns(CheckpointWarning, match="could not be written") as seen:
        end = run(checkpoint=path, every=0)
    assert same_run(whole, end)
    during, after = (str(each.message) for each in seen)
    assert during.startswith(f"the checkpoint {path} could not be written: No space left on device")
    assert during.endswith("The run goes on; the last one was written at iteration 2.")
    assert after.startswith(f"the fit has ended, but its checkpoint {path} could not be written")
    monkeypatch.undo()
    assert same_run(whole, run(checkpoint=path, resume=True))


def test_a_disk_that_has_room_again_is_written_to(tmp_path, monkeypatch, rng):
    problem, path = multinomial_problem(rng), tmp_path / "run.ckpt"
    full(monkeypatch, lambda count: count in (2, 3, 5))
    with pytest.warns(CheckpointWarning, match="could not be written") as seen:
        su.minimize(problem, solver="lbfgs", checkpoint=path, every=0)
    assert [str(each.message).partition(";")[2] for each in seen] == [
        " the last one was written at iteration 0.",
        " the last one was written at iteration 3.",
    ]
    assert read_file(path)["finished"]


def test_where_nothing_could_be_written_that_is_told_at_the_end(tmp_path, monkeypatch, rng):
    full(monkeypatch, lambda count: True)
    with pytest.warns(CheckpointWarning, match="the fit has ended.*; none was written") as seen:
        su.minimize(multinomial_problem(rng), checkpoint=tmp_path / "run.ckpt")
    assert len(seen) == 1
    assert os.listdir(tmp_path) == []


def test_an_error_is_told_though_its_checkpoint_cannot_be_written(tmp_path, monkeypatch, rng):
    full(monkeypatch, lambda count: True)
    with (
        pytest.warns(CheckpointWarning, match="could not be written"),
        pytest.raises(EndedError, match="ended"),
    ):
        su.minimize(
            multinomial_problem(rng), checkpoint=tmp_path / "run.ckpt", callback=ended_at(2)
        )


def test_what_a_killed_process_left_is_removed(tmp_path, rng):
    left = tmp_path / f".run.{'0' * 12}.ckpt"
    left.write_bytes(b"half")
    (tmp_path / ".run.other.ckpt").touch()
    su.minimize(multinomial_problem(rng), checkpoint=tmp_path / "run.ckpt")
    assert sorted(os.listdir(tmp_path)) == [".run.other.ckpt", "run.ckpt"]
