"""Units of attention side by side: what each costs, what it keeps, and how it trains."""

from softunit.bench.attention.pictures import as_text, draw_costs, draw_losses
from softunit.bench.attention.plan import LENGTHS, PARTS, Plan, check_device, parts_of
from softunit.bench.attention.runs import Row, run_rows
from softunit.bench.attention.summary import (
    Slope,
    bar_of,
    faults,
    met,
    record,
    resumed,
    slope_in,
    slope_of,
)

__all__ = [
    "LENGTHS",
    "PARTS",
    "Plan",
    "Row",
    "Slope",
    "as_text",
    "bar_of",
    "check_device",
    "draw_costs",
    "draw_losses",
    "faults",
    "met",
    "parts_of",
    "record",
    "resumed",
    "run_rows",
    "slope_in",
    "slope_of",
]
