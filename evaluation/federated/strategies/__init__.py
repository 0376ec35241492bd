"""What computes in a round: one module a strategy. What each is stands in `evaluation.method.strategies`."""
