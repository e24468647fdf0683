"""Softmax kernels: two sweeps over the scores, with exp(x) as a mantissa and an exponent."""

from softunit.nn.softmax.tensors import two_pass_softmax
from softunit.nn.softmax.two_pass import exp_pairs, two_pass_blocks
from softunit.nn.softmax.two_pass import two_pass_softmax as two_pass_softmax_numpy

__all__ = ["exp_pairs", "two_pass_blocks", "two_pass_softmax", "two_pass_softmax_numpy"]
