"""Pure ranking: entries as values, their ranks, paired tests, and what stands at the top."""
