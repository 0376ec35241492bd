"""Benchmarks. `make bench` runs them all and prints ratios against a peer measured in the same run."""
