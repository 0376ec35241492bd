"""Reads what the portal published and shows it: ranking, boards, entries. Owns no tables."""
