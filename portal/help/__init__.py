"""Pages that explain the site: its documentation, with a search, and the codes of findings."""
