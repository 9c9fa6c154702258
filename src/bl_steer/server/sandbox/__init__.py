"""The walls around foreign code: bubblewrap, control groups, limits."""
