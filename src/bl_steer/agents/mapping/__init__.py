"""Goals beside the brightest spot: the whole map, or where the target crosses a level.

`bl_steer.agents.bayesian` uses what is here. Importing this package loads no torch.
"""
