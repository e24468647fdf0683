"""The child process that measures one unit or peer: python -m softunit.bench.attention.worker.

One line of JSON comes in: the plan, the kind and the name, and the parts to measure. Each line
that goes out is `{"part": ..., "found": ...}`, all that has been found of a part so far; the last
line of a part has "complete" in what was found. Whoever listens may kill it any time.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from typing import Any

from softunit._free_memory import free_memory
from softunit.bench.attention.plan import Plan
from softunit.bench.worker import own_output

Say = Callable[[dict[str, Any]], None]

MEMORY_SHARE = 0.6
"""Of the memory that is free, what one call may hold."""


def serve(order: dict[str, Any], say: Say) -> None:
    """Measure the parts that an order names.

    Parameters
    ----------
    order : dict
        plan, kind, name, parts.
    say : callable
        Takes each event.
    """
    from softunit.nn.workbench import set_threads

    plan = Plan.from_dict(order["plan"])
    set_threads(plan.threads)
    for part in order["parts"]:

        def keep(found: dict[str, Any], part: str = part) -> None:
            say({"part": part, "found": found})

        try:
            found = _measured(part, plan, order["kind"], order["name"], keep)
        except Exception as error:
            # One part may fail in a way of its own; the others are still measured.
            found = {"failed": f"{type(error).__name__}: {error}"[:400]}
        say({"part": part, "found": found | {"complete": True}})


def _measured(part: str, plan: Plan, kind: str, name: str, keep: Say) -> dict[str, Any]:
    from softunit.nn import workbench

    contender = workbench.peer_of(name) if kind == "peer" else workbench.unit_contender(name)
    if part not in ("memory", "times", "measures"):
        return _trained(part, contender, plan, keep)
    shape, said = workbench.fitted(contender, shape_of(plan))
    if shape is None:
        return {"refused": said}
    if part == "measures":
        return _kept(contender, shape, plan.seed, said)
    if part == "times":
        limits = workbench.Limits(plan.seconds)
        found = workbench.times(
            contender, shape, plan.lengths, limits, keep, compiled=plan.compiled, seed=plan.seed
        )
        return found | {"note": f"{said} {found['note']}".strip()}
    limits = workbench.Limits(plan.seconds, _most_bytes(plan.device))
    return workbench.memory(contender, shape, plan.lengths, limits, keep, seed=plan.seed)


def shape_of(plan: Plan) -> Any:
    """Return the shape of a plan, at its first length.

    Parameters
    ----------
    plan : Plan
    """
    from softunit.nn.workbench import Shape

    return Shape(
        plan.lengths[0],
        plan.batch,
        plan.heads,
        plan.width,
        plan.device,
        plan.dtype,
        plan.causal,
    )


def _most_bytes(device: str) -> float:
    from softunit.nn.workbench import free_on_device

    free = free_on_device(device) if device != "cpu" else free_memory()
    return float("inf") if free is None else MEMORY_SHARE * free


def _kept(contender: Any, shape: Any, seed: int, said: str) -> dict[str, Any]:
    """Return errors, row sums, entropy and the Lipschitz estimate."""
    from softunit.nn import workbench

    unit = getattr(contender, "unit", None)
    many = not (unit is not None and unit.pairs)
    one = dataclasses.replace(shape, batch=1, dtype="float32")
    two = dataclasses.replace(one, heads=2)
    if unit is None:
        error = workbench.peer_errors(contender, two.at(256), seed=seed)
        return {"error": error, "error_n": 256} if error else {}
    # As it goes at the lengths that are timed, with what is added there.
    unit, bias = contender.at_length, contender.bias
    at, rows = two.at(257 if many else 65), one.at(256 if many else 64)
    point = dataclasses.replace(one.at(64 if many else 24), heads=1)
    return {
        "error": dataclasses.asdict(workbench.errors(unit, at, seed=seed, bias=bias(at))),
        "error_n": at.n,
        "rows": dataclasses.asdict(workbench.rows_of(unit, rows, seed=seed, bias=bias(rows))),
        "rows_n": rows.n,
        "lipschitz": workbench.lipschitz(unit, point, seed=seed, bias=bias(point)),
        "lipschitz_n": point.n,
        "note": f"{said} {contender.inputs(at, seed)[1]}".strip(),
    }


def _trained(part: Any, contender: Any, plan: Plan, keep: Say) -> dict[str, Any]:
    from softunit.nn import workbench

    if contender.relative:
        return {
            "skipped": "the small models turn queries and keys by their places and add no bias;"
            f" {contender.unit.name} is trained without one."
        }
    training = workbench.training_of(
        part, plan.steps, seed=plan.seed, seconds=6 * plan.seconds + 60
    )
    return workbench.trained(part, contender.unit, training, keep, device=plan.device)


def main() -> None:
    """Serve the one line on standard input."""
    out = own_output()

    def say(event: dict[str, Any]) -> None:
        out.write(json.dumps(event) + "\n")
        out.flush()

    serve(json.loads(sys.stdin.readline()), say)


if __name__ == "__main__":
    main()
