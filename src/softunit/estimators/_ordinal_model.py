"""A fitted model of ordered classes on its own data, and on other data."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from softunit.certificate import Certificate
from softunit.errors import InputError
from softunit.estimators._data import checked_x
from softunit.estimators._ordinal_fit import OrdinalFit, Plan
from softunit.estimators._ordinal_prediction import OrdinalPrediction
from softunit.estimators._ordinal_proof import ordinal_certificate
from softunit.estimators._ordinal_target import OrderedTarget, known_codes
from softunit.estimators._own_data import OwnData
from softunit.inference import Facts, Inference, InferenceMethods
from softunit.solution import Solution


class OrdinalModel(OwnData, InferenceMethods, OrdinalPrediction, ClassifierMixin, BaseEstimator):
    """Certificates and errors of coefficients and thresholds."""

    n_features_in_: int
    solution_: Solution
    own_data = ("_fit",)
    _fit: OrdinalFit | None
    _separated: str

    def _plan(self) -> Plan:
        """Return how a fit goes, the parameters checked."""
        raise NotImplementedError

    def _posed(self, plan: Plan, x: Any, target: OrderedTarget, sample_weight: Any) -> OrdinalFit:
        """Return the problem of some data."""
        raise NotImplementedError

    def certify(self, X: Any, y: Any, sample_weight: Any = None) -> Certificate:
        """Return a full certificate of the fitted coefficients on some data.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`; labels must be among `classes_`, and each of these must occur.
        """
        fit = self._other(X, y, sample_weight)
        x = fit.point(self.coef_, self.thresholds_)
        return ordinal_certificate(fit.problem, x, effort="full")

    def inference(self, X: Any = None, y: Any = None, sample_weight: Any = None) -> Inference:
        """Return errors, intervals and tests of coefficients and thresholds.

        Parameters
        ----------
        X, y, sample_weight : default None
            None means the data of the fit.

        Returns
        -------
        Inference
            Of parameters named by columns and, last, thresholds by the classes on both sides,
            "low|high"; with a finite `presto` of pairs (threshold, column).

        Raises
        ------
        InputError
            If the classes are separable, or the model was loaded without its data and X is None.
        """
        check_is_fitted(self)
        fit = self._fit if X is None else self._other(X, y, sample_weight)
        if fit is None:
            raise InputError(
                "the model was loaded from a file, which does not hold the data of the fit: call"
                " inference(X, y)."
            )
        facts = Facts(
            model="Proportional odds" if fit.plan.shared else "Cumulative logit",
            converged=self.solution_.converged,
            message=self.solution_.message,
            separated=self._separated,
            null_log_likelihood=fit.null_log_likelihood(),
        )
        return fit.infer(fit.point(self.coef_, self.thresholds_), facts, self._columns())

    def _other(self, X: Any, y: Any, sample_weight: Any) -> OrdinalFit:
        check_is_fitted(self)
        x = checked_x(self, X, reset=False)
        target = OrderedTarget(self.classes_, known_codes(y, x.shape[0], self.classes_))
        return self._posed(self._plan(), x, target, sample_weight)

    def _columns(self) -> list[str]:
        known = getattr(self, "feature_names_in_", None)
        return [f"x{j}" for j in range(self.n_features_in_)] if known is None else list(known)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
