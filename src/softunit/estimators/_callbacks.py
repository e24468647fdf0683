"""scikit-learn's callbacks, where the installed version has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from softunit._typing import Array
from softunit.point import Point
from softunit.solution import Record

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn before 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing: this version of scikit-learn has no callbacks."""

    def with_callbacks(method: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method as it is."""
        return method


__all__ = ["CallbackSupportMixin", "FitTasks", "with_callbacks"]

Attributes = Callable[[Array], Mapping[str, Any]]
"""From x to the fitted attributes that an estimator stopped there would have."""


class FitTasks:
    """One task of scikit-learn's callbacks for each iteration of a run.

    Parameters
    ----------
    estimator : estimator
        Being fitted; nothing happens unless callbacks are set on it or on its meta-estimator.
    data : mapping
        X, y and metadata, passed on to the hooks.
    attributes : callable
        x -> fitted attributes, so that hooks can be handed an estimator that predicts.
    max_iter : int
    """

    def __init__(
        self, estimator: Any, data: Mapping[str, Any], attributes: Attributes, max_iter: int
    ) -> None:
        watched = hasattr(estimator, "_skl_callbacks") or hasattr(estimator, "_parent_callback_ctx")
        self._context: Any = None
        self._estimator, self._data, self._attributes = estimator, dict(data), attributes
        self._iteration: Any = None
        if watched and hasattr(estimator, "_init_callback_context"):
            self._context = estimator._init_callback_context(max_subtasks=max_iter + 1)
            self._context.call_on_fit_task_begin(estimator=estimator, **self._data)

    def begin(self, x: Array) -> None:
        """Open the task of the first iteration, which starts at x."""
        if self._context is not None:
            self._open(x)

    def __call__(self, record: Record, point: Point) -> bool:
        """Close the task of an iteration, open the next; true when a hook asks to stop."""
        if self._context is None or record.iteration == 0:
            return False
        stop = self._iteration.call_on_fit_task_end(
            estimator=self._estimator,
            reconstruction_attributes=lambda: self._attributes(point.x),
            **self._data,
        )
        self._open(point.x)
        return bool(stop)

    def end(self) -> None:
        """Close the task that no iteration filled, and the fit's own."""
        if self._context is None:
            return
        if self._iteration is not None:
            self._iteration.call_on_fit_task_end(estimator=self._estimator)
        self._context.call_on_fit_task_end(
            estimator=self._estimator, reconstruction_attributes={}, **self._data
        )

    def _open(self, x: Array) -> None:
        self._iteration = self._context.subcontext(task_name="iteration")
        self._iteration.call_on_fit_task_begin(
            estimator=self._estimator,
            reconstruction_attributes=lambda: self._attributes(x),
            **self._data,
        )
