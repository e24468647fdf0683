"""PyTorch parts: attention, losses, optimisers and softmax kernels (the extra `nn`)."""

from softunit.errors import MissingExtraError

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise MissingExtraError("softunit.nn (PyTorch)", "nn") from error

__all__: list[str] = []
