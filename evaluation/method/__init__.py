"""A method: its card, its strategy, and what it communicates."""
