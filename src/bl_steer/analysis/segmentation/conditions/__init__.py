"""How micrographs were recorded and how they look, beside those that a model was trained with.

`checks` says it to the user.
"""
