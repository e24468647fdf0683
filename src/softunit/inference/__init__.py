"""Standard errors, intervals and tests for models that are fitted by maximum likelihood."""

from softunit.inference.facts import Facts
from softunit.inference.hypotheses import LikelihoodRatioTest, WaldTest, likelihood_ratio_test
from softunit.inference.infer import infer
from softunit.inference.inference import Inference
from softunit.inference.methods import InferenceMethods
from softunit.inference.summary import Summary
from softunit.inference.variances import ErrorKind

__all__ = [
    "ErrorKind",
    "Facts",
    "Inference",
    "InferenceMethods",
    "LikelihoodRatioTest",
    "Summary",
    "WaldTest",
    "infer",
    "likelihood_ratio_test",
]
