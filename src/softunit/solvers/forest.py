"""Blocks whose rows meet in a forest: their Newton systems are solved by passing messages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from softunit._typing import Array, Matrix
from softunit.designs.base import Design
from softunit.errors import InputError

Nodes = npt.NDArray[np.integer]


class Trees:
    """Sets of nodes that grow together: tells whether an edge would close a cycle.

    Parameters
    ----------
    size : int
        Nodes 0 to size - 1, each a tree of its own.
    """

    def __init__(self, size: int) -> None:
        self._above = list(range(size))

    def root(self, node: int) -> int:
        """Return the node that names the tree of a node."""
        above = self._above
        while above[node] != node:
            above[node] = above[above[node]]
            node = above[node]
        return node

    def fits(self, neighbours: Iterable[int]) -> bool:
        """Return whether a new node may join its neighbours: no two of them are in one tree."""
        roots = [self.root(other) for other in neighbours]
        return len(set(roots)) == len(roots)

    def join(self, node: int, neighbours: Iterable[int]) -> None:
        """Join a node to the trees of its neighbours."""
        for other in neighbours:
            self._above[self.root(other)] = self.root(node)


@dataclass(frozen=True)
class Forest:
    """A graph without cycles, its nodes by depth.

    Attributes
    ----------
    parent : ndarray of shape (m,)
        -1 for roots.
    levels : tuple of ndarray
        Nodes of depth 0, 1, 2, ...
    """

    parent: Nodes
    levels: tuple[Nodes, ...]

    @classmethod
    def of(cls, size: int, edges: npt.ArrayLike) -> Forest:
        """Return the forest of some edges, in time linear in their number.

        Parameters
        ----------
        size : int
            Nodes 0 to size - 1.
        edges : array_like of shape (e, 2)

        Raises
        ------
        InputError
            If the edges close a cycle; one that does is named.
        """
        pairs = np.asarray(edges, dtype=np.int64).reshape(-1, 2)
        both = np.concatenate([pairs, pairs[:, ::-1]])
        order = np.argsort(both[:, 0], kind="stable")
        ends, starts = both[order, 1].tolist(), both[order, 0]
        first = np.searchsorted(starts, np.arange(size + 1)).tolist()
        parent, depth = [-2] * size, [0] * size
        for root in range(size):
            if parent[root] != -2:
                continue
            parent[root], stack = -1, [root]
            while stack:
                node = stack.pop()
                skipped = False
                for other in ends[first[node] : first[node + 1]]:
                    if other == parent[node] and not skipped:
                        skipped = True  # the edge that led here; a second one is a cycle
                        continue
                    if parent[other] != -2:
                        raise InputError(
                            f"the graph is not a forest: the edge {node}-{other} closes a cycle."
                        )
                    parent[other], depth[other] = node, depth[node] + 1
                    stack.append(other)
        depths = np.asarray(depth)
        by_depth = np.argsort(depths, kind="stable")
        cuts = np.searchsorted(depths[by_depth], np.arange(1, int(depths.max(initial=0)) + 1))
        return cls(np.asarray(parent), tuple(np.split(by_depth, cuts)))

    def solve(self, diagonal: Array, links: Array, right: Array) -> Array:
        """Return the solution of a symmetric system that couples nodes along edges alone.

        Leaves send their parents what eliminating them leaves, and get back the solution::

            up    D_p -= E_j' D_j^-1 E_j,   r_p -= E_j' D_j^-1 r_j
            down  x_j = D_j^-1 (r_j - E_j x_p)

        All nodes of one depth at once: time is linear in the number of nodes.

        Parameters
        ----------
        diagonal : ndarray of shape (m, K, K)
            D_j, the blocks on the diagonal.
        links : ndarray of shape (m, K, K)
            E_j, the block in the rows of node j and the columns of its parent; not read at roots.
        right : ndarray of shape (m, K)

        Returns
        -------
        ndarray of shape (m, K)

        Raises
        ------
        LinAlgError
            If a block met on the way up is singular.
        """
        d, r = diagonal.astype(np.float64), right.astype(np.float64)
        x = np.zeros_like(r)
        back = np.zeros_like(d)  # D_j^-1 E_j
        for nodes in reversed(self.levels):
            inner = nodes[self.parent[nodes] >= 0]
            if not len(inner):
                continue
            e, above = links[inner], self.parent[inner]
            back[inner] = np.linalg.solve(d[inner], e)
            turned = np.swapaxes(back[inner], 1, 2)
            np.subtract.at(d, above, turned @ e)
            np.subtract.at(r, above, np.einsum("jab,jb->ja", turned, r[inner]))
        for nodes in self.levels:
            x[nodes] = np.linalg.solve(d[nodes], r[nodes][:, :, None])[:, :, 0]
            inner = nodes[self.parent[nodes] >= 0]
            if len(inner):
                x[inner] -= np.einsum("jab,jb->ja", back[inner], x[self.parent[inner]])
        return x


def meeting(design: Design) -> npt.NDArray[np.bool_]:
    """Return which columns of A share a row, (d, d): only they can meet in A' C A, C diagonal."""
    shared = np.zeros((design.shape[1], design.shape[1]), dtype=bool)
    for _, block in design.blocks():
        stored = (block.toarray() != 0).astype(np.float32)
        shared |= (stored.T @ stored) > 0
    return shared


def edges_among(adjacent: npt.NDArray[np.bool_], nodes: Nodes) -> npt.NDArray[np.int64]:
    """Return the edges between some nodes, (e, 2), as places in `nodes`."""
    part = np.triu(adjacent[np.ix_(nodes, nodes)], 1)
    return np.argwhere(part).astype(np.int64)


def forest_blocks(
    adjacent: npt.NDArray[np.bool_], order: Nodes, size: int, *, most: int | None = None
) -> tuple[Nodes, ...]:
    """Return blocks of nodes that each induce a forest: every node joins the first that it fits.

    Parameters
    ----------
    adjacent : ndarray of shape (d, d)
        Which nodes meet; the diagonal is not read.
    order : ndarray of int
        Nodes, first come first served.
    size : int
        Most nodes of a block.
    most : int or None, default None
        Stop when so many blocks have been begun and a node fits none of them: it is left out.
    """
    blocks: list[tuple[npt.NDArray[np.bool_], Trees]] = []
    for node in order.tolist():
        for members, trees in blocks:
            near = np.flatnonzero(adjacent[node] & members).tolist()
            if members.sum() < size and trees.fits(near):
                break
        else:
            if most is not None and len(blocks) >= most:
                continue
            members, trees, near = np.zeros(len(adjacent), dtype=bool), Trees(len(adjacent)), []
            blocks.append((members, trees))
        trees.join(node, near)
        members[node] = True
    return tuple(np.flatnonzero(members) for members, _ in blocks)


def tree_solve(hessian: Matrix, edges: npt.ArrayLike, right: Array) -> Array:
    """Return H^-1 right where the rows of x meet in a forest: linear time once H is formed.

    Parameters
    ----------
    hessian : ndarray of shape (m K, m K)
        For m rows of K entries, flattened row-major.
    edges : array_like of shape (e, 2)
        Rows that meet.
    right : ndarray of shape (m,) or (m, K)

    Raises
    ------
    InputError
        If the edges close a cycle.
    LinAlgError
        If a block is singular.
    """
    m = len(right)
    k = len(hessian) // m
    four = hessian.reshape(m, k, m, k)
    forest, nodes = Forest.of(m, edges), np.arange(m)
    above = np.maximum(forest.parent, 0)
    diagonal, links = four[nodes, :, nodes, :], four[nodes, :, above, :]
    return forest.solve(diagonal, links, right.reshape(m, k)).reshape(right.shape)
