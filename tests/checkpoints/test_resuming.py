"""A run that goes on from a checkpoint takes the steps that it would have taken anyway."""

from __future__ import annotations

import dataclasses
import os
import shutil
from functools import partial

import numpy as np
import pytest

import softunit as su
from softunit.checkpoints import Checkpoint, opened
from softunit.checkpoints import checkpoint as module
from softunit.checkpoints.files import read_file
from softunit.errors import FileError, NeedsError
from softunit.estimators._choice_start import SampledHessian
from softunit.penalties import ElasticNet, Ridge, ScoreRidge
from softunit.solution import Status
from softunit.solvers import LBFGS, BlockCoordinate, Newton, SketchedNewton, Solver, ZerothOrder
from softunit.solvers.paper_newton import PaperNewton
from softunit.units import Multinomial, SoftmaxSquares
from tests.checkpoints.kept import EndedError, Versions, ended_at, same_run
from tests.contracts.cases import SOLVERS, multinomial_problem, squares_problem

MOST = 12  # iterations of a run whose every step is resumed from


def many_rows(seed: int, *, dtype: str = "float64", weighted: bool = False) -> su.Problem:
    """A problem that sketched steps pass through in stages."""
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((90_000, 4)).astype(dtype)
    y = (a @ rng.standard_normal((4, 3)) + rng.gumbel(size=(90_000, 3))).argmax(axis=1)
    weights = rng.uniform(0.5, 2, 90_000) if weighted else None
    return su.Problem(a, Multinomial(3), y, Ridge(1e-6), weights=weights)


def coupled(seed: int) -> su.Problem:
    """A problem whose Hessian is sampled by leverage scores."""
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((8_000, 20)) / 5
    z = a @ rng.standard_normal(20) + 0.3 * rng.standard_normal(8_000)
    b = np.exp(z - z.max())
    return su.Problem(a, SoftmaxSquares(), b / b.sum(), Ridge(1e-9))


def resumed_from_each(run, monkeypatch, folder) -> tuple[su.Solution, list[su.Solution]]:
    """Return a run, and one that goes on from each version of its checkpoint."""
    path = folder / "run.ckpt"
    whole = run()
    with monkeypatch.context() as patch:
        versions = Versions(patch, folder)
        told = run(checkpoint=path, every=0)
    assert same_run(whole, told), "a checkpoint changes nothing"
    assert len(versions.files) == whole.n_iter + 2  # the start, each iteration, the end
    ends = []
    for file in versions.files:
        shutil.copyfile(file, path)
        ends.append(run(checkpoint=path, resume=True))
    return whole, ends


@pytest.mark.parametrize("case", SOLVERS, ids=lambda case: case.name)
@pytest.mark.parametrize("posed", [multinomial_problem, squares_problem])
def test_each_solver_takes_the_same_steps(case, posed, monkeypatch, tmp_path):
    solver = case.subject
    try:
        solver.check(posed(np.random.default_rng(0)))
    except NeedsError:
        return  # the contract tests hold which solvers these are

    def run(**told):
        problem = posed(np.random.default_rng(0))
        return su.minimize(problem, solver=solver, tol=case.tol, max_iter=MOST, **told)

    whole, ends = resumed_from_each(run, monkeypatch, tmp_path)
    assert all(same_run(whole, end) for end in ends)


@pytest.mark.parametrize(
    ("posed", "solver"),
    [
        (many_rows, SketchedNewton()),
        (partial(many_rows, dtype="float32"), SketchedNewton()),
        (partial(many_rows, weighted=True), SketchedNewton(hessian="kronecker")),
        (coupled, SketchedNewton()),
        (squares_problem, ZerothOrder(steps="bound")),
    ],
    ids=["stages", "float32", "kronecker", "coupled", "by the bound"],
)
def test_what_was_sampled_is_sampled_again(posed, solver, monkeypatch, tmp_path):
    problem = posed(3) if posed is not squares_problem else posed(np.random.default_rng(3))

    def run(**told):
        problem.prepared.clear()
        return su.minimize(problem, solver=solver, tol=1e-11, max_iter=MOST, **told)

    whole, ends = resumed_from_each(run, monkeypatch, tmp_path)
    assert whole.n_iter >= 2
    assert all(same_run(whole, end) for end in ends)


def test_rows_on_disk(monkeypatch, tmp_path):
    rng, reads = np.random.default_rng(4), []
    a = rng.standard_normal((60_000, 4)).astype(np.float32)
    y = (a @ rng.standard_normal((4, 3)) + rng.gumbel(size=(60_000, 3))).argmax(axis=1)
    np.save(tmp_path / "a.npy", a)

    def run(**told):
        design = su.designs.ChunkedDesign.from_dataset(tmp_path / "a.npy", memory="50MB")
        found = su.minimize(su.Problem(design, Multinomial(3), y, Ridge(1e-6)), tol=1e-9, **told)
        reads.append(design.passes)
        return found

    whole, ends = resumed_from_each(run, monkeypatch, tmp_path)
    assert all(same_run(whole, end) for end in ends)
    # A run without a checkpoint takes no look at the columns, nor does one twice.
    assert reads[1] <= reads[0] + 1
    assert max(reads[2:]) <= reads[1] + 1


def test_rows_on_workers(tmp_path):
    distributed = pytest.importorskip("distributed")
    arrays = pytest.importorskip("dask.array")
    rng, path = np.random.default_rng(6), tmp_path / "run.ckpt"
    a = rng.standard_normal((2_000, 4))
    y = (a @ rng.standard_normal((4, 3)) + rng.gumbel(size=(2_000, 3))).argmax(axis=1)
    with distributed.Client(
        processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None
    ):
        x = arrays.from_array(a, chunks=(500, 4))

        def run(labels=y, **told):
            target = arrays.from_array(labels, chunks=500)
            problem = su.Problem(su.designs.DaskDesign(x), Multinomial(3), target, Ridge(1e-4))
            return su.minimize(problem, solver="lbfgs", tol=1e-9, **told)

        whole = run()
        with pytest.raises(EndedError, match="ended"):
            run(checkpoint=path, callback=ended_at(5))
        end = run(checkpoint=path, resume=True)
        with pytest.raises(FileError, match="its target differs"):
            run((y + 1) % 3, checkpoint=path, resume=True)
    np.testing.assert_allclose(end.x, whole.x, rtol=0, atol=1e-10)


def test_after_newton_has_taken_over(monkeypatch, tmp_path, rng):
    problem = multinomial_problem(rng)
    monkeypatch.setattr("softunit.solvers.sketched_newton.PATIENCE", 2)
    monkeypatch.setattr("softunit.solvers.sketched_newton.SLOW", 1e-9)

    def run(**told):
        return su.minimize(problem, solver="sketched-newton", tol=1e-12, **told)

    whole, ends = resumed_from_each(run, monkeypatch, tmp_path)
    assert all(same_run(whole, end) for end in ends)


def test_when_each_class_has_a_gram_of_its_own(monkeypatch, tmp_path, rng):
    problem = multinomial_problem(rng)
    monkeypatch.setattr("softunit.solvers.sketched_newton.SHARPEN", 2)
    solver, seen = SketchedNewton(hessian="kronecker"), []

    def run(**told):
        return su.minimize(problem, solver=solver, tol=1e-12, **told)

    packed = SketchedNewton.pack

    def watched(self, state):
        seen.append(state.sharp)
        return packed(self, state)

    monkeypatch.setattr(SketchedNewton, "pack", watched)
    whole, ends = resumed_from_each(run, monkeypatch, tmp_path)
    assert any(seen)
    assert all(same_run(whole, end) for end in ends)


def test_l1(monkeypatch, tmp_path):
    rng = np.random.default_rng(5)
    a, y = rng.standard_normal((300, 30)), rng.integers(0, 3, 300)

    def run(**told):
        problem = su.Problem(a, Multinomial(3), y, ElasticNet(0.02, l1_ratio=0.9))
        return su.minimize(problem, tol=1e-12, **told)

    whole, ends = resumed_from_each(run, monkeypatch, tmp_path)
    for end in ends:
        # Which columns are copied to be worked on is not told: sums of them differ in rounding.
        np.testing.assert_allclose(end.x, whole.x, rtol=0, atol=1e-12)
        assert end.n_iter == whole.n_iter


def test_the_l1_of_blocks_counts_in_the_value(tmp_path, rng):
    problem, path = multinomial_problem(rng), tmp_path / "run.ckpt"
    run = partial(su.minimize, problem, solver=BlockCoordinate(l1=0.01), tol=1e-9, max_iter=40)
    whole = run()
    with pytest.raises(EndedError, match="ended"):
        run(checkpoint=path, callback=ended_at(2))
    assert same_run(whole, run(checkpoint=path, resume=True))


def test_scores_that_are_too_large_are_made_again(monkeypatch, tmp_path, rng):
    monkeypatch.setattr("softunit.solvers.packing.SCORES_BYTES", 0)
    problem, path = multinomial_problem(rng), tmp_path / "run.ckpt"
    run = partial(su.minimize, problem, solver="lbfgs", tol=1e-12)
    whole = run()
    with pytest.raises(EndedError, match="ended"):
        run(checkpoint=path, callback=ended_at(3))
    assert path.stat().st_size < 8 * 120 * 3 + 12_000, "the scores were written"
    again = run(checkpoint=path, resume=True)
    np.testing.assert_allclose(again.x, whole.x, rtol=0, atol=1e-11)


def test_time_and_cost_go_on(tmp_path, rng):
    problem, path = multinomial_problem(rng), tmp_path / "run.ckpt"
    with pytest.raises(EndedError, match="ended"):
        su.minimize(problem, solver="lbfgs", checkpoint=path, callback=ended_at(4))
    told = read_file(path)["parts"][0]
    again = su.minimize(problem, solver="lbfgs", checkpoint=path, resume=True)
    assert again.seconds > told["seconds"] > 0
    assert again.cost.products > told["cost"]["products"] > 0
    assert again.history[4].seconds == told["history"][4][3]
    steps = [record.seconds for record in again.history]
    assert steps == sorted(steps)


def test_callbacks_see_what_is_new(tmp_path, rng):
    problem, path, seen = multinomial_problem(rng), tmp_path / "run.ckpt", []
    with pytest.raises(EndedError, match="ended"):
        su.minimize(problem, solver="lbfgs", checkpoint=path, callback=ended_at(4))
    again = su.minimize(
        problem,
        solver="lbfgs",
        checkpoint=path,
        resume=True,
        callback=lambda record, _: seen.append(record.iteration),
    )
    assert seen == list(range(5, again.n_iter + 1))


def test_a_finished_run_is_told_again_without_a_step(tmp_path, rng):
    problem, path = multinomial_problem(rng), tmp_path / "run.ckpt"
    whole = su.minimize(problem, tol=1e-10, checkpoint=path)
    again = su.minimize(problem, tol=1e-10, checkpoint=path, resume=True, callback=ended_at(0))
    assert same_run(whole, again)
    assert (again.seconds, again.cost) == (pytest.approx(whole.seconds, abs=0.1), whole.cost)


@pytest.mark.parametrize(
    ("first", "second"),
    [({"max_iter": 3}, {}), ({"tol": 1e-2}, {}), ({"callback": lambda r, _: r.iteration == 3}, {})],
    ids=["more iterations", "a smaller tolerance", "after a stop"],
)
def test_a_finished_run_goes_on_where_more_is_asked_for(first, second, tmp_path, rng):
    problem, path = multinomial_problem(rng), tmp_path / "run.ckpt"
    run = partial(su.minimize, problem, solver="lbfgs")
    whole = run(tol=1e-10)
    early = run(**{"tol": 1e-10, **first}, checkpoint=path)
    assert early.n_iter < whole.n_iter
    again = run(tol=1e-10, checkpoint=path, resume=True, **second)
    assert again.status is Status.CONVERGED
    np.testing.assert_allclose(again.x, whole.x, rtol=0, atol=1e-13)
    assert again.n_iter == whole.n_iter


def test_a_larger_tolerance_is_met_at_once(tmp_path, rng):
    problem, path = multinomial_problem(rng), tmp_path / "run.ckpt"
    su.minimize(problem, tol=1e-3, max_iter=4, solver="lbfgs", checkpoint=path)
    early = su.minimize(problem, tol=1.0, solver="lbfgs", checkpoint=path, resume=True)
    assert (early.n_iter, early.status) == (4, Status.CONVERGED)


def test_without_a_file_it_starts_at_the_beginning(tmp_path, rng):
    problem, path = multinomial_problem(rng), tmp_path / "run.ckpt"
    whole = su.minimize(problem, solver="lbfgs")
    assert same_run(whole, su.minimize(problem, solver="lbfgs", checkpoint=path, resume=True))
    assert os.listdir(tmp_path) == ["run.ckpt"]


def test_a_finished_checkpoint_is_overwritten(tmp_path, rng):
    path = tmp_path / "run.ckpt"
    su.minimize(multinomial_problem(rng), checkpoint=path)
    other = squares_problem(rng)
    su.minimize(other, checkpoint=path)
    assert su.minimize(other, checkpoint=path, resume=True).converged


@pytest.mark.parametrize("kind", ["raise", "return"])
def test_an_interrupt_leaves_the_last_iteration(kind, tmp_path, rng):
    problem, path = multinomial_problem(rng), tmp_path / "run.ckpt"
    run = partial(su.minimize, problem, solver="lbfgs", tol=1e-10)
    whole = run()

    def press(record, point):
        if record.iteration == 5:
            raise KeyboardInterrupt("pressed")

    if kind == "raise":
        with pytest.raises(KeyboardInterrupt, match="pressed"):
            run(checkpoint=path, callback=press)
    else:
        early = run(checkpoint=path, callback=press, keyboard_interrupt="return")
        assert early.status is Status.INTERRUPTED
    tree = read_file(path)
    assert not tree["finished"]
    assert tree["parts"][0]["history"][-1][0] == 5
    assert same_run(whole, run(checkpoint=path, resume=True))


def test_an_interrupted_writing_is_made_up_for(monkeypatch, tmp_path, rng):
    problem, path = multinomial_problem(rng), tmp_path / "run.ckpt"
    whole = su.minimize(problem, solver="lbfgs")
    write, calls = module.write_file, []

    def pressed(path, tree):
        calls.append(path)
        if len(calls) == 4:
            raise KeyboardInterrupt("pressed")
        write(path, tree)

    monkeypatch.setattr(module, "write_file", pressed)
    with pytest.raises(KeyboardInterrupt, match="pressed"):
        su.minimize(problem, solver="lbfgs", checkpoint=path, every=0)
    assert read_file(path)["parts"][0]["history"][-1][0] == 3
    assert same_run(whole, su.minimize(problem, solver="lbfgs", checkpoint=path, resume=True))


def test_a_fault_in_a_step_leaves_the_iteration_before(monkeypatch, tmp_path, rng):
    problem, path = multinomial_problem(rng), tmp_path / "run.ckpt"
    whole = su.minimize(problem, solver="newton", tol=1e-12)
    step, calls = Newton.step, []

    def faulty(self, problem, state):
        calls.append(state)
        if len(calls) == 3:
            raise MemoryError("no more")
        return step(self, problem, state)

    with monkeypatch.context() as patch:
        patch.setattr(Newton, "step", faulty)
        with pytest.raises(MemoryError, match="no more"):
            su.minimize(problem, solver="newton", tol=1e-12, checkpoint=path)
    again = su.minimize(problem, solver="newton", tol=1e-12, checkpoint=path, resume=True)
    assert same_run(whole, again)


def test_times_between_writings(monkeypatch, tmp_path, rng):
    problem = multinomial_problem(rng)
    clock = [0.0]
    monkeypatch.setattr("softunit.checkpoints.checkpoint.time.perf_counter", lambda: clock[0])
    versions = Versions(monkeypatch, tmp_path)

    def tick(record, point):
        clock[0] += 10.0

    su.minimize(
        problem,
        solver="gradient-descent",
        tol=1e-30,
        max_iter=12,
        checkpoint=tmp_path / "run.ckpt",
        every=30,
        callback=tick,
    )
    seen = [int(read_file(file)["parts"][0]["history"][-1][0]) for file in versions.files]
    assert seen == [3, 6, 9, 12, 12]


def test_a_writing_that_takes_long_is_followed_by_a_long_pause(monkeypatch, tmp_path):
    clock = [0.0]
    monkeypatch.setattr("softunit.checkpoints.checkpoint.time.perf_counter", lambda: clock[0])

    def slow(path, tree):
        clock[0] += 10.0

    monkeypatch.setattr("softunit.checkpoints.checkpoint.write_file", slow)
    kept = Checkpoint(tmp_path / "run.ckpt", 30.0, False)
    kept.hold(0, {"history": [[3.0]]})
    kept.write()
    clock[0] = 10.0 + 199.0
    assert not kept.due
    clock[0] = 10.0 + 201.0
    assert kept.due


def test_runs_of_one_fit_are_told_apart_by_their_order(monkeypatch, tmp_path, rng):
    first, second = multinomial_problem(rng), multinomial_problem(rng)

    def fit(path, resume=False):
        with opened(path, every=0, resume=resume) as kept:
            start = su.minimize(first, solver="lbfgs", tol=1e-2, checkpoint=kept)
            more = su.minimize(first, start.x, solver="newton", tol=1e-12, checkpoint=kept)
            other = su.minimize(second, more.x, solver="newton", tol=1e-12, checkpoint=kept)
        return start, more, other

    path = tmp_path / "run.ckpt"
    with monkeypatch.context() as patch:
        versions = Versions(patch, tmp_path)
        whole = fit(path)
    told = [read_file(file) for file in versions.files]
    assert [tree["finished"] for tree in told] == [False] * (len(told) - 1) + [True]
    assert {len(tree["parts"]) for tree in told} == {1, 2, 3}
    for file in versions.files:
        shutil.copyfile(file, path)
        again = fit(path, resume=True)
        assert all(map(same_run, whole, again))


def test_another_tolerance_makes_later_runs_anew(tmp_path, rng):
    problem, path = multinomial_problem(rng), tmp_path / "run.ckpt"

    def fit(tol, second, resume=False):
        with opened(path, resume=resume) as kept:
            start = su.minimize(problem, solver="lbfgs", tol=tol, checkpoint=kept)
            return su.minimize(problem, start.x, solver=second, tol=tol / 10, checkpoint=kept)

    fit(1e-3, "lbfgs")
    again = fit(1e-8, "newton", resume=True)
    assert again.gradient_norm <= 1e-9
    assert again.solver == "Newton"


def test_a_first_run_that_is_asked_for_more_goes_on_from_its_end(tmp_path, rng):
    problem, path = multinomial_problem(rng), tmp_path / "run.ckpt"

    def fit(tol, resume=False):
        with opened(path, resume=resume) as kept:
            start = su.minimize(problem, solver="lbfgs", tol=tol, checkpoint=kept)
            return start, su.minimize(problem, start.x, tol=1e-12, checkpoint=kept)

    early, _ = fit(1e-4)
    later, end = fit(1e-9, resume=True)
    assert later.history[0].value == pytest.approx(early.value, rel=1e-14)
    assert end.gradient_norm <= 1e-12


@dataclasses.dataclass(frozen=True)
class Loose:
    """A state with something that is neither a number nor an array."""

    point: su.solvers.base.Point
    held: object


@dataclasses.dataclass(frozen=True)
class Own(Solver):
    """A solver of one's own, by L-BFGS without memory."""

    def init(self, problem, point):
        return Loose(point, object())

    def step(self, problem, state):
        inner = LBFGS(1)
        moved, status = inner.step(problem, inner.init(problem, state.point))
        return dataclasses.replace(state, point=moved.point), status


@dataclasses.dataclass(frozen=True)
class Remaking(Own):
    """The same, which says that `init` makes it again."""

    remade = frozenset({"held"})


def test_solvers_of_ones_own(tmp_path, rng):
    problem, path = multinomial_problem(rng), tmp_path / "run.ckpt"
    with pytest.raises(NeedsError, match=r"cannot hold Loose.held, a object: name it in `remade`"):
        su.minimize(problem, solver=Own(), checkpoint=path)
    whole = su.minimize(problem, solver=Remaking())
    with pytest.raises(EndedError, match="ended"):
        su.minimize(problem, solver=Remaking(), checkpoint=path, callback=ended_at(3))
    again = su.minimize(problem, solver=Remaking(), checkpoint=path, resume=True)
    assert same_run(whole, again)


def test_steps_of_the_papers(tmp_path):
    rng = np.random.default_rng(1)
    a = rng.standard_normal((2000, 3))
    b = rng.dirichlet(np.ones(2000))
    problem = su.Problem(a, SoftmaxSquares(), b, ScoreRidge(np.full(2000, 2.0)))
    run, path = partial(su.minimize, problem, solver=PaperNewton(), tol=1e-11), tmp_path / "a.ckpt"
    whole = run()
    assert whole.n_iter > 3
    with pytest.raises(EndedError, match="ended"):
        run(checkpoint=path, callback=ended_at(2))
    assert same_run(whole, run(checkpoint=path, resume=True))


def test_steps_by_a_hessian_at_hand(tmp_path, rng):
    problem, path = squares_problem(rng), tmp_path / "run.ckpt"
    run = partial(su.minimize, problem, solver=SampledHessian(lambda g: g), tol=1e-9, max_iter=30)
    whole = run()
    with pytest.raises(EndedError, match="ended"):
        run(checkpoint=path, callback=ended_at(4))
    assert same_run(whole, run(checkpoint=path, resume=True))
