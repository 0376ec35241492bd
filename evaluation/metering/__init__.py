"""Measuring energy: counters of GPUs and processors, idle power, and who else they count."""
