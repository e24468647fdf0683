"""Units of attention side by side: what each costs, what it keeps, and how it trains."""

from softunit.bench.attention.pictures import as_text, draw_costs, draw_losses
from softunit.bench.attention.plan import LENGTHS, PARTS, Plan, check_device, parts_of
from softunit.bench.attention.runs import Row, run_rows
from softunit.bench.attention.summary import Slope, faults, record, resumed, slope_of

__all__ = [
    "LENGTHS",
    "PARTS",
    "Plan",
    "Row",
    "Slope",
    "as_text",
    "check_device",
    "draw_costs",
    "draw_losses",
    "faults",
    "parts_of",
    "record",
    "resumed",
    "run_rows",
    "slope_of",
]
