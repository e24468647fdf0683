"""Attention turns towards a max-margin separator: Frobenius for W, nuclear for keys and queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from softunit._typing import Array, Matrix, Vector
from softunit.claims._token_svm import Separator, constraints, frobenius, nuclear
from softunit.claims.base import Claim, Effort, Evidence, Finding, Picture, Series

if TYPE_CHECKING:
    from softunit.nn.studies.max_margin import Inputs, Path

N, T, D = 6, 8, 10
SEEDS = 20
STEPS = 10_000
RATE = 0.1
MARKS = (0, 10, 30, 100, 300, 1000, 3000)

_DATA, _START = range(2)  # streams of random numbers


def measure(effort: Effort) -> Evidence:
    """Measure cosines with both separators over seeds, and the attention on optimal tokens.

    Parameters
    ----------
    effort : Effort
    """
    from softunit.nn.studies import max_margin

    seeds, steps = effort.count(SEEDS, 3), effort.count(STEPS, 3000)
    inputs = max_margin.Inputs(*drawn(effort, seeds))
    effort.tick(f"normalised gradient descent on W, {seeds} seeds")
    by_w = max_margin.trained(inputs, "W", steps=steps, rate=RATE, marks=MARKS)
    effort.tick(f"normalised gradient descent on K and Q, {seeds} seeds")
    start = int(effort.rng(_START).integers(1 << 62))
    by_kq = max_margin.trained(inputs, "KQ", steps=steps, rate=RATE, marks=MARKS, seed=start)
    effort.tick(f"separators of {seeds} seeds")
    runs = (
        _compared(inputs, by_w),
        _compared(inputs, by_kq),
    )
    return Evidence(_findings(*runs, steps), _notes(*runs), _picture(*runs))


def drawn(effort: Effort, seeds: int) -> tuple[Array, Array, Array]:
    """Return tokens (s, n, T, d), queries (s, n, d) and scores (s, n, T) of random inputs.

    Tokens, queries and the head are uniform on the sphere, labels are signs; the score of a token
    is its label times <head, token>.

    Parameters
    ----------
    effort : Effort
    seeds : int
    """
    sets = []
    for seed in range(seeds):
        rng = effort.rng(_DATA, seed)
        tokens, queries, head = (
            _on_sphere(rng.standard_normal(shape)) for shape in ((N, T, D), (N, D), (D,))
        )
        scores = rng.choice([-1.0, 1.0], N)[:, None] * (tokens @ head)
        sets.append((tokens, queries, scores))
    tokens, queries, scores = (np.stack(part) for part in zip(*sets, strict=True))
    return tokens, queries, scores


def _on_sphere(x: Array) -> Array:
    return np.asarray(x / np.linalg.norm(x, axis=-1, keepdims=True))


@dataclass(frozen=True)
class Run:
    """A training beside the separators of two choices of tokens, each entry (s,) or (marks, s).

    `best` are the tokens of the largest scores, `taken` those that the training came to look at.
    """

    marks: tuple[int, ...]
    right: Vector  # inputs whose taken token is the best
    attention_best: Vector  # smallest weight over the inputs of a seed
    attention_taken: Vector
    frobenius_best: Vector  # cosine at the end
    nuclear_best: Vector
    frobenius_taken: Matrix  # cosine at each mark
    nuclear_taken: Matrix
    between: Vector  # cosine of both separators of the taken tokens
    gap: float

    @property
    def reached(self) -> Vector:
        """Seeds in which every input took its best token."""
        return np.asarray(self.right == 1.0)


def _compared(inputs: Inputs, path: Path) -> Run:
    """Return what `Run` says of a training."""
    tokens, queries, weights, attention = (
        inputs.tokens,
        inputs.queries,
        path.weights,
        path.attention,
    )
    best, taken = inputs.best, path.selected
    of_best = [_separators(*parts) for parts in zip(tokens, queries, best, strict=True)]
    of_taken = [_separators(*parts) for parts in zip(tokens, queries, taken, strict=True)]
    (fro_best, nuc_best), (fro, nuc) = (zip(*pairs, strict=True) for pairs in (of_best, of_taken))
    return Run(
        path.marks,
        (best == taken).mean(axis=1),
        np.take_along_axis(attention, best[..., None], -1).min(axis=(1, 2)),
        attention.max(axis=-1).min(axis=1),
        _cosines(weights[-1], fro_best),
        _cosines(weights[-1], nuc_best),
        np.array([_cosines(W, fro) for W in weights]),
        np.array([_cosines(W, nuc) for W in weights]),
        _cosines(np.array([one.W for one in fro]), nuc),
        max(one.gap for pair in (*of_best, *of_taken) for one in pair),
    )


def _separators(tokens: Array, queries: Matrix, chosen: Vector) -> tuple[Separator, Separator]:
    rows = constraints(tokens, queries, chosen)
    return frobenius(rows), nuclear(rows)


def _cosines(weights: Array, separators: tuple[Separator, ...]) -> Vector:
    W = np.array([one.W for one in separators])
    sizes = np.linalg.norm(weights, axis=(1, 2)) * np.linalg.norm(W, axis=(1, 2))
    # W starts from zero, and zero has no direction.
    return np.asarray((weights * W).sum(axis=(1, 2)) / np.where(sizes > 0, sizes, np.inf))


def _findings(w: Run, kq: Run, steps: int) -> tuple[Finding, ...]:
    where = f"n = {N}, T = {T}, d = {D}, {len(w.right)} seeds"
    least = f"{where}, {steps} steps, smallest"

    def closer(one: Vector, other: Vector) -> float:
        return 100 * float(np.mean(one > other))

    return (
        Finding(
            f"W: cosine with the Frobenius separator of the tokens of largest score, {least}",
            w.frobenius_best.min(),
            0.99,
            ">=",
        ),
        Finding(
            f"W: attention on the tokens of largest score, {least}",
            w.attention_best.min(),
            0.99,
            ">=",
        ),
        Finding(
            f"W: cosine with the Frobenius separator of the tokens it took, {least}",
            w.frobenius_taken[-1].min(),
            0.99,
            ">=",
        ),
        Finding(
            f"W: attention on the tokens it took, {least}", w.attention_taken.min(), 0.99, ">="
        ),
        Finding(
            f"K, Q: attention on the tokens it took, {least}", kq.attention_taken.min(), 0.99, ">="
        ),
        Finding(
            "K, Q: percent of seeds nearer to the nuclear than to the Frobenius separator of the"
            f" tokens of largest score, {where}",
            closer(kq.nuclear_best, kq.frobenius_best),
            90,
            ">=",
        ),
        Finding(
            f"K, Q: the same with the separators of the tokens it took, {where}",
            closer(kq.nuclear_taken[-1], kq.frobenius_taken[-1]),
            90,
            ">=",
        ),
        Finding("largest duality gap of a separator, over its norm", max(w.gap, kq.gap), 1e-6),
    )


def _notes(w: Run, kq: Run) -> tuple[str, ...]:
    seeds = len(w.right)
    return (
        "Descent need not reach the token of largest score: it may end at one that beats all that"
        " compete with it along the way, as the paper says of locally optimal directions. Every"
        f" input took its best token in {w.reached.sum()} of {seeds} seeds for W and"
        f" {kq.reached.sum()} for K, Q; of all inputs {100 * w.right.mean():.0f} and"
        f" {100 * kq.right.mean():.0f} percent did.",
        *_where_reached(w, kq),
        "Whichever tokens they took: mean cosine of W with its Frobenius separator"
        f" {w.frobenius_taken[-1].mean():.4f}; of K, Q with its nuclear one"
        f" {kq.nuclear_taken[-1].mean():.4f}, with its Frobenius one"
        f" {kq.frobenius_taken[-1].mean():.4f}. The two separators have"
        f" {kq.between.mean():.4f} with each other.",
        f"W starts from zero, the entries of K and Q from N(0, 0.01); each step has length {RATE}."
        " Tokens, queries and the head are uniform on the sphere, the loss is logistic. The nuclear"
        " separator is found by a barrier method on its dual, the Frobenius one by NNLS.",
    )


def _where_reached(w: Run, kq: Run) -> tuple[str, ...]:
    """Return a sentence on the seeds that took the best tokens, where there are any."""
    if not (w.reached.any() and kq.reached.any()):
        return ()
    nearer = kq.nuclear_best[kq.reached] > kq.frobenius_best[kq.reached]
    return (
        "In the seeds that took the best tokens everywhere, the smallest cosine of W with the"
        f" Frobenius separator is {w.frobenius_best[w.reached].min():.4f}, the smallest attention"
        f" {w.attention_best[w.reached].min():.4f}, and {100 * nearer.mean():.0f} percent of the"
        " runs of K, Q are nearer to the nuclear one.",
    )


def _picture(w: Run, kq: Run) -> Picture:
    def line(label: str, run: Run, cosines: Matrix) -> Series:
        return Series(label, run.marks[1:], tuple(cosines[1:].mean(axis=1)))

    return Picture(
        "Which separator attention turns towards",
        "step",
        "mean cosine over seeds",
        (
            line("W and Frobenius", w, w.frobenius_taken),
            line("W and nuclear", w, w.nuclear_taken),
            line("K, Q and nuclear", kq, kq.nuclear_taken),
            line("K, Q and Frobenius", kq, kq.frobenius_taken),
        ),
        log_x=True,
        caption="Separators of the tokens that each training came to look at.",
    )


CLAIM = Claim(
    id="1.25",
    title="Transformers as Support Vector Machines",
    paper="arXiv 2308.16898",
    sentence=(
        "Gradient descent on W in softmax(X W z) under a fixed linear head converges in direction"
        " to the separator of optimal tokens from the others of least Frobenius norm; trained as"
        " W = K Q', it goes to that of least nuclear norm."
    ),
    measure=measure,
)
