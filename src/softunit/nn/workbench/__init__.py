"""The workbench: what each unit costs, what it keeps, and its peers on the same tensors."""

from softunit.nn.workbench.contenders import (
    Contender,
    UnitContender,
    fitted,
    unit_contender,
    unit_names,
)
from softunit.nn.workbench.costs import (
    Inputs,
    LargestTensor,
    Shape,
    accepted,
    best_seconds,
    draw,
    forward,
    forward_backward,
    largest,
    peak_bytes,
)
from softunit.nn.workbench.devices import device_fault, free_on_device, set_threads
from softunit.nn.workbench.ladders import Limits, memory, times
from softunit.nn.workbench.measures import Errors, Rows, errors, lipschitz, peer_errors, rows_of
from softunit.nn.workbench.peers import PAPERS, PEERS, Peer, peer_of, versions
from softunit.nn.workbench.training import (
    TaskName,
    causal_refusal,
    model_of,
    task_of,
    trained,
    training_of,
)

__all__ = [
    "Contender",
    "Errors",
    "Inputs",
    "LargestTensor",
    "Limits",
    "PAPERS",
    "PEERS",
    "Peer",
    "Rows",
    "Shape",
    "TaskName",
    "UnitContender",
    "accepted",
    "best_seconds",
    "causal_refusal",
    "device_fault",
    "draw",
    "errors",
    "fitted",
    "forward",
    "forward_backward",
    "free_on_device",
    "largest",
    "lipschitz",
    "memory",
    "model_of",
    "peak_bytes",
    "peer_errors",
    "peer_of",
    "rows_of",
    "set_threads",
    "task_of",
    "times",
    "trained",
    "training_of",
    "unit_contender",
    "unit_names",
    "versions",
]
