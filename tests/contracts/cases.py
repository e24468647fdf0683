"""One row for each unit, design, penalty and solver: a row buys every check of its kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import array_api_strict as strict
import dask.array as da
import numpy as np
from scipy import sparse

import softunit as su
from softunit.designs import (
    ChunkedDesign,
    DaskDesign,
    DenseDesign,
    Design,
    GroupedDesign,
    JoinedDesign,
    OneHotDesign,
    ProportionalDesign,
    ScaledDesign,
    SparseDesign,
    TensorDesign,
)
from softunit.penalties import ElasticNet, NoPenalty, Penalty, Ridge, ScoreRidge
from softunit.solvers import (
    LBFGS,
    BlockCoordinate,
    GradientDescent,
    GradientRegularizedNewton,
    Newton,
    ProximalNewton,
    SketchedNewton,
    Solver,
    ZerothOrder,
)
from softunit.units import (
    AggregateSoftmax,
    CoshSquares,
    CumulativeLogit,
    ExpSquares,
    GroupedSoftmax,
    LeverageScores,
    Multinomial,
    NormalisedSquares,
    RescaledSquares,
    SinhSquares,
    SoftmaxCrossEntropy,
    SoftmaxSquares,
    TwoLayerSquares,
    Unit,
)
from softunit.units._ordered_terms import OrderedTerms

Draw = Callable[[np.random.Generator, int], Any]


def labels(k: int) -> Draw:
    """n labels of k classes, all of them present."""
    return lambda rng, n: np.concatenate([np.arange(k), rng.integers(0, k, n - k)])


def shares(k: int) -> Draw:
    """n rows of k shares."""
    return lambda rng, n: rng.dirichlet(np.ones(k), size=n)


def simplex(rng: np.random.Generator, n: int) -> np.ndarray:
    """One distribution over n rows."""
    return rng.dirichlet(np.ones(n))


def anything(rng: np.random.Generator, n: int) -> np.ndarray:
    """n numbers of any sign."""
    return rng.standard_normal(n)


@dataclass(frozen=True)
class UnitCase:
    """A unit with a kind of target; `columns` None means one column of scores.

    `rows` is the only number of rows the unit takes, None meaning any; `weighted` tells whether it
    takes row weights, `overflows` whether its value is infinite at huge scores. `scores` puts drawn
    scores where the unit is defined.
    """

    name: str
    subject: Unit
    target: Draw
    columns: int | None = None
    rows: int | None = None
    weighted: bool = True
    overflows: bool = False
    scores: Callable[[np.ndarray], np.ndarray] = np.asarray


ROWS = 11  # of units that are made for so many
GROUPS = np.array([7, 2, 7, 2, 2, 9, 7, 4, 4, 7, 2])  # in any order, one of them a single row


def bag_shares(k: int) -> Draw:
    """Shares of k classes, one of them zero, in each of the groups."""

    def draw(rng: np.random.Generator, n: int) -> np.ndarray:
        found = rng.dirichlet(np.ones(k), size=len(np.unique(GROUPS)))
        found[0] = np.eye(k)[0]
        return found

    return draw


def grouped_shares(rng: np.random.Generator, n: int) -> np.ndarray:
    """Amounts that are positive in every group."""
    return rng.gamma(1.0, size=n)


def outputs(m: int) -> Draw:
    """m numbers of any sign, whatever n."""
    return lambda rng, n: rng.standard_normal(m)


def two_layers(outer: str, *, m: int = 4, wrap: Callable[[np.ndarray], Any] = np.asarray) -> Unit:
    """A two-layer unit with m outputs, its matrix the same in every run."""
    matrix = 0.4 * np.random.default_rng(7).standard_normal((m, ROWS))
    return TwoLayerSquares(outer, wrap(np.where(np.abs(matrix) < 0.1, 0.0, matrix)))


def projected(shift: np.ndarray) -> LeverageScores:
    """A unit of leverage scores, its matrix the same in every run and of rank 3 in 4 columns."""
    matrix = np.random.default_rng(8).standard_normal((ROWS, 3))
    return LeverageScores(np.column_stack([matrix, matrix[:, 0] - matrix[:, 1]]), shift)


SHIFT = np.linspace(-2.0, 2.0, ROWS)


def apart(z: np.ndarray) -> np.ndarray:
    """Scores at least one apart from the shift, where leverage scores are not defined."""
    s = z - SHIFT
    return SHIFT + np.copysign(1.0 + np.abs(s), s)


def rising(z: np.ndarray) -> np.ndarray:
    """Cumulative logits in order, at least a half apart."""
    return np.cumsum(np.column_stack([z[:, :1], 0.5 + np.abs(z[:, 1:])]), axis=1)


def gaps(z: np.ndarray) -> np.ndarray:
    """The first cumulative logit, then gaps of at least a half."""
    return np.column_stack([z[:, :1], 0.5 + np.abs(z[:, 1:])])


def far(z: np.ndarray) -> np.ndarray:
    """Scores of at least a half: gaps, where a row holds one."""
    return 0.5 + np.abs(z)


def between(rng: np.random.Generator, n: int) -> np.ndarray:
    """n numbers between 0 and 1."""
    return rng.uniform(0.0, 1.0, n)


TWO_LAYERS = [
    ("identity", {}),
    ("softplus", {}),
    ("tanh", {"wrap": sparse.csc_matrix}),
    ("sigmoid", {}),
    ("exp", {}),
    ("cosh", {}),
    ("sinh", {"m": 14}),  # more outputs than rows
]


UNITS = [
    UnitCase("multinomial-two-labels", Multinomial(), labels(2)),
    UnitCase("multinomial-two-shares", Multinomial(), shares(2)),
    UnitCase("multinomial-two-columns", Multinomial(2, symmetric=True), labels(2), columns=2),
    UnitCase("multinomial-four-labels", Multinomial(), labels(4), columns=4),
    UnitCase("multinomial-three-shares", Multinomial(), shares(3), columns=3),
    UnitCase("softmax-squares-simplex", SoftmaxSquares(), simplex),
    UnitCase("softmax-squares-any", SoftmaxSquares(), anything),
    UnitCase("softmax-cross-entropy", SoftmaxCrossEntropy(), simplex),
    UnitCase("exp-squares", ExpSquares(), anything, overflows=True),
    UnitCase("cosh-squares", CoshSquares(), anything, overflows=True),
    UnitCase("sinh-squares", SinhSquares(), anything, overflows=True),
    UnitCase("rescaled-exp", RescaledSquares("exp"), simplex, overflows=True),
    UnitCase("rescaled-cosh", RescaledSquares("cosh"), anything, overflows=True),
    UnitCase("rescaled-sinh", RescaledSquares("sinh"), simplex, overflows=True),
    UnitCase("normalised-exp", NormalisedSquares("exp"), simplex),
    UnitCase("normalised-cosh", NormalisedSquares("cosh"), anything),
    # Where the sum of sinh is zero there is no value; of positive scores it is not.
    UnitCase("normalised-sinh", NormalisedSquares("sinh"), simplex, scores=np.abs),
    UnitCase("grouped-log", GroupedSoftmax(GROUPS), grouped_shares, rows=ROWS),
    UnitCase("grouped-squares", GroupedSoftmax(GROUPS, "squares"), anything, rows=ROWS),
    UnitCase("aggregate-bag", AggregateSoftmax(GROUPS), bag_shares(3), columns=3, rows=ROWS),
    UnitCase("aggregate-two", AggregateSoftmax(GROUPS), bag_shares(2), rows=ROWS),
    UnitCase("aggregate-between", AggregateSoftmax(GROUPS, 0.4), bag_shares(3), 3, rows=ROWS),
    UnitCase("aggregate-instance", AggregateSoftmax(GROUPS, 1.0), bag_shares(2), rows=ROWS),
    UnitCase("cumulative-two", CumulativeLogit(), labels(2), columns=1),
    UnitCase("cumulative-four", CumulativeLogit(), labels(4), columns=3, scores=rising),
    UnitCase("cumulative-apart", CumulativeLogit(4, False, 0.25), labels(4), 3, scores=rising),
    UnitCase("cumulative-differences", CumulativeLogit(4, True), labels(4), 3, scores=gaps),
    UnitCase("differences-apart", CumulativeLogit(4, True, 0.25), labels(4), 3, scores=gaps),
    UnitCase("ordered-terms", OrderedTerms(), labels(3), scores=far),
    UnitCase("ordered-terms-apart", OrderedTerms(0.25), labels(3), scores=far),
    UnitCase("leverage-scores", projected(SHIFT), between, rows=ROWS, scores=apart),
    *(
        UnitCase(
            f"two-layer-{outer}",
            two_layers(outer, **settings),
            outputs(settings.get("m", 4)),
            rows=ROWS,
            weighted=False,
        )
        for outer, settings in TWO_LAYERS
    ),
]


@dataclass(frozen=True)
class DesignCase:
    """A design built from a dense array, and the dense array it stands for."""

    name: str
    kind: type[Design]
    build: Callable[[np.ndarray], Design]
    dense: Callable[[np.ndarray], np.ndarray] = field(default=lambda a: a)
    rtol: float = 1e-12


def _scaled(a: np.ndarray) -> np.ndarray:
    return np.column_stack(
        [(a - np.arange(a.shape[1])) / (1 + np.arange(a.shape[1])), a[:, 0] * 0 + 1]
    )


def _scale(inner: Design, d: int) -> ScaledDesign:
    return ScaledDesign(inner, intercept=True, centre=np.arange(d), scale=1 + np.arange(d))


MEMBER = np.array([0, 0, -1, 1, 2, 2, -1, 0])  # of eight rows, repeated
UP, DOWN = np.array([1, 0, 1, 2, -1, 0, 2, 2]), np.array([-1, -1, 0, -1, -1, 1, 1, 2])


def _proportional(a: np.ndarray) -> ProportionalDesign:
    member, up, down = (np.resize(index, len(a)) for index in (MEMBER, UP, DOWN))
    return ProportionalDesign(DenseDesign(a), np.minimum(member, len(a) - 1), up, down, 3)


def _long(a: np.ndarray) -> np.ndarray:
    """The rows of a proportional design, one by one."""
    member, up, down = (np.resize(index, len(a)) for index in (MEMBER, UP, DOWN))
    inner, level = np.vstack([-a, 0 * a[:1]]), np.eye(4)[:, :3]  # index -1 finds the row of zeros
    where = np.where(member < 0, len(a), np.minimum(member, len(a) - 1))
    return np.column_stack([inner[where], level[up] - level[down]])


def _moved(a: np.ndarray) -> np.ndarray:
    """A number for each column, none of them zero."""
    return 1.0 + np.arange(a.shape[1])


def _codes(a: np.ndarray) -> np.ndarray:
    """Codes -1 to 2, made of the signs of the entries."""
    return (a > 0).sum(axis=1) % 4 - 1


def _one_hot(a: np.ndarray) -> np.ndarray:
    return np.eye(4)[_codes(a)][:, :3]


def _blocks(a: np.ndarray) -> list[np.ndarray]:
    """The rows in blocks of several lengths, one of them empty."""
    half = max(1, len(a) // 2)
    return [a[:1], a[1:1], a[1:half], a[half:]]


def _partitions(a: np.ndarray) -> da.Array:
    """The rows as a dask array of two chunks, of all columns or of some."""
    return da.from_array(a, chunks=((len(a) + 1) // 2, max(1, a.shape[1] - 1)))


DEVICE = strict.Device("device1")  # whose arrays meet those of the host in errors only

DESIGNS = [
    DesignCase("dense-c", DenseDesign, DenseDesign),
    DesignCase("dense-f", DenseDesign, lambda a: DenseDesign(np.asfortranarray(a))),
    DesignCase(
        "dense-strided", DenseDesign, lambda a: DenseDesign(np.repeat(a, 2, axis=1)[:, ::2])
    ),
    DesignCase(
        "dense-float32", DenseDesign, lambda a: DenseDesign(a.astype(np.float32)), rtol=1e-6
    ),
    DesignCase("sparse-csr", SparseDesign, lambda a: SparseDesign(sparse.csr_matrix(a))),
    DesignCase("sparse-csc", SparseDesign, lambda a: SparseDesign(sparse.csc_matrix(a))),
    DesignCase("sparse-array", SparseDesign, lambda a: SparseDesign(sparse.coo_array(a))),
    DesignCase(
        "sparse-float32",
        SparseDesign,
        lambda a: SparseDesign(sparse.csr_matrix(a.astype(np.float32))),
        rtol=1e-6,
    ),
    DesignCase("scaled-dense", ScaledDesign, lambda a: _scale(DenseDesign(a), a.shape[1]), _scaled),
    DesignCase(
        "scaled-sparse",
        ScaledDesign,
        lambda a: _scale(SparseDesign(sparse.csr_matrix(a)), a.shape[1]),
        _scaled,
    ),
    DesignCase(
        "grouped-dense",
        GroupedDesign,
        lambda a: GroupedDesign(DenseDesign(a), centre=_moved(a), scale=_moved(a)),
        lambda a: (a - _moved(a)) / _moved(a),
    ),
    DesignCase(
        "grouped-sparse",
        GroupedDesign,
        lambda a: GroupedDesign(SparseDesign(sparse.csr_matrix(a)), scale=_moved(a)),
        lambda a: a / _moved(a),
    ),
    DesignCase(
        "joined",
        JoinedDesign,
        lambda a: JoinedDesign(DenseDesign(a), SparseDesign(sparse.csr_matrix(2 * a[:, ::-1]))),
        lambda a: np.hstack([a, 2 * a[:, ::-1]]),
    ),
    DesignCase("one-hot", OneHotDesign, lambda a: OneHotDesign(_codes(a), 3), _one_hot),
    DesignCase("proportional", ProportionalDesign, _proportional, _long),
    DesignCase(
        "intercept-sparse",
        ScaledDesign,
        lambda a: ScaledDesign(SparseDesign(sparse.csr_matrix(a)), intercept=True),
        lambda a: np.column_stack([a, np.ones(len(a))]),
    ),
    DesignCase(
        "centred-dense",
        ScaledDesign,
        lambda a: ScaledDesign(DenseDesign(a), centre=np.ones(a.shape[1])),
        lambda a: a - 1,
    ),
    DesignCase("chunked", ChunkedDesign, lambda a: ChunkedDesign(_blocks(a))),
    DesignCase(
        "chunked-sparse",
        ChunkedDesign,
        lambda a: ChunkedDesign([sparse.csr_array(block) for block in _blocks(a)]),
    ),
    DesignCase(
        "scaled-chunked",
        ScaledDesign,
        lambda a: _scale(ChunkedDesign(_blocks(a)), a.shape[1]),
        _scaled,
    ),
    DesignCase("dask", DaskDesign, lambda a: DaskDesign(_partitions(a))),
    DesignCase(
        "scaled-dask",
        ScaledDesign,
        lambda a: _scale(DaskDesign(_partitions(a)), a.shape[1]),
        _scaled,
    ),
    DesignCase("tensor", TensorDesign, lambda a: TensorDesign(strict.asarray(a, device=DEVICE))),
    DesignCase(
        "tensor-float32",
        TensorDesign,
        lambda a: TensorDesign(strict.asarray(a.astype(np.float32), device=DEVICE)),
        rtol=1e-6,
    ),
    DesignCase(
        "tensor-without-float64",
        TensorDesign,
        lambda a: TensorDesign(
            strict.asarray(a.astype(np.float32), device=strict.Device("no_float64"))
        ),
        rtol=1e-6,
    ),
    DesignCase(
        "scaled-tensor",
        ScaledDesign,
        lambda a: _scale(TensorDesign(strict.asarray(a, device=DEVICE)), a.shape[1]),
        _scaled,
    ),
]


@dataclass(frozen=True)
class PenaltyCase:
    """A penalty, whatever its space."""

    name: str
    subject: Penalty


PENALTIES = [
    PenaltyCase("none", NoPenalty()),
    PenaltyCase("ridge", Ridge(0.3)),
    PenaltyCase("ridge-free-column", Ridge(np.array([0.3, 0.0, 0.1]))),
    PenaltyCase("score-ridge", ScoreRidge(0.7)),
    # Its smooth side; kinks have checks of their own (test_elastic_net.py).
    PenaltyCase("elastic-net-smooth", ElasticNet(0.3, 0.0)),
]


@dataclass(frozen=True)
class SolverCase:
    """A solver with the gradient it reaches on the shared problems, and within how many steps.

    `gradient_rtol` is how closely its gradient norm can be known: values alone give fewer digits.
    """

    name: str
    subject: Solver[Any]
    tol: float = 1e-9
    max_iter: int = 60
    gradient_rtol: float = 1e-9


SOLVERS = [
    SolverCase("newton", Newton()),
    SolverCase("newton-exact", Newton(kind="exact")),
    SolverCase("newton-cholesky", Newton(linear="cholesky")),
    SolverCase("newton-cg", Newton(linear="cg")),
    SolverCase("gradient-regularized-newton", GradientRegularizedNewton()),
    SolverCase("gradient-regularized-gauss-newton", GradientRegularizedNewton(kind="gauss_newton")),
    SolverCase("sketched-newton", SketchedNewton()),
    SolverCase("proximal-newton", ProximalNewton()),
    SolverCase("lbfgs", LBFGS(), max_iter=400),
    SolverCase("gradient-descent", GradientDescent(), tol=1e-6, max_iter=4000),
    SolverCase("block-coordinate", BlockCoordinate(size=2), max_iter=200),
    SolverCase("block-coordinate-variable", BlockCoordinate("gs", "variable", 3), max_iter=200),
    SolverCase("block-coordinate-random", BlockCoordinate("random", size=2), max_iter=400),
    SolverCase("block-coordinate-tree", BlockCoordinate("gsl", update="tree"), max_iter=400),
    SolverCase("zeroth-order", ZerothOrder(), tol=1e-5, max_iter=4000, gradient_rtol=1e-4),
    SolverCase(
        "zeroth-order-gaussian",
        ZerothOrder("gaussian", 20),
        tol=1e-5,
        max_iter=4000,
        gradient_rtol=1e-4,
    ),
    SolverCase(
        "zeroth-order-coordinate",
        ZerothOrder("coordinate", 12),
        tol=1e-5,
        max_iter=4000,
        gradient_rtol=1e-4,
    ),
]


def multinomial_problem(
    rng: np.random.Generator, *, columns: int = 3, **settings: Any
) -> su.Problem:
    """A small multinomial problem with an intercept and ridge on all but the intercept."""
    n, d = 120, 4
    a = rng.standard_normal((n, d)) * np.array([1.0, 0.3, 3.0, 1.0]) + np.array([0, 2.0, 0, -1.0])
    ridge = Ridge(np.append(np.full(d, 0.01), 0.0))
    design = su.designs.as_design(a, intercept=True)
    return su.Problem(design, Multinomial(columns), labels(columns)(rng, n), ridge, **settings)


def squares_problem(rng: np.random.Generator, *, noise: float = 0.0) -> su.Problem:
    """A small softmax regression whose target is met but for noise on its logarithm."""
    a = rng.standard_normal((60, 4))
    z = a @ rng.standard_normal(4) + noise * rng.standard_normal(60)
    b = np.exp(z - z.max())
    return su.Problem(a, SoftmaxSquares(), b / b.sum())
