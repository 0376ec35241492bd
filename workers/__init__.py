"""Celery workers: they claim evaluations and supervise the process that runs the models."""
