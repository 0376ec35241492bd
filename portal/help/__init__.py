"""Pages that explain what the site says: the codes of findings."""
