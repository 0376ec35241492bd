"""Every check of a submission before it is evaluated."""
