"""What an estimator with an `inference` method offers of it."""

from __future__ import annotations

from typing import Any

from softunit._typing import Matrix, Vector
from softunit.inference.hypotheses import WaldTest
from softunit.inference.inference import Inference
from softunit.inference.summary import Summary
from softunit.inference.variances import ErrorKind


class InferenceMethods:
    """Errors, intervals and tests on the data of the fit, from `self.inference()`."""

    def inference(self) -> Inference:
        """Return what the data of the fit say of each parameter."""
        raise NotImplementedError

    def covariance(self, kind: ErrorKind = "classical", clusters: Any = None) -> Matrix:
        """Return the covariance of the parameters; see `Inference.covariance`.

        Parameters
        ----------
        kind : {"classical", "robust", "HC0", "HC1", "clustered"}, default "classical"
        clusters : array_like or None, default None
            Label of each row's cluster, with kind="clustered".
        """
        return self.inference().covariance(kind, clusters)

    def standard_errors(
        self,
        kind: ErrorKind = "classical",
        clusters: Any = None,
        *,
        which: Any = None,
        memory: str | float = "1GB",
    ) -> Vector:
        """Return standard errors; see `Inference.standard_errors`.

        Parameters
        ----------
        kind : {"classical", "robust", "HC0", "HC1", "clustered"}, default "classical"
        clusters : array_like or None, default None
            Label of each row's cluster, with kind="clustered".
        which : int, str, list of these, or None, default None
            Parameters wanted; None means all.
        memory : str or float, default "1GB"
            What may be held at once beside the data.
        """
        return self.inference().standard_errors(kind, clusters, which=which, memory=memory)

    def confidence_intervals(
        self, level: float = 0.95, kind: ErrorKind = "classical", clusters: Any = None
    ) -> Matrix:
        """Return the ends of normal intervals, (q, 2); see `Inference.confidence_intervals`.

        Parameters
        ----------
        level : float, default 0.95
        kind : {"classical", "robust", "HC0", "HC1", "clustered"}, default "classical"
        clusters : array_like or None, default None
            Label of each row's cluster, with kind="clustered".
        """
        return self.inference().confidence_intervals(level, kind, clusters)

    def wald_test(
        self, R: Any, r: Any = None, kind: ErrorKind = "classical", clusters: Any = None
    ) -> WaldTest:
        """Test whether R theta = r; see `Inference.wald_test`.

        Parameters
        ----------
        R : array_like of shape (m, q), or names
        r : float or array_like of shape (m,), default None
            None means zero.
        kind : {"classical", "robust", "HC0", "HC1", "clustered"}, default "classical"
        clusters : array_like or None, default None
            Label of each row's cluster, with kind="clustered".
        """
        return self.inference().wald_test(R, r, kind, clusters)

    def summary(
        self, kind: ErrorKind = "classical", clusters: Any = None, level: float = 0.95
    ) -> Summary:
        """Return a table of the parameters; see `Inference.summary`.

        Parameters
        ----------
        kind : {"classical", "robust", "HC0", "HC1", "clustered"}, default "classical"
        clusters : array_like or None, default None
            Label of each row's cluster, with kind="clustered".
        level : float, default 0.95
            Of the intervals.
        """
        return self.inference().summary(kind, clusters, level)
