"""Commands of `manage.py` that read the boards."""
