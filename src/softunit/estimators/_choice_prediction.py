"""What a fitted choice model answers for sets it has not seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from softunit._checks import counted, near_names
from softunit._groups import Groups
from softunit._typing import Array, Vector
from softunit.designs import as_design
from softunit.errors import InputError
from softunit.estimators._choice_data import Available, choice_sets, choices_made
from softunit.estimators._choice_effects import (
    Elasticities,
    WillingnessToPay,
    elasticities_of,
    willingness,
)
from softunit.estimators._choice_labels import alternative_codes, known_codes, set_labels, shown
from softunit.estimators._choice_problem import Constants
from softunit.estimators._data import checked_x
from softunit.estimators._formulas import Columns
from softunit.inference import ErrorKind, InferenceMethods
from softunit.units import GroupedSoftmax


class ChoicePrediction(InferenceMethods):
    """Probabilities, choices and their elasticities from `coef_`."""

    coef_: Vector
    alternatives_: Array
    _constants: Constants | None
    _columns: Columns | None

    @property
    def names_(self) -> tuple[str, ...]:
        """Names of the coefficients: columns, then constants."""
        check_is_fitted(self)
        d = self.n_features_in_  # type: ignore[attr-defined]
        known = getattr(self, "feature_names_in_", [f"x{j}" for j in range(d)])
        more = [] if self._constants is None else self._constants.kept
        return (*map(str, known), *(f"constant: {name}" for name in more))

    def decision_function(self, X: Any, *, alternatives: Any = None, offset: Any = None) -> Vector:
        """Return the score of each row, shape (n,): utility without its noise.

        Parameters
        ----------
        X : array_like, sparse matrix or frame of shape (n, d)
            After `from_formula` a frame with the columns that the formula names.
        alternatives : array_like of shape (n,), default None
            Needed where the model has constants; all names must be those of the fit.
        offset : array_like of shape (n,), default None
            Added to the scores; -inf makes them so.

        Raises
        ------
        InputError
            If a shape differs, a name is unknown, or alternatives are missing.
        """
        check_is_fitted(self)
        x = self._checked(X)
        z = self._scores(x, self._codes(self._named(alternatives, X), x.shape[0]))
        usable = Available.of(None, self._named(offset, X), len(z))
        z = z if usable.offset is None else z + usable.offset
        return z if usable.rows is None else np.where(usable.rows, z, -np.inf)

    def predict_proba(
        self,
        X: Any,
        groups: Any,
        *,
        alternatives: Any = None,
        available: Any = None,
        offset: Any = None,
    ) -> Vector:
        """Return the probability that each row is the one chosen in its set, shape (n,).

        Parameters
        ----------
        X : array_like, sparse matrix or frame of shape (n, d)
        groups : array_like of shape (n,)
            Set of each row, in any order; sets need not be those of the fit, and a set of one row
            has probability 1.
        alternatives : array_like of shape (n,), default None
            Needed where the model has constants.
        available : array_like of bool, shape (n,), default None
            Rows that cannot be chosen have probability 0.
        offset : array_like of shape (n,), default None
            Added to the scores; -inf says that a row is not available.

        Raises
        ------
        InputError
            If a shape differs, a name is unknown, alternatives are missing, or no row of a set is
            available.
        """
        x = self._checked(X)
        labels = set_labels(self._named(groups, X), x.shape[0])
        usable = Available.of(self._named(available, X), self._named(offset, X), len(labels))
        z = self._scores(x, self._codes(self._named(alternatives, X), len(labels)))
        return _probabilities(z, Groups(labels), usable, labels)

    def predict(
        self,
        X: Any,
        groups: Any,
        *,
        alternatives: Any = None,
        available: Any = None,
        offset: Any = None,
    ) -> npt.NDArray[np.bool_]:
        """Return whether each row is the most probable one of its set, the first of equals, (n,).

        Parameters
        ----------
        X, groups, alternatives, available, offset
            As in `predict_proba`.
        """
        p = self.predict_proba(
            X, groups, alternatives=alternatives, available=available, offset=offset
        )
        sets = Groups(set_labels(self._named(groups, X), len(p)))
        rows = np.flatnonzero(p == sets.spread(sets.largest(p)))
        _, first = np.unique(sets.codes[rows], return_index=True)
        chosen = np.zeros(len(p), dtype=bool)
        chosen[rows[first]] = True
        return chosen

    def log_likelihood(
        self,
        X: Any,
        y: Any,
        groups: Any,
        *,
        alternatives: Any = None,
        available: Any = None,
        sample_weight: Any = None,
        offset: Any = None,
    ) -> float:
        """Return the log-likelihood of some choices under the fitted coefficients.

        Parameters
        ----------
        X, y, groups, alternatives, available, sample_weight, offset
            As in `fit`.
        """
        x = self._checked(X)
        sets = choice_sets(
            self._named(y, X),
            self._named(groups, X),
            x.shape[0],
            sample_weight=self._named(sample_weight, X),
            offset=self._named(offset, X),
            available=self._named(available, X),
        )
        z = self._scores(x, self._codes(self._named(alternatives, X), x.shape[0]))
        z = sets.of_rows(z)
        z = z if sets.offset is None else z + sets.offset
        return -GroupedSoftmax(sets.groups).value(z, sets.target, sets.weights)

    def score(
        self,
        X: Any,
        y: Any,
        groups: Any,
        *,
        alternatives: Any = None,
        available: Any = None,
        sample_weight: Any = None,
        offset: Any = None,
    ) -> float:
        """Return the share of all choices that fall on the most probable row of their set.

        Parameters
        ----------
        X, y, groups, alternatives, available, sample_weight, offset
            As in `fit`; sets without a choice count nothing.

        Raises
        ------
        InputError
            As `predict_proba`, and if y or the weights are wrong, or y holds no choice.
        """
        chosen = self.predict(
            X, groups, alternatives=alternatives, available=available, offset=offset
        )
        labels = set_labels(self._named(groups, X), len(chosen))
        usable = Available.of(self._named(available, X), self._named(offset, X), len(chosen))
        weights = self._named(sample_weight, X)
        made = choices_made(self._named(y, X), labels, Groups(labels), usable.rows, weights)
        return float(made[chosen].sum() / made.sum())

    def elasticities(
        self,
        X: Any,
        groups: Any,
        column: int | str,
        *,
        alternatives: Any = None,
        available: Any = None,
        offset: Any = None,
    ) -> Elasticities:
        """Return own and cross elasticities of the probabilities by one column.

        Parameters
        ----------
        X, groups, alternatives, available, offset
            As in `predict_proba`; with alternatives there is a table of averages too, also where
            the fit was told none.
        column : int or str
            Of the model's matrix; where a quantity stands in several of them, as in interactions,
            each tells its part only.

        Raises
        ------
        InputError
            If there is no such column, or as `predict_proba`.
        """
        j = self._position(column, len(self.names_) - self._n_constants)
        x = self._checked(X)
        p = self.predict_proba(
            X, groups, alternatives=alternatives, available=available, offset=offset
        )
        unit = np.zeros(x.shape[1])
        unit[j] = self.coef_[j]
        sets = Groups(set_labels(self._named(groups, X), len(p)))
        change = as_design(x).matvec(unit)
        of = self.names_[j]
        if alternatives is None:
            return elasticities_of(p, change, sets, of)
        told, known = self._named(alternatives, X), getattr(self, "alternatives_", None)
        if known is None:
            return elasticities_of(p, change, sets, of, alternative_codes(told, len(p)))
        return elasticities_of(p, change, sets, of, (known, known_codes(told, known, len(p))))

    def willingness_to_pay(
        self, price: int | str, kind: ErrorKind = "classical", clusters: Any = None
    ) -> WillingnessToPay:
        """Return how much of the price makes up for one unit of each other column.

        Where the coefficients are no optimum, it says so, and shows no intervals.

        Parameters
        ----------
        price : int or str
            The column whose units the answer is in.
        kind : {"classical", "robust", "HC0", "HC1", "clustered"}, default "classical"
            Of the covariance that the delta method starts from.
        clusters : array_like or None, default None
            Label of each row's cluster, with kind="clustered".

        Raises
        ------
        InputError
            If there is no such column, or its coefficient is zero.
        """
        j = self._position(price, len(self.names_))
        found = self.inference()
        return willingness(
            self.names_, j, self.coef_, found.covariance(kind, clusters), found.problem_with_fit
        )

    @property
    def _n_constants(self) -> int:
        return 0 if self._constants is None else len(self._constants.kept)

    def _position(self, column: int | str, count: int) -> int:
        names = self.names_[:count]
        if isinstance(column, (int, np.integer)) and not isinstance(column, bool):
            if not -count <= column < count:
                raise InputError(f"there is no column {column}: the columns are 0 to {count - 1}.")
            return int(column) % count
        if column not in names:
            hint = near_names(str(column), names)
            raise InputError(
                f"there is no column {column!r}.{hint} The columns are {', '.join(names)}."
            )
        return names.index(str(column))

    def _checked(self, X: Any) -> Any:
        check_is_fitted(self)
        return checked_x(self, X if self._columns is None else self._columns.of(X), reset=False)

    def _named(self, value: Any, X: Any) -> Any:
        """Return a column of the data of a formula for its name, and all else as it is."""
        return value if self._columns is None else self._columns.named(value, X)

    def _codes(self, alternatives: Any, n: int) -> npt.NDArray[np.int32] | None:
        if self._constants is None:
            return None
        if alternatives is None:
            raise InputError(
                "the model has a constant for each alternative: pass `alternatives`, the name of"
                " each row's."
            )
        return known_codes(alternatives, self._constants.names, n)

    def _scores(self, x: Any, codes: npt.NDArray[np.int32] | None) -> Vector:
        d = x.shape[1]
        z = as_design(x).matvec(self.coef_[:d])
        if self._constants is None or codes is None:
            return np.asarray(z)
        return np.asarray(z + self._constants.design(codes).matvec(self.coef_[d:]))


def _probabilities(z: Vector, sets: Groups, usable: Available, labels: Array) -> Vector:
    if usable.offset is not None:
        z = z + usable.offset
    if usable.rows is None:
        return sets.softmax(z)
    none = np.flatnonzero(sets.sums(usable.rows.astype(np.float64)) == 0)
    if len(none):
        row = int(sets.first_rows[none].min())
        raise InputError(
            f"no row is available in {counted(len(none), 'set')}; the first is set"
            f" {shown(labels, row)}, which begins in row {row}."
        )
    return sets.softmax(np.where(usable.rows, z, -np.inf))
