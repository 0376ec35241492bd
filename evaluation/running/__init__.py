"""A run of benchmarks on a model: planned, answered, judged, scored, with its provenance."""
