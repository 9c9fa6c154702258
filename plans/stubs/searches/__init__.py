"""What a search is told by others: the points of earlier runs."""
