"""Responses known of bags only: bag-level, instance-level, and the losses between them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import brentq

from softunit._numeric import softmax
from softunit._typing import Matrix, Vector
from softunit.claims.base import Claim, Effort, Evidence, Finding, Picture, Series

ROWS = 4  # for each column
NOISE = 0.5  # standard deviation of a response about x'beta, with |beta| = 1
SIZES = (2, 3, 5, 8, 12, 20)  # at 4 the bags are as many as the columns: there rho = 0 has no risk
RHOS = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)
GRID: tuple[float, ...] = (
    0.0,
    *np.geomspace(1e-3, 1.0, 61).tolist(),
)  # where the best rho is looked for
EPSILON, REACH = 3.0, 3.0  # privacy loss; responses are cut at so many standard deviations
COPIES = 20  # of beta and of the responses for each draw of the rows
PRIVATE_SIZES = (1, 2, 3, 5, 8, 12, 20, 40)

_IDENTITY, _RISK, _PRIVATE = range(3)  # streams of random numbers


def measure(effort: Effort) -> Evidence:
    """Measure the claim.

    Parameters
    ----------
    effort : Effort
    """
    d, draws = effort.count(500, least=120), effort.count(10, least=4)
    identity = Finding(
        "|L_ins - L_bag - variance of f within bags| over L_ins, largest of 200 draws of f,"
        " linear and softmax",
        max(_identity(effort.rng(_IDENTITY, draw)) for draw in range(200)),
        1e-12,
    )
    risks = {size: _risks(effort, d, size, draws) for size in SIZES}
    private = _private(effort, d, draws)
    where = f"d = {d}, n = {ROWS * d}, {draws} draws of rows, {COPIES} of responses each"
    findings = (
        identity,
        *_findings(risks, where),
        Finding(
            f"private shares (epsilon = {EPSILON:g}), least risk over bag sizes 2 to"
            f" {PRIVATE_SIZES[-2]}, over the lower risk of bag sizes 1 and {PRIVATE_SIZES[-1]},"
            f" {where}",
            min(private[1:-1]) / min(private[0], private[-1]),
            1.0 - 1e-3,
        ),
    )
    return Evidence(findings, _notes(risks, private), _picture(risks))


# The identity ---------------------------------------------------------------------------------


def _identity(rng: np.random.Generator) -> float:
    """Return by how much the square loss of rows misses that of bags and a variance."""
    size, count = int(rng.integers(2, 20)), int(rng.integers(3, 30))
    x = rng.standard_normal((count, size, 4))
    f = x @ rng.standard_normal(4) if rng.random() < 0.5 else softmax(x[..., 0].ravel())
    f = f.reshape(count, size)
    response = rng.standard_normal((count, 1))
    bag, within = square_losses(f, response)
    instance = float(np.mean((response - f) ** 2))
    return abs(instance - bag - within) / instance


def square_losses(f: Matrix, response: Matrix) -> tuple[float, float]:
    """Return the bag-level loss and the mean variance of predictions within bags.

    Parameters
    ----------
    f : ndarray of shape (count, size)
        Predictions, one row for each bag.
    response : ndarray of shape (count, 1)
        Mean response of each bag.
    """
    mean = f.mean(axis=1, keepdims=True)
    return float(np.mean((response - mean) ** 2)), float(np.mean((f - mean) ** 2))


# Risks ----------------------------------------------------------------------------------------


def asymptotic_risk(bags: float, within: float, rho: float, variance: float) -> float:
    """Return the limit of |theta - beta|^2 for |beta| = 1 and rows from N(0, I).

    With S and W independent Wishart matrices of `bags` d and `within` d degrees of freedom the
    minimiser is theta = (S + rho W)^-1 U'y, S = U'U. Let g be the limit of tr (S + rho W)^-1::

        A = bags g / (1 + g),  B = within rho g / (1 + rho g),  A + B = 1
        risk = (B^2 + (1 - 2 B) b + variance a) / (1 - a - b),  a = A^2 / bags,  b = B^2 / within

    For rho = 0 it is least squares, of least norm where bags < 1: docs/guides/aggregate-responses
    has both derivations.

    Parameters
    ----------
    bags, within : float
        Bags for each column, and rows less bags for each column; bags + within > 1.
    rho : float
        Weight of the instance-level loss, from 0 to 1.
    variance : float
        Of a response about x'beta; of bag means, times the size of the bag.
    """
    if rho == 0 or within == 0:
        if bags > 1:
            return variance / (bags - 1)
        return (1 - bags) + variance * bags / (1 - bags) if bags < 1 else math.inf
    log_g = brentq(lambda u: _balance(bags, within, rho, math.exp(u)), -40.0, 80.0)
    g = math.exp(float(log_g))
    seen, held = bags * g / (1 + g), within * rho * g / (1 + rho * g)
    squares = seen**2 / bags, held**2 / within
    above = held**2 + (1 - 2 * held) * squares[1] + variance * squares[0]
    return float(above / (1 - squares[0] - squares[1]))


def _balance(bags: float, within: float, rho: float, g: float) -> float:
    return bags * g / (1 + g) + within * rho * g / (1 + rho * g) - 1


def best_rho(size: int, variance: float) -> float:
    """Return the rho of the least asymptotic risk, on a grid from 0 to 1."""
    a, b = _ratios(size)
    return min(GRID, key=lambda rho: asymptotic_risk(a, b, rho, variance))


def _ratios(size: int) -> tuple[float, float]:
    return ROWS / size, ROWS * (1 - 1 / size)


def fitted(x: Matrix, means: Matrix, size: int, rhos: tuple[float, ...]) -> list[Matrix]:
    """Return the minimisers of (1 - rho) L_bag + rho L_ins over linear f, for each rho.

    Parameters
    ----------
    x : ndarray of shape (count * size, d)
        Bag by bag.
    means : ndarray of shape (count, copies)
        Mean response of each bag.
    size : int
    rhos : tuple of float
    """
    count, d = len(means), x.shape[1]
    centres = x.reshape(count, size, d).mean(axis=1)
    apart = x - np.repeat(centres, size, axis=0)
    # Both losses times the number of rows.
    of_bags, within, right = size * centres.T @ centres, apart.T @ apart, size * centres.T @ means
    found = []
    for rho in rhos:
        if rho == 0 or size == 1:
            found.append(_least_squares(centres, means))
        else:
            found.append(cho_solve(cho_factor(of_bags + rho * within), right))
    return found


def _least_squares(a: Matrix, b: Matrix) -> Matrix:
    """Return least squares of least norm; rows or columns are independent."""
    if a.shape[0] >= a.shape[1]:
        return np.asarray(cho_solve(cho_factor(a.T @ a), a.T @ b))
    return np.asarray(a.T @ cho_solve(cho_factor(a @ a.T), b))


@dataclass(frozen=True)
class Risks:
    """Simulated and asymptotic risks of one bag size.

    Attributes
    ----------
    rhos : tuple of float
        Those of `RHOS`, and the best by the formula last.
    simulated, formula : ndarray of shape (len(rhos),)
    """

    rhos: tuple[float, ...]
    simulated: Vector
    formula: Vector


def _risks(effort: Effort, d: int, size: int, draws: int) -> Risks:
    effort.tick(f"risks of bags of {size}")
    best = best_rho(size, NOISE**2)
    rhos, found = (*RHOS, best), []
    for draw in range(draws):
        x, y, beta = _responses(effort.rng(_RISK, size, draw), d, size)
        found.append([_risk(w, beta) for w in fitted(x, bag_means(y, size), size, rhos)])
    formula = [asymptotic_risk(*_ratios(size), rho, NOISE**2) for rho in rhos]
    return Risks(rhos, np.mean(found, axis=0), np.array(formula))


def bag_means(y: Matrix, size: int) -> Matrix:
    """Return the mean response of each bag, (count, copies)."""
    return np.asarray(y.reshape(-1, size, y.shape[1]).mean(axis=1))


def _responses(rng: np.random.Generator, d: int, size: int) -> tuple[Matrix, Matrix, Matrix]:
    """Return rows, their responses and beta, one column for each copy."""
    beta = rng.standard_normal((d, COPIES))
    beta /= np.linalg.norm(beta, axis=0)
    x = rng.standard_normal((ROWS * d // size * size, d))
    return x, x @ beta + NOISE * rng.standard_normal((len(x), COPIES)), beta


def _risk(found: Matrix, beta: Matrix) -> float:
    return float(((found - beta) ** 2).sum(axis=0).mean())


def _private(effort: Effort, d: int, draws: int) -> list[float]:
    """Return the simulated risk at each size, means behind Laplace noise, at the best rho."""
    bound = REACH * math.sqrt(1 + NOISE**2)
    risks = []
    for size in PRIVATE_SIZES:
        effort.tick(f"private responses of bags of {size}")
        scale = 2 * bound / (size * EPSILON)  # one response moves its mean by 2 bound / size
        rho = best_rho(size, NOISE**2 + size * 2 * scale**2)
        found = []
        for draw in range(draws):
            rng = effort.rng(_PRIVATE, size, draw)
            x, y, beta = _responses(rng, d, size)
            means = bag_means(np.clip(y, -bound, bound), size)
            means = means + rng.laplace(scale=scale, size=means.shape)
            found.append(_risk(fitted(x, means, size, (rho,))[0], beta))
        risks.append(float(np.mean(found)))
    return risks


def _findings(risks: dict[int, Risks], where: str) -> Iterator[Finding]:
    gains = [one.simulated[-1] / min(one.simulated[0], one.simulated[-2]) for one in risks.values()]
    sizes = f"bag sizes {SIZES[0]} to {SIZES[-1]}"
    yield Finding(
        f"risk of the best rho over the lower of the risks of rho = 0 and 1, largest of {sizes},"
        f" {where}",
        max(gains),
        1.0,
    )
    misses = [np.abs(one.simulated / one.formula - 1).max() for one in risks.values()]
    yield Finding(
        f"|simulated risk over the asymptotic formula - 1|, largest of {sizes} and"
        f" {len(RHOS) + 1} rhos, {where}",
        float(max(misses)),
        0.05,
    )


def _notes(risks: dict[int, Risks], private: list[float]) -> tuple[str, ...]:
    each = ", ".join(
        f"{size}: {one.simulated[0]:.3f}, {one.simulated[-2]:.3f}, {one.simulated[-1]:.3f} at"
        f" {one.rhos[-1]:.3g}"
        for size, one in risks.items()
    )
    hidden = ", ".join(
        f"{risk:.3f} ({size})" for size, risk in zip(PRIVATE_SIZES, private, strict=True)
    )
    return (
        "Risks |theta - beta|^2 by bag size, for rho = 0, rho = 1 and the best rho of the formula:"
        f" {each}. The risk of theta = 0 is 1.",
        f"Private risks by bag size at the best rho: {hidden}. Large bags need little noise and"
        " tell little.",
        "The formula is our own derivation for Gaussian rows, where bag means and what is left"
        " within bags are independent.",
    )


def _picture(risks: dict[int, Risks]) -> Picture:
    lines = []
    for size in (SIZES[0], SIZES[2], SIZES[-1]):
        grid, a_b = GRID[1:], _ratios(size)
        formula = tuple(asymptotic_risk(*a_b, rho, NOISE**2) for rho in grid)
        lines.append(Series(f"formula, bags of {size}", grid, formula))
        seen = risks[size]
        lines.append(
            Series(f"simulated, bags of {size}", seen.rhos[1:-1], tuple(seen.simulated[1:-1]))
        )
    return Picture(
        "Risk of the losses between bag level (left) and instance level (right)",
        "rho",
        "|theta - beta|^2",
        tuple(lines),
        log_x=True,
        caption="The least risk lies between, or at an end.",
    )


CLAIM = Claim(
    id="3.15",
    title="Learning from Aggregate Responses: Instance Level versus Bag Level Loss Functions",
    paper="arXiv 2401.11081",
    sentence=(
        "The instance-level loss is the bag-level loss and a penalty on what predictions vary"
        " within bags; a loss between the two has the least risk, which the asymptotic formula"
        " predicts, and under differential privacy some middling bag size is best."
    ),
    measure=measure,
)
