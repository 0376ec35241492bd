"""What the site's work needs and is away for a while: how work waits for it, and the record for operators."""
