"""Faults injected into a whole site at work, by one command: `python -m tests.faults`."""
