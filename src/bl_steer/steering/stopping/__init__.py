"""When a search may end before its budget is spent: the rules, and who asks them.

`bl_steer.steering.loop` asks; a run's option `stop` says which rule.
"""
