"""Backups of a site, and the way back from one."""
