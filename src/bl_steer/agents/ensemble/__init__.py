"""Parts of the surrogate: noise by known ratios, and the factors of thousands of points.

The surrogate itself is `bl_steer.agents.surrogate`, its exact factors `bl_steer.agents.factors`.
"""
