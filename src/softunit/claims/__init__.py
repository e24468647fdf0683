"""Claims of papers, turned into programs that anyone can run.

To add one: a file with a constant `CLAIM`, and here one import and one word in `CLAIMS`.
"""

from softunit.claims.aggregate_responses import CLAIM as AGGREGATE_RESPONSES
from softunit.claims.base import Claim, Effort, Evidence, Finding, Picture, Series
from softunit.claims.block_coordinate import CLAIM as BLOCK_COORDINATE
from softunit.claims.debiased_descent import CLAIM as DEBIASED_DESCENT
from softunit.claims.frozen_features import CLAIM as FROZEN_FEATURES
from softunit.claims.gradient_normalized_smoothness import CLAIM as GRADIENT_SMOOTHNESS
from softunit.claims.hydra import CLAIM as HYDRA
from softunit.claims.hyperbolic import CLAIM as HYPERBOLIC
from softunit.claims.in_context import CLAIM as IN_CONTEXT
from softunit.claims.kernelized_attention import CLAIM as KERNELIZED_ATTENTION
from softunit.claims.key_navigation import CLAIM as KEY_NAVIGATION
from softunit.claims.leverage_scores import CLAIM as LEVERAGE_SCORES
from softunit.claims.linear_evaluation import CLAIM as LINEAR_EVALUATION
from softunit.claims.linf_regression import CLAIM as LINF_REGRESSION
from softunit.claims.max_margin_attention import CLAIM as MAX_MARGIN_ATTENTION
from softunit.claims.minimal_transformer import CLAIM as MINIMAL_TRANSFORMER
from softunit.claims.nalaformer import CLAIM as NALAFORMER
from softunit.claims.numerical_stability import CLAIM as NUMERICAL_STABILITY
from softunit.claims.outcome import Outcome, measure, measure_all
from softunit.claims.presto import CLAIM as PRESTO
from softunit.claims.registry import chosen, in_order
from softunit.claims.sigmoid_attention import CLAIM as SIGMOID_ATTENTION
from softunit.claims.soft_attention import CLAIM as SOFT_ATTENTION
from softunit.claims.softmax_regression import CLAIM as SOFTMAX_REGRESSION
from softunit.claims.softplus_attention import CLAIM as SOFTPLUS_ATTENTION
from softunit.claims.tensor_attention import CLAIM as TENSOR_ATTENTION
from softunit.claims.two_layer import CLAIM as TWO_LAYER
from softunit.claims.two_pass_softmax import CLAIM as TWO_PASS_SOFTMAX
from softunit.claims.zeroth_order import CLAIM as ZEROTH_ORDER

CLAIMS: tuple[Claim, ...] = in_order(
    AGGREGATE_RESPONSES,
    BLOCK_COORDINATE,
    DEBIASED_DESCENT,
    FROZEN_FEATURES,
    GRADIENT_SMOOTHNESS,
    HYDRA,
    HYPERBOLIC,
    IN_CONTEXT,
    KERNELIZED_ATTENTION,
    KEY_NAVIGATION,
    LEVERAGE_SCORES,
    LINEAR_EVALUATION,
    LINF_REGRESSION,
    MAX_MARGIN_ATTENTION,
    MINIMAL_TRANSFORMER,
    NALAFORMER,
    NUMERICAL_STABILITY,
    PRESTO,
    SIGMOID_ATTENTION,
    SOFTMAX_REGRESSION,
    SOFTPLUS_ATTENTION,
    SOFT_ATTENTION,
    TENSOR_ATTENTION,
    TWO_LAYER,
    TWO_PASS_SOFTMAX,
    ZEROTH_ORDER,
)
"""All claims, sorted by id."""


def run(identity: str, effort: Effort | None = None) -> Outcome:
    """Measure the claim of this id.

    Parameters
    ----------
    identity : str
        As "0.4"; `CLAIMS` has them all.
    effort : Effort, optional
        Seed and share of the full size; by default seed 0 at full size.

    Returns
    -------
    Outcome
        With `verdict`, the findings in `evidence`, and the seconds it took. A claim that turns out
        false is a verdict, and so is a measurement that breaks off.

    Raises
    ------
    InputError
        If there is no such claim.
    """
    (claim,) = chosen([identity], CLAIMS)
    return measure(claim, Effort() if effort is None else effort)


__all__ = [
    "CLAIMS",
    "Claim",
    "Effort",
    "Evidence",
    "Finding",
    "Outcome",
    "Picture",
    "Series",
    "chosen",
    "in_order",
    "measure",
    "measure_all",
    "run",
]
