"""The reference federated baseline: a Flower app that fine-tunes LoRA adapters, and its simulation.

`python -m evaluation.federated` runs it on one machine; the folder `app` beside this file is the same
Flower app for `flwr run`.
"""
