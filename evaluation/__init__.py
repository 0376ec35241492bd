"""Evaluation of federated fine-tuned language models: usable alone, without the site."""
