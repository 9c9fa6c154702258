"""What a search is told by others: points of earlier runs, and what the user asks for."""
