"""Small models trained to the same budget with each unit: text by characters, and recall."""

from __future__ import annotations

import dataclasses
import math
import time
from typing import Any, Literal

import torch

from softunit.errors import InputError
from softunit.nn.attention import AttentionUnit
from softunit.nn.studies.models import SequenceModel, Training, loss_of, score, train
from softunit.nn.studies.sequences import AssociativeRecall, CharacterText, Task, library_text
from softunit.nn.workbench.contenders import UnitContender
from softunit.nn.workbench.costs import Shape
from softunit.nn.workbench.ladders import Said

TaskName = Literal["text", "hidden", "recall"]

HIDDEN = 0.15
"""Share of characters that are hidden, for units that cannot be causal."""


def causal_refusal(unit: AttentionUnit) -> str:
    """Return the sentence with which a unit refuses to be causal, or an empty text.

    Parameters
    ----------
    unit : AttentionUnit
    """
    return UnitContender(unit.name, unit).missing(Shape(n=16, heads=1, width=16, causal=True))


def task_of(name: TaskName, *, length: int = 128) -> Task:
    """Return a task.

    Parameters
    ----------
    name : {"text", "hidden", "recall"}
        The next character of the standard library's docstrings; hidden characters of them, seen
        from both sides; and 16 pairs of 64 keys and 64 values, each key asked for its value.
    length : int, default 128
        Of the text.
    """
    if name == "recall":
        return AssociativeRecall(pairs=16, queries=16, keys=64, values=64)
    text = library_text().lower()
    return CharacterText(text, length, hidden=HIDDEN if name == "hidden" else 0.0)


def model_of(
    name: TaskName, task: Task, unit: AttentionUnit, *, causal: bool, seed: int = 0
) -> SequenceModel:
    """Return the model that is trained: one layer for recall, two for text; width 64, four heads.

    Parameters
    ----------
    name : {"text", "hidden", "recall"}
    task : Task
    unit : AttentionUnit
    causal : bool
    seed : int, default 0
    """
    recall = name == "recall"
    return SequenceModel(
        task.vocabulary,
        64,
        1 if recall else 2,
        4,
        unit=unit,
        causal=causal,
        shifted=recall,
        seed=seed,
    )


def training_of(name: TaskName, steps: int, *, seed: int = 0, seconds: float) -> Training:
    """Return the budget of a task: 16 sequences of text a step, or 32 of recall, at rate 5e-3.

    Parameters
    ----------
    name : {"text", "hidden", "recall"}
    steps : int
    seed : int, default 0
    seconds : float
        After which it stops, and says so.
    """
    rows = 32 if name == "recall" else 16
    return Training(steps=steps, rows=rows, rate=5e-3, seed=seed, seconds=seconds)


def trained(
    name: TaskName, unit: AttentionUnit, training: Training, said: Said, *, device: str = "cpu"
) -> dict[str, Any]:
    """Return the losses of a unit on a task, and how it does on what it was not trained on.

    Parameters
    ----------
    name : {"text", "hidden", "recall"}
        Recall is causal where the unit can be, and sees both sides elsewhere.
    unit : AttentionUnit
    training : Training
        The same for every unit; its seed is that of the parameters too.
    said : callable
        Told all losses, now and then.
    device : str, default "cpu"

    Returns
    -------
    dict
        refused (a sentence, and nothing else: the unit cannot, or would take longer than the
        seconds of the training), or causal, parameters, losses, stopped, seconds, loss and
        accuracy.
    """
    refusal = "" if name == "hidden" else causal_refusal(unit)
    if refusal and name == "text":
        return {"refused": refusal}
    causal = name != "hidden" and not refusal
    task = task_of(name)
    model = model_of(name, task, unit, causal=causal, seed=training.seed).to(device)
    slow = _too_slow(model, task, training)
    if slow:
        return {"refused": slow}
    losses: list[float] = []
    size = sum(p.numel() for p in model.parameters())
    found: dict[str, Any] = {"causal": causal, "parameters": size, "losses": losses}

    def watch(step: int, loss: float) -> None:
        losses.append(loss)
        if step % 20 == 0:
            said(found)

    curve = train(model, task, training, watch=watch)
    found |= {"losses": list(curve.losses), "stopped": curve.stopped, "seconds": curve.seconds}
    if curve.stopped and "refused" in curve.stopped:
        return found
    try:
        return found | dataclasses.asdict(score(model, task))
    except InputError as error:
        return found | {"stopped": f"after training the unit refused its input: {error}"}


def _too_slow(model: SequenceModel, task: Task, training: Training) -> str:
    """Return that the steps would take longer than there is time, or an empty text."""
    batch = task.draw(1, torch.Generator().manual_seed(training.seed))
    batch = batch.to(next(model.parameters()).device)
    taken = math.inf
    for _ in range(2):  # the first makes what is made once
        begin = time.perf_counter()
        try:
            loss_of(model, batch).backward()
        except InputError as error:
            return str(error)
        taken = min(taken, time.perf_counter() - begin)
    model.zero_grad(set_to_none=True)
    # A batch is faster than its sequences one by one, by about two.
    foretold = taken * max(1.0, training.rows / 2) * training.steps
    if foretold < training.seconds:
        return ""
    return (
        f"{training.steps} steps of {training.rows} sequences would take about"
        f" {foretold / 60:,.0f} minutes or more; a training may take {training.seconds:,.0f} s."
    )
