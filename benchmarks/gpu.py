"""A GPU against the CPU, and the largest probe: python -m benchmarks.gpu --json FILE.

Two parts, for PyTorch tensors on the device:

- parity: moderate problems are fitted there and with NumPy; coefficients must agree to 1e-6;
- a probe of ImageNet's shape: 1,281,167 rows of 768 features, float32, made on the device from a
  seed, and labels of 1,000 classes from a noisy planted model, fitted until the largest entry of
  the gradient is 1e-6. The gradient is then computed anew in float64 by a few lines of PyTorch.

Where there is no GPU the program says so and ends well; `--device cpu` runs it all the same, for
which the probe should be made small (--rows, --columns, --classes).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import softunit as su
from softunit.bench.machine import about, physical_cores

GB = 1e9
ENTRIES = 1 << 24  # of a block that is made or judged at once
SPREAD = 4.0  # standard deviation of the planted scores
NOISE = 0.05  # share of the labels drawn from all classes alike
AGREE = 1e-6
NO_GPU = (
    "There is no GPU here that PyTorch can use ({why}): nothing was measured. Name a device with"
    " --device; --device cpu runs the same program on the CPU."
)


@dataclass(frozen=True)
class Shape:
    """Rows, columns, classes, and the strength of the penalty."""

    rows: int = 1_281_167
    columns: int = 768
    classes: int = 1000
    C: float = 1.0
    seed: int = 0


PARITY = (
    Shape(20_000, 20, 2),
    Shape(20_000, 50, 10, C=0.1),
    Shape(5_000, 300, 40, C=0.01),
    Shape(60_000, 30, 5, C=1e-3),
)
SMALL_PARITY = (Shape(2_000, 6, 2), Shape(2_000, 8, 4, C=0.1))


def found_device() -> tuple[str | None, str]:
    """Return the device to use, or None and why there is none."""
    if importlib.util.find_spec("torch") is None:
        return None, "PyTorch is not installed"
    import torch

    if torch.cuda.is_available():
        return "cuda", ""
    if torch.backends.mps.is_available():
        return "mps", ""
    return None, f"PyTorch {torch.__version__} finds neither CUDA nor Apple's GPU"


def planted(shape: Shape, device: str) -> tuple[Any, Any]:
    """Return features (n, d), float32, and labels (n,) on the device, the same for one seed.

    Features are correlated, with a spectrum that falls with the rank, and not centred, as those of
    a frozen network are.
    """
    import torch

    n, d, k = shape.rows, shape.columns, shape.classes
    draw = torch.Generator(device=device).manual_seed(shape.seed)
    options = {"generator": draw, "device": device, "dtype": torch.float32}
    mix = torch.randn((d, d), **options) / math.sqrt(d)
    mix *= torch.arange(1, d + 1, device=device)[:, None] ** -0.5
    means = 0.5 * torch.randn(d, **options)
    model = torch.randn((d, k), **options)
    model *= SPREAD / (mix @ model).norm(dim=0).mean()
    X = torch.empty((n, d), dtype=torch.float32, device=device)
    y = torch.empty(n, dtype=torch.int64, device=device)
    for part in _parts(n, max(d, k)):
        m = part.stop - part.start
        X[part] = torch.randn((m, d), **options) @ mix
        scores = X[part] @ model
        times = torch.empty_like(scores).exponential_(generator=draw)
        y[part] = (times.clamp_min(1e-30).log() - scores).argmin(dim=1)
        replaced = torch.rand(m, **options) < NOISE
        others = torch.randint(k, (m,), generator=draw, device=device)
        y[part] = torch.where(replaced, others, y[part])
        X[part] += means
    return X, y


def judged(X: Any, y: Any, C: float, W: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Return the mean objective and the largest entry of its gradient, in float64.

    Parameters
    ----------
    X, y : torch.Tensor of shape (n, d) and (n,)
    C : float
    W : ndarray of shape (d, K), or (d, 1) for two classes
    b : ndarray of shape (K,) or (1,)
    """
    import torch

    # Apple's devices have no float64: there the CPU is the judge.
    home = {"dtype": torch.float64, "device": "cpu" if X.device.type == "mps" else X.device}
    w, shift = torch.tensor(W, **home), torch.tensor(b, **home)
    n, ridge = len(X), 1.0 / (C * len(X))
    value, G, g = 0.0, torch.zeros_like(w), torch.zeros_like(shift)
    for part in _parts(n, max(X.shape[1], w.shape[1])):
        a, own = X[part].to(**home), y[part].to(home["device"])
        z = a @ w + shift
        if z.shape[1] == 1:
            z = torch.cat([torch.zeros_like(z), z], dim=1)
        p = torch.log_softmax(z, dim=1)
        value -= float(p.gather(1, own[:, None]).sum()) / n
        p = p.exp_()
        p[torch.arange(len(p), device=p.device), own] -= 1
        p = p[:, -w.shape[1] :] / n
        G += a.T @ p
        g += p.sum(dim=0)
    G += ridge * w
    largest = max(float(G.abs().max()), float(g.abs().max()))
    return value + 0.5 * ridge * float((w * w).sum()), largest


def _parts(n: int, width: int) -> list[slice]:
    size = max(1, ENTRIES // width)
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def fitted(X: Any, y: Any, shape: Shape, tol: float) -> su.SoftmaxClassifier:
    """Return a classifier fitted to rows wherever they are."""
    return su.SoftmaxClassifier(shape.C, tol=tol, max_iter=500).fit(X, y)


def coefficients(model: su.SoftmaxClassifier) -> tuple[np.ndarray, np.ndarray]:
    """Return the coefficients (d, K) and intercepts of a model as NumPy arrays."""
    both = (model.coef_, model.intercept_)
    W, b = (a.cpu().numpy() if hasattr(a, "cpu") else np.asarray(a) for a in both)
    return W.T.astype(np.float64), b.astype(np.float64)


def parity(shape: Shape, device: str, tol: float = 1e-10) -> dict[str, Any]:
    """Return how far a fit on the device is from one with NumPy, for float64 and float32."""
    X, y = planted(shape, device)
    told: dict[str, Any] = asdict(shape)
    for name in ("float64", "float32"):
        rows = X if name == "float32" else _double(X)
        moved = fitted(su.designs.TensorDesign(rows), y.cpu().numpy(), shape, tol)
        here = fitted(rows.cpu().numpy(), y.cpu().numpy(), shape, tol)
        (W, b), (V, c) = coefficients(moved), coefficients(here)
        told[name] = {
            "apart": max(float(np.abs(W - V).max()), float(np.abs(b - c).max())),
            "values_apart": abs(moved.solution_.value - here.solution_.value),
            "gap_bounds": [moved.certificate_.gap_bound, here.certificate_.gap_bound],
            "seconds": [moved.solution_.seconds, here.solution_.seconds],
        }
    return told


def _double(X: Any) -> Any:
    return X if X.device.type == "mps" else X.double()


def probe(shape: Shape, device: str, tol: float) -> dict[str, Any]:
    """Return what a fit of a large probe took, and its gradient by another program."""
    import torch

    begin = perf_counter()
    X, y = planted(shape, device)
    labels = y.cpu().numpy()  # waits for the device
    made = perf_counter() - begin
    cuda = X.device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    begin = perf_counter()
    model = fitted(su.designs.TensorDesign(X), labels, shape, tol)
    seconds = perf_counter() - begin
    solution, peak = model.solution_, torch.cuda.max_memory_allocated() if cuda else None
    W, b = coefficients(model)
    begin = perf_counter()
    value, gradient = judged(X, y, shape.C, W, b)
    return asdict(shape) | {
        "bytes": X.nbytes,
        "made_seconds": made,
        "seconds": seconds,
        "run_seconds": solution.seconds,
        "judged_seconds": perf_counter() - begin,
        "n_iter": solution.n_iter,
        "products": solution.cost.products,
        "rows_over_n": solution.cost.rows / shape.rows,
        "peak_bytes": peak,
        "converged": bool(solution.converged),
        "value": value,
        "own_value": solution.value,
        "gradient": gradient,
        "own_gradient": solution.gradient_norm,
        "gap_bound": model.certificate_.gap_bound,
    }


def bars(found: dict[str, Any], tol: float) -> dict[str, bool]:
    """Return which bars are met: parity with the CPU, and the probe's gradient."""
    apart = [one[name]["apart"] for one in found["parity"] for name in ("float64", "float32")]
    met = {"parity": max(apart) <= AGREE}
    if found["probe"] is not None:
        one = found["probe"]
        met["probe"] = bool(one["converged"] and one["gradient"] <= tol)
    return met


def report(found: dict[str, Any]) -> str:
    """Return what was found, for people."""
    lines = [f"device {found['device']}: {found['name']}"]
    for one in found["parity"]:
        shape = f"{one['rows']} x {one['columns']}, K = {one['classes']}"
        for name in ("float64", "float32"):
            two = one[name]
            there, here = two["seconds"]
            lines.append(
                f"{shape}, {name}: {two['apart']:.1e} apart; {there:.2f} s there, {here:.2f} s here"
            )
    one = found["probe"]
    if one is not None:
        peak = "" if one["peak_bytes"] is None else f", {one['peak_bytes'] / GB:.1f} GB at most"
        lines.append(
            f"probe {one['rows']} x {one['columns']}, K = {one['classes']}"
            f" ({one['bytes'] / GB:.2f} GB): gradient {one['gradient']:.1e} in"
            f" {one['seconds']:.1f} s, {one['n_iter']} iterations, rows read"
            f" {one['rows_over_n']:.1f} times{peak}"
        )
    lines += [f"{name}: {'met' if met else 'MISSED'}" for name, met in found["met"].items()]
    return "\n".join(lines)


def device_name(device: str) -> str:
    """Return what the maker calls a device."""
    import torch

    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def options() -> argparse.ArgumentParser:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu")
    parser.description = __doc__.partition(":")[0]
    parser.add_argument("--device", help="as PyTorch calls it; the first GPU if not given")
    parser.add_argument("--rows", type=int, default=Shape.rows)
    parser.add_argument("--columns", type=int, default=Shape.columns)
    parser.add_argument("--classes", type=int, default=Shape.classes)
    parser.add_argument("--C", type=float, default=Shape.C)
    parser.add_argument("--seed", type=int, default=Shape.seed)
    parser.add_argument("--tol", type=float, default=1e-6)
    parser.add_argument("--parity", choices=["full", "small"], default="full")
    parser.add_argument("--no-probe", action="store_true", help="parity with the CPU only")
    parser.add_argument("--json", type=Path, help="where the figures are written")
    return parser


def main() -> int:
    """Measure, print, and return 1 where a bar is missed."""
    given = options().parse_args()
    device, why = (given.device, "") if given.device else found_device()
    if device is None:
        print(NO_GPU.format(why=why))
        return 0
    shape = Shape(given.rows, given.columns, given.classes, given.C, given.seed)
    some = PARITY if given.parity == "full" else SMALL_PARITY
    found: dict[str, Any] = {
        "device": device,
        "name": device_name(device),
        "machine": about(physical_cores(), ()),
        "parity": [parity(one, device) for one in some],
        "probe": None if given.no_probe else probe(shape, device, given.tol),
    }
    found["met"] = bars(found, given.tol)
    print(report(found))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return 0 if all(found["met"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
