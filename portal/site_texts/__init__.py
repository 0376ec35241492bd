"""The operator's own pages: contact, imprint, terms and privacy, with texts to start from."""
