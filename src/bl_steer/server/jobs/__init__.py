"""Jobs: the table that is the truth, leases, the worker, and the process that carries one out."""
