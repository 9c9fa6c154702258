"""What foreign code runs in: bubblewrap, control groups, limits."""
