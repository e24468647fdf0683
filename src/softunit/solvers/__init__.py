"""Solvers: frozen settings with a start and a step."""

from softunit.solvers.auto import SOLVERS, resolve_solver
from softunit.solvers.base import Solver
from softunit.solvers.block_coordinate import BlockCoordinate
from softunit.solvers.gradient_descent import GradientDescent
from softunit.solvers.gradient_regularized_newton import GradientRegularizedNewton
from softunit.solvers.lbfgs import LBFGS
from softunit.solvers.newton import Newton
from softunit.solvers.proximal_newton import ProximalNewton
from softunit.solvers.search import Search
from softunit.solvers.sketched_newton import SketchedNewton
from softunit.solvers.zeroth_order import ZerothOrder

__all__ = [
    "BlockCoordinate",
    "GradientDescent",
    "GradientRegularizedNewton",
    "LBFGS",
    "Newton",
    "ProximalNewton",
    "SOLVERS",
    "Search",
    "SketchedNewton",
    "Solver",
    "ZerothOrder",
    "resolve_solver",
]
