"""A minimal transformer: one symmetric matrix in a layer tells digits as well as all of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from softunit.claims.base import Claim, Effort, Evidence, Finding, Picture, Series

SEEDS, EPOCHS = 4, 30
TRAINING = 1200  # of the 1,797 digits
NAMES = {
    "full": "full",
    "without mlp": "no MLP",
    "collapsed": "collapsed W",
    "symmetric": "symmetric W",
}

Runs = dict[str, list[Any]]
"""For each kind what was trained, one for each seed."""


def measure(effort: Effort) -> Evidence:
    """Measure collapsed scores against projected ones, and small models of digits against whole.

    Parameters
    ----------
    effort : Effort
        At a share below one: fewer seeds. Epochs stay: less training leaves the small one behind.
    """
    from softunit.nn.studies import minimal_transformer as study

    effort.tick("scores through one matrix and through two")
    errors = [_collapse_error(effort.rng(0, draw), heads) for draw, heads in enumerate((1, 2, 8))]
    train, test = digits(effort.rng(1))
    plan = study.Plan(epochs=EPOCHS)
    runs: Runs = {}
    for kind in study.KINDS:
        runs[kind] = []
        for seed in range(effort.count(SEEDS)):
            effort.tick(f"digits: {NAMES[kind]}, seed {seed}")
            run = study.train_and_test(kind, train, test, plan=plan, seed=effort.seed + seed)
            runs[kind].append(run)
    return Evidence(_findings(errors, runs, len(test[1])), _notes(runs), _picture(runs))


def digits(
    rng: np.random.Generator,
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return scikit-learn's digits as 16 patches of 2 by 2 pixels, in [0, 1]: to learn, to tell.

    Parameters
    ----------
    rng : numpy.random.Generator
        Draws which are which.
    """
    from sklearn.datasets import load_digits

    pictures, labels = load_digits(return_X_y=True)
    patches = (pictures / 16).reshape(-1, 4, 2, 4, 2).swapaxes(2, 3).reshape(-1, 16, 4)
    order = rng.permutation(len(labels))
    learn, tell = order[:TRAINING], order[TRAINING:]
    return (patches[learn], labels[learn]), (patches[tell], labels[tell])


def _collapse_error(rng: np.random.Generator, heads: int) -> float:
    from softunit.nn.studies.minimal_transformer import collapse_error

    query, key = rng.standard_normal((2, 32, 32)) / np.sqrt(32)
    return collapse_error(query, key, rng.standard_normal((2, 50, 32)), heads)


def _findings(errors: list[float], runs: Runs, rows: int) -> tuple[Finding, ...]:
    mean = {kind: 100 * float(np.mean([r.accuracy for r in kept])) for kind, kept in runs.items()}
    small, whole = runs["symmetric"][0].parameters, runs["full"][0].parameters
    where = f"mean of {len(runs['full'])} seeds on {rows} digits"
    return (
        Finding(
            "largest error of scores through W = W_Q W_K', relative, 1, 2 and 8 heads",
            max(errors),
            1e-6,
        ),
        Finding(
            f"points of accuracy below the full transformer, minimal one, {where}",
            mean["full"] - mean["symmetric"],
            1.0,
        ),
        Finding(f"percent of its parameters ({small:,} of {whole:,})", 100 * small / whole, 20.0),
    )


def _notes(runs: Runs) -> tuple[str, ...]:
    told = "; ".join(
        f"{NAMES[kind]} {', '.join(f'{100 * r.accuracy:.1f}' for r in kept)} percent with"
        f" {kept[0].parameters:,} parameters"
        for kind, kept in runs.items()
    )
    return (
        f"Each seed: {told}.",
        "The minimal variant has no MLP, no values and outputs, and W = L L' with a triangular L:"
        " 528 parameters in each of 4 layers of width 32, where the full transformer has 12,512."
        " Tokens, layer norms, residual sums and the read-out of all 16 tokens are the same.",
    )


def _picture(runs: Runs) -> Picture:
    series = []
    for kind, kept in runs.items():
        losses = np.mean([run.losses for run in kept], axis=0)
        epochs = tuple(range(1, len(losses) + 1))
        series.append(Series(NAMES[kind], epochs, tuple(losses.tolist())))
    return Picture(
        "Digits as 16 patches",
        "epoch",
        "training loss, nats",
        tuple(series),
        log_y=True,
        caption="Means over seeds; accuracy on digits not trained on is in the notes.",
    )


CLAIM = Claim(
    id="2.22",
    title="Reducing the transformer architecture to a minimum",
    paper="arXiv 2410.13732",
    sentence=(
        "A transformer without MLP, with query and key collapsed into one symmetric matrix and with"
        " neither values nor outputs tells classes as well as a whole one, with a seventh of"
        " its parameters."
    ),
    measure=measure,
)
