"""Small fits that several tests infer from."""

from __future__ import annotations

import numpy as np
from scipy import sparse

import softunit as su
from softunit._groups import Groups
from softunit.inference import infer
from softunit.units import GroupedSoftmax, Multinomial


def labelled(rng, n=300, d=4, K=3, size=1.0):
    """Rows, and labels drawn from a softmax of them."""
    A = rng.normal(size=(n, d))
    V = size * rng.normal(size=(d, K))
    return A, (A @ V + rng.gumbel(size=(n, K))).argmax(axis=1)


def fitted(A, y, *, C=np.inf, **settings):
    return su.SoftmaxClassifier(C=C, **{"tol": 1e-11, **settings}).fit(A, y)


def inferred(A, y, *, reference=0, **settings):
    return fitted(A, y, **settings).inference(A, y, reference=reference)


def direct(A, y, *, names=None, K=None, weights=None, facts=None):
    """Inference without an estimator: a design as it is, contrasts with the first class."""
    K = int(y.max()) + 1 if K is None else K
    problem = su.Problem(A, Multinomial(K), y, weights=weights)
    x = su.minimize(problem, solver="newton", tol=1e-12).x
    d = problem.shape[0]
    if K == 2:
        return infer(problem, x, names or [f"a{j}" for j in range(d)], facts=facts)
    contrasts = np.vstack([-np.ones(K - 1), np.eye(K - 1)])
    names = names or [f"a{j} of {k}" for j in range(d) for k in range(1, K)]
    basis = sparse.kron(sparse.eye_array(d), contrasts)
    return infer(problem, x, names, basis=basis, facts=facts)


def chosen(rng, sets=80, size=3, d=3):
    """Rows in mixed order, choices, and the set of each row."""
    A = rng.normal(size=(sets * size, d))
    utility = (A.sum(axis=1) + rng.gumbel(size=len(A))).reshape(sets, size)
    b = (utility == utility.max(axis=1, keepdims=True)).astype(float).ravel()
    mixed = rng.permutation(len(b))
    return A[mixed], b[mixed], np.repeat(np.arange(sets), size)[mixed]


def choice(A, b, labels, *, weights=None, facts=None):
    groups = Groups(labels)
    problem = su.Problem(A, GroupedSoftmax(groups), b, weights=weights)
    x = su.minimize(problem, solver="newton", tol=1e-12).x
    names = [f"x{j}" for j in range(A.shape[1])]
    return infer(problem, x, names, observations=groups, facts=facts)
