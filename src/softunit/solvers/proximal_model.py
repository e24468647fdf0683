"""A quadratic model and a penalty with kinks, on the rows of x that may move, and its minimum."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from softunit._numeric import EPS, dot
from softunit._typing import Array, Matrix
from softunit.penalties import Lasso
from softunit.point import Point
from softunit.problem import FORM_LIMIT, Problem
from softunit.solvers.blocks import Index, restricted
from softunit.solvers.conjugate_gradients import Operator
from softunit.solvers.proximal_hessian import FormedMetric, formed, price
from softunit.solvers.proximal_metric import GramMetric, Mask, working_columns
from softunit.solvers.proximal_rows import blind_rows, fewer, flat_rows

MARGIN = 0.3  # of strength and largest violation: zeros this near to moving may move as well
FACE = 0.2  # by which a face's residual falls before its signs are looked at again
NEAR = 0.3  # of what is asked for: where conjugate gradients stop for good
WRONG = 0.3  # of the entries of a face: more that cross zero make it the wrong one
PATIENCE = 25  # products on a face after a wrong one; twice as many after each that was right
SHARP = 0.01  # likewise, at most, where the Hessian is formed
IDLE, SHORTER = 8, 0.9  # turns without a subgradient so much shorter, which end a model
TURNS = 60
HALVINGS = 30
TRIALS = 8  # stretches of the metric
SHRINK = 0.7  # least factor between two stretches


@dataclass
class Model:
    """Q(y) = g'(y - x) + 1/2 (y - x)'H(y - x) + penalty(y), y free where the mask says so.

    Attributes
    ----------
    rows : ndarray of int, shape (r,)
        The rows of x that may move.
    x, gradient : ndarray of shape (r,) or (r, K)
    lasso : Lasso
    free : ndarray of bool, of their shape
    product : callable
        V -> H V.
    metric : GramMetric or FormedMetric
        What stands for H.
    blind, flat : ndarray of bool, shape (r,), or None
        Rows in which a constant across the columns changes the penalty only, and nothing at all.
    form : callable or None, default None
        Forms H; None where it has too many entries.
    price : float, default inf
        The products that take as long.
    products : int, default 0
        Products with H so far, those with a formed one not counted.
    """

    rows: Index
    x: Array
    gradient: Array
    lasso: Lasso
    free: Mask
    product: Operator
    metric: GramMetric | FormedMetric
    blind: Mask | None
    flat: Mask | None
    form: Callable[[], Matrix] | None = None
    price: float = math.inf
    products: int = 0
    patience: int = PATIENCE
    # By which the diagonal, and the whole of the metric, must be multiplied to bound H.
    stretches: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        assert isinstance(self.metric, GramMetric)
        self.diagonal = self.metric.diagonal(self.x.shape)

    @classmethod
    def at(cls, problem: Problem, point: Point, lasso: Lasso) -> Model:
        """Return the model at a point, on what is not zero and what is not held at zero."""
        x, gradient = point.x, point.gradient
        violation = float(np.abs(lasso.least_subgradient(x, gradient)).max())
        margin = MARGIN * np.minimum(violation, lasso.strength)
        pulled = lasso.sizes(gradient) > lasso.strength - margin
        free = (lasso.sizes(x) > 0) | pulled | (lasso.strength == 0)
        free = np.broadcast_to(fewer(free, lasso, x, gradient), x.shape)
        wanted = np.flatnonzero(free.reshape(len(x), -1).any(axis=1))
        rows, design = working_columns(problem, wanted)
        part = restricted(problem, rows, design)
        part.share = problem.share * len(rows) / len(x)
        here = Point(x[rows], point.value, gradient[rows], point.scores)
        product, curved = part.hessian_product(here)
        metric = GramMetric.of(problem, part, rows, curved)
        own = lasso.at(rows)
        free = free[rows]
        blind, flat = blind_rows(problem, part, own, free), flat_rows(problem, part, own)
        model = cls(rows, here.x, here.gradient, own, free, product, metric, blind, flat)
        entries = int(np.count_nonzero(free))
        if entries <= FORM_LIMIT:
            model.price = price(design.row_entries, entries, problem.columns)
            model.form = lambda: formed(part, here, free)
        return model

    def minimised(self, enough: float, most: int) -> Array:
        """Return y near the minimum.

        1. A step that knows kinks finds out which entries are zero, and the signs of the others.
        2. Conjugate gradients on the face of these signs.  3. Again, until the subgradient of least
        norm has fallen by `enough`, or after `most` products with H.
        """
        y, slope = self.x, self.gradient
        first = best = self._norm(self._least(y, slope))
        idle = turns = 0
        if isinstance(self.metric, FormedMetric):
            enough = min(enough, SHARP)
        while self.products < most and idle < IDLE and turns < TURNS:
            turns += 1
            if self.products >= self.price:
                self.use_formed()
                enough = min(enough, SHARP)
            y, slope = self._kinked_step(y, slope)  # 1.
            y = self._balanced(y)
            y, slope = self._face_step(y, slope, NEAR * enough * first, most)  # 2.
            left = self._norm(self._least(y, slope))
            if not left > enough * first:  # 3.
                break
            idle, best = (0, left) if left < SHORTER * best else (idle + 1, best)
        return y

    def use_formed(self) -> None:
        """Form the Hessian, if it may be: products with it are nearly free from then on."""
        if self.form is not None:
            self.metric = FormedMetric(self.form(), self.free)
            self.product, self.form, self.price = self.metric.product, None, math.inf
            self.stretches = (1.0, 1.0)

    @property
    def forms(self) -> bool:
        """Whether a formed Hessian has been worth it, or nearly so."""
        return isinstance(self.metric, FormedMetric) or self.products >= self.price

    def _least(self, y: Array, slope: Array) -> Array:
        return np.where(self.free, self.lasso.least_subgradient(y, slope), 0.0)

    def _norm(self, v: Array) -> float:
        return float(np.sqrt((v * v / self.diagonal).sum()))

    def _image(self, v: Array) -> Array:
        self.products += isinstance(self.metric, GramMetric)
        return self.product(v)

    def _change(self, y: Array, p: Array, slope: Array, image: Array) -> float:
        """Return Q(y + p) - Q(y), less what rounding of the kinks may have added."""
        lasso = self.lasso
        before, after = lasso.sizes(y), lasso.sizes(y + p)
        kinks = float((lasso.strength * (after - before)).sum())
        noise = 4 * EPS * float((lasso.strength * np.maximum(before, after)).sum())
        return dot(slope, p) + 0.5 * dot(p, image) + kinks - noise

    # Steps that know kinks ------------------------------------------------------------------------

    def _kinked_step(self, y: Array, slope: Array) -> tuple[Array, Array]:
        """Return y and slope after a step in the metric, or in its diagonal where that fails."""
        for whole in (True, False):
            for _ in range(TRIALS):
                stretch = self.stretches[whole]
                found = self._proposed(y, slope, stretch, whole=whole)
                if found is None:
                    break
                p, held = found
                image = self._image(p)
                ratio = dot(p, image) / (stretch * held) if held > 0 else 1.0
                lower = self._change(y, p, slope, image) <= 0
                factor = max(SHRINK, ratio) if lower else 1.5 * max(ratio, 1.0)
                self._stretch(whole, stretch * factor)
                if lower:
                    return y + p, slope + image
        return y, slope

    def _stretch(self, whole: bool, value: float) -> None:
        one, other = self.stretches
        self.stretches = (one, value) if whole else (value, other)

    def _proposed(
        self, y: Array, slope: Array, stretch: float, *, whole: bool
    ) -> tuple[Array, float] | None:
        if whole:
            return self.metric.minimised(y, slope, self.lasso, self.free, stretch)
        each = self.diagonal
        if self.lasso.group:
            each = each.max(axis=1, keepdims=True)
        step = 1 / (stretch * each)
        p = np.where(self.free, self.lasso.proximal(y - step * slope, step), y) - y
        return p, dot(p, each * p)

    def _balanced(self, y: Array) -> Array:
        """Return y less, in blind rows, the median across the columns nearest to zero.

        The loss is the same, the penalty least; on a face where all signs of such a row are fixed
        and do not cancel, Q would have no minimum.
        """
        if self.blind is None:
            return y
        last = y.shape[1] - 1
        ordered = np.partition(y, sorted({last // 2, (last + 1) // 2}), axis=1)
        middle = np.clip(0.0, ordered[:, last // 2], ordered[:, (last + 1) // 2])
        return np.asarray(y - np.where(self.blind, middle, 0.0)[:, None])

    # Steps on a face ------------------------------------------------------------------------------

    def _face_step(self, y: Array, slope: Array, enough: float, most: int) -> tuple[Array, Array]:
        """Return y and slope after conjugate gradients on what is not zero, signs held."""
        lasso = self.lasso
        on = self.free & ((lasso.sizes(y) > 0) | (lasso.strength == 0))
        move, image = self._newton(y, slope, on, enough, most)
        crossed = on & (lasso.strength > 0) & self._crossed(y, y + move)
        # A minimum beyond many kinks is that of the wrong face: no need to come near it.
        wrong = np.count_nonzero(crossed) > WRONG * np.count_nonzero(on)
        self.patience = PATIENCE if wrong else 2 * self.patience
        if crossed.any():
            p = np.where(crossed, 0.0, y + move) - y
            seen = self._image(p)
            if self._change(y, p, slope, seen) < 0:
                return y + p, slope + seen
        t = 1.0
        for _ in range(HALVINGS):
            if self._change(y, t * move, slope, t * image) <= 0:
                return y + t * move, slope + t * image
            t *= 0.5
        return y, slope

    def _preconditioner(self, on: Mask, y: Array) -> Operator:
        """Return what stands for the inverse on a face, blind to what changes nothing."""
        if isinstance(self.metric, FormedMetric):
            inverse = self.metric.inverse(on, self.lasso, y)
        else:
            inverse = self.metric.inverse(on, self.diagonal, self._bent(y))
        flat = self.flat
        if flat is None:
            return inverse

        def levelled(r: Array) -> Array:
            # Rounding along these directions would come back magnified without limit.
            out = r.copy()
            out[flat] -= out[flat].mean(axis=1, keepdims=True)
            out = inverse(out)
            out[flat] -= out[flat].mean(axis=1, keepdims=True)
            return out

        return levelled

    def _bent(self, y: Array) -> Array:
        """Return the diagonal of the penalty's second derivative at y."""
        if not self.lasso.group:
            return np.zeros_like(y)
        sizes = self.lasso.sizes(y)
        safe = np.where(sizes > 0, sizes, 1.0)
        return np.where(sizes > 0, self.lasso.strength / safe * (1 - (y / safe) ** 2), 0.0)

    def _crossed(self, before: Array, after: Array) -> Mask:
        """Return where an entry has another sign, or a row of a group turned round."""
        if self.lasso.group:
            return np.asarray((before * after).sum(axis=1, keepdims=True) < 0)
        return np.asarray(before * after < 0)

    def _newton(
        self, y: Array, slope: Array, on: Mask, enough: float, most: int
    ) -> tuple[Array, Array]:
        """Return the Newton step on a face by conjugate gradients, and H times it."""
        second = self.lasso.second(y)
        residual = np.where(on, -(slope + self.lasso.direction(y)), 0.0)
        move, image = np.zeros_like(y), np.zeros_like(y)
        stop = max(FACE * self._norm(residual), enough)
        if not self._norm(residual) > stop:
            return move, image
        precondition = self._preconditioner(on, y)
        direction = z = precondition(residual)
        rho = dot(residual, z)
        most = min(most, self.products + self.patience)
        for _ in range(most - self.products):
            if not self._norm(residual) > stop:
                break
            seen = self._image(direction)
            bent = np.where(on, seen + second(direction), 0.0)
            curved = dot(direction, bent)
            if not (curved > 0 and rho > 0):
                break
            length = rho / curved
            move += length * direction
            image += length * seen
            residual -= length * bent
            z = precondition(residual)
            rho, before = dot(residual, z), rho
            direction = z + (rho / before) * direction
        return move, image
