"""The talk between a submission's team and the reviewers, with the reviewers' notes kept apart."""
