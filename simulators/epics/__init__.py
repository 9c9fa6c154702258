"""A soft IOC: a simulated sample behind real Channel Access."""
