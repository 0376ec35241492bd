"""Whose entries `manage.py seed` invents: they can be taken away again, so nothing is stated of them."""

ACCOUNT = "invented-entries"
