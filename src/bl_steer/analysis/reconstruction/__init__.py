"""From slices to the report: aligned, segmented, super-resolved, measured, compared.

`analysis` is the chain as one analysis, ``reconstruct``; `report` makes one HTML file of its
result, beside the truth where a simulator knows it.
"""
