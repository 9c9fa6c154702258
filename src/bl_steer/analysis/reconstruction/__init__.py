"""From slices to the report: aligned, segmented, super-resolved, measured, compared.

`Reconstruct` is the chain as one analysis, ``reconstruct``; `write_report` makes one HTML file of
its result, beside the truth where a simulator knows it. Names load on first use, so that importing
this package loads no torch.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
