"""The Django project and everything that writes."""
