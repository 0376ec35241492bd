"""How a submission comes in: drafts, checks, stored files, quotas, the form, the hub, the board of old."""
