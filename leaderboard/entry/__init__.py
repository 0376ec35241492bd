"""What the page of one entry, and that of one benchmark, says."""
