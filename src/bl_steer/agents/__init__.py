"""Agents: where to measure next.

Start with `make_agent`. `Space` says where one may measure; `BayesianAgent` is the one to use,
`ContinuousAgent` is plain BoTorch, the baselines learn nothing. Names load on first use, so that
importing this package, or a space, loads no torch.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
