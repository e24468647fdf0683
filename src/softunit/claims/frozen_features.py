"""Features of a network that was trained on other classes, frozen, under a linear classifier."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.svm import LinearSVC

from softunit._typing import Array, Matrix
from softunit.claims._digit_network import Network, trained, untrained
from softunit.claims.base import Claim, Effort, Evidence, Finding, Picture, Series
from softunit.claims.linear_evaluation import shots
from softunit.estimators import SoftmaxClassifier

SHOTS = (2, 5, 10, 20)
TEN = SHOTS.index(10)  # where the claim is measured; the others are for the picture
CS = (1.0, 10.0)  # of the classifiers; that with the higher mean counts, for pixels too
SIDES = {"as they are": 8, "placed at random on 12 by 12": 12}
MOVES = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))  # over which features are averaged
KINDS = ("pixels", "features", "averaged")
HEADS = ("linear SVM", "SoftmaxClassifier")

_PLACES, _NETWORKS, _SHOTS = range(3)  # streams of random numbers


@dataclass(frozen=True)
class Seen:
    """What was measured with one way to place the digits: means over networks and draws.

    Attributes
    ----------
    accuracy : dict of (head, kind) to ndarray of shape (len(SHOTS),)
    precision : dict of kind to float
        Mean average precision of the retrieval.
    source : float
        Accuracy on the digits that the networks were trained on.
    """

    accuracy: dict[tuple[str, str], Array]
    precision: dict[str, float]
    source: float


def measure(effort: Effort) -> Evidence:
    """Measure the claim.

    Parameters
    ----------
    effort : Effort
    """
    networks, draws = effort.count(5, least=1), effort.count(20, least=4)
    seen = {what: _seen(effort, side, networks, draws) for what, side in SIDES.items()}
    many = f"{networks} networks, {draws} draws each"
    findings = [one for what, found in seen.items() for one in _findings(found, what, many)]
    notes = [_note(found, what) for what, found in seen.items()]
    notes.append(
        "Digits of 8 by 8 are centred and of one size: a pixel means the same in all of them, which"
        " it does not in photographs. Digits at random places lack that too, so both are measured."
    )
    return Evidence(tuple(findings), tuple(notes), _picture(seen))


def _findings(seen: Seen, what: str, many: str) -> Iterator[Finding]:
    where = f"digits 5 to 9 {what}, {many}"
    for head in HEADS:
        gain = seen.accuracy[head, "features"][TEN] - seen.accuracy[head, "pixels"][TEN]
        yield Finding(
            f"10 rows of each class: accuracy of a {head} on features less that on pixels, {where}",
            gain,
            0.0,
            ">=",
        )
    gain = seen.precision["features"] - seen.precision["pixels"]
    yield Finding(
        f"retrieval: mean average precision by features less that by pixels, {where}",
        gain,
        0.0,
        ">=",
    )
    head = HEADS[0]
    by_average = seen.accuracy[head, "averaged"][TEN] - seen.accuracy[head, "features"][TEN]
    yield Finding(
        f"what averaging over moved copies adds to the accuracy of the {head}, {where}",
        by_average,
        0.0,
        ">=",
    )
    yield Finding(
        f"what it adds to the mean average precision, {where}",
        seen.precision["averaged"] - seen.precision["features"],
        0.0,
        ">=",
    )


def _note(seen: Seen, what: str) -> str:
    rows = [
        f"{head} on {kind} {seen.accuracy[head, kind][TEN]:.3f}" for head in HEADS for kind in KINDS
    ]
    precise = ", ".join(f"{kind} {value:.3f}" for kind, value in seen.precision.items())
    return (
        f"Digits {what}: accuracy at 10 shots of a {', '.join(rows)}; mean average precision by"
        f" {precise}. Averaged are features of a picture and of its copies moved by one pixel. On"
        f" digits 0 to 4, which they were trained on, the networks are right on {seen.source:.3f}."
    )


def _seen(effort: Effort, side: int, networks: int, draws: int) -> Seen:
    digits = load_digits()
    source, target = digits.target < 5, digits.target >= 5
    pictures, labels = digits.images / 16.0, digits.target
    precision: dict[str, list[float]] = {kind: [] for kind in KINDS}
    accuracy: dict[tuple[str, str, float], list[Array]] = {}
    right = []
    for seed in range(networks):
        effort.tick(f"pictures of side {side}, network {seed + 1} of {networks}")
        rng = effort.rng(_PLACES, side, seed)
        network = _network(effort, side, seed, pictures[source], labels[source])
        at_source = network.scores(placed(pictures[source], side, rng)).argmax(axis=1)
        right.append(float((at_source == labels[source]).mean()))
        shown, y = placed(pictures[target], side, rng), labels[target]
        for kind, rows in representations(network, shown).items():
            precision[kind].append(mean_average_precision(rows, y))
            for head in HEADS:
                for C in CS:
                    found = [_scores(effort.rng(_SHOTS, i), head, C, rows, y) for i in range(draws)]
                    accuracy.setdefault((head, kind, C), []).append(np.mean(found, axis=0))
    return Seen(
        {(head, kind): _better(accuracy, head, kind) for head in HEADS for kind in KINDS},
        {kind: float(np.mean(values)) for kind, values in precision.items()},
        float(np.mean(right)),
    )


def _better(accuracy: dict[tuple[str, str, float], list[Array]], head: str, kind: str) -> Array:
    each = [np.mean(accuracy[head, kind, C], axis=0) for C in CS]
    return max(each, key=lambda means: float(means[TEN]))


def _network(effort: Effort, side: int, seed: int, pictures: Array, labels: Array) -> Network:
    rng = effort.rng(_NETWORKS, side, seed)
    return trained(
        untrained(rng, side, 5),
        pictures,
        labels,
        rng,
        epochs=effort.count(20, least=6),
        vary=lambda some, draws: placed(some, side, draws),
    )


def _scores(rng: np.random.Generator, head: str, C: float, rows: Matrix, y: Array) -> Array:
    """Return the accuracy of a head at each number of shots, (len(SHOTS),)."""
    order, found = rng.permutation(len(y)), []
    for count in SHOTS:
        train, test = shots(y, order, count)
        model = _head(head, C).fit(rows[train], y[train])
        found.append(model.score(rows[test], y[test]))
    return np.array(found)


def _head(name: str, C: float) -> Any:
    if name == "SoftmaxClassifier":
        return SoftmaxClassifier(C=C)
    return LinearSVC(C=C, dual=False)


def placed(pictures: Array, side: int, rng: np.random.Generator) -> Array:
    """Return pictures on a larger ground, each at a random place, (n, side, side).

    Parameters
    ----------
    pictures : ndarray of shape (n, 8, 8)
    side : int
    rng : numpy.random.Generator
    """
    own = pictures.shape[1]
    ground = np.zeros((len(pictures), side, side))
    corners = rng.integers(0, side - own + 1, (len(pictures), 2))
    for each, picture, (i, j) in zip(ground, pictures, corners, strict=True):
        each[i : i + own, j : j + own] = picture
    return ground


def representations(network: Network, pictures: Array) -> dict[str, Matrix]:
    """Return pixels, features of length one, and the same averaged over moved copies.

    Parameters
    ----------
    network : Network
    pictures : ndarray of shape (n, side, side)
    """
    copies = [_of_length_one(network.features(_moved(pictures, *move))) for move in MOVES]
    return {
        "pixels": pictures.reshape(len(pictures), -1),
        "features": copies[0],
        "averaged": _of_length_one(np.mean(copies, axis=0)),
    }


def _moved(pictures: Array, down: int, right: int) -> Array:
    side = pictures.shape[1]
    padded = np.pad(pictures, ((0, 0), (1, 1), (1, 1)))
    return padded[:, 1 - down : 1 - down + side, 1 - right : 1 - right + side]


def _of_length_one(rows: Matrix) -> Matrix:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))


def mean_average_precision(rows: Matrix, y: Array) -> float:
    """Return how well the nearest rows, by angle, are of a row's own class, in (0, 1].

    Each row asks for all others; the precision after each hit is averaged, and so are the rows.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
    y : ndarray of shape (n,)
    """
    scaled = _of_length_one(rows)
    near = scaled @ scaled.T
    np.fill_diagonal(near, -np.inf)
    order = np.argsort(-near, axis=1, kind="stable")[:, :-1]
    hits = y[order] == y[:, None]
    precision = hits.cumsum(axis=1) / np.arange(1, len(y))
    return float(((precision * hits).sum(axis=1) / hits.sum(axis=1)).mean())


def _picture(seen: dict[str, Seen]) -> Picture:
    head = HEADS[0]
    lines = [
        Series(f"{kind}, {what}", SHOTS, tuple(found.accuracy[head, kind]))
        for what, found in seen.items()
        for kind in KINDS[:2]
    ]
    return Picture(
        "Digits 5 to 9, by a network that has seen only 0 to 4",
        "rows of each class",
        f"accuracy of a {head}",
        tuple(lines),
        log_x=True,
        caption="Mean over networks and draws; the claim is measured at ten rows of each class.",
    )


CLAIM = Claim(
    id="4.18",
    title="CNN Features off-the-shelf: an Astounding Baseline for Recognition",
    paper="arXiv 1403.6382",
    sentence=(
        "Features of a convolutional network trained on other classes, frozen and scaled to length"
        " one, make a linear classifier and a search for near pictures better than pixels do, and"
        " averaging them over varied copies helps."
    ),
    measure=measure,
)
