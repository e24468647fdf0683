"""What every choice model has once it is fitted, on the data of the fit or on others."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from softunit.certificate import Certificate, certify
from softunit.errors import InputError
from softunit.estimators._choice_data import ChoiceSets, choice_sets
from softunit.estimators._choice_fit import ChoiceFit
from softunit.estimators._choice_prediction import ChoicePrediction
from softunit.estimators._own_data import OwnData
from softunit.inference import Inference
from softunit.solution import Solution


class ChoiceModel(OwnData, ChoicePrediction, BaseEstimator):
    """Inference and certificates for fitted coefficients."""

    C: float
    own_data = ("_own", "_inference")
    solution_: Solution
    _separated: str
    _own: ChoiceFit | None
    _inference: Inference | None

    def inference(
        self,
        X: Any = None,
        y: Any = None,
        groups: Any = None,
        *,
        alternatives: Any = None,
        **more: Any,
    ) -> Inference:
        """Return what some data say of each coefficient.

        Parameters
        ----------
        X, y, groups, alternatives
            As in `fit`; without X, those of the fit, which are kept by reference and do not
            survive pickling.
        **more
            available, sample_weight, offset, as in `fit`.

        Returns
        -------
        Inference

        Raises
        ------
        InputError
            If the choices are separated, or there are no data.
        """
        check_is_fitted(self)
        if X is None and self._own is None:
            raise InputError(
                "this model was loaded without the data of its fit: pass X, y and groups to"
                " `inference`."
            )
        if X is not None:
            return self._other(X, y, groups, alternatives=alternatives, **more).infer(
                self.coef_, self.names_, self.solution_, self._separated
            )
        if self._inference is None:
            assert self._own is not None
            self._inference = self._own.infer(
                self.coef_, self.names_, self.solution_, self._separated
            )
        return self._inference

    def certify(
        self, X: Any, y: Any, groups: Any, *, alternatives: Any = None, **more: Any
    ) -> Certificate:
        """Return a full certificate of the fitted coefficients on some data.

        Parameters
        ----------
        X, y, groups, alternatives
            As in `fit`.
        **more
            available, sample_weight, offset, as in `fit`.
        """
        check_is_fitted(self)
        problem = self._other(X, y, groups, alternatives=alternatives, **more).problem
        return certify(problem, problem.design.from_input(self.coef_))

    def _other(self, X: Any, y: Any, groups: Any, *, alternatives: Any, **more: Any) -> ChoiceFit:
        """Return other data with the model's columns and constants."""
        x = self._checked(X)
        sets = self._sets(X, y, groups, x.shape[0], strict=False, **more)
        codes = self._codes(self._named(alternatives, X), x.shape[0])
        return ChoiceFit.of(sets.of_rows(x), sets, self._constants, sets.of_rows(codes), C=self.C)

    def _sets(
        self, X: Any, y: Any, groups: Any, n: int, *, strict: bool, **more: Any
    ) -> ChoiceSets:
        known = {name: self._named(value, X) for name, value in more.items()}
        return choice_sets(self._named(y, X), self._named(groups, X), n, strict=strict, **known)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
