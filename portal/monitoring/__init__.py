"""What operators' programs see of the site: numbers for Prometheus, and the id of a request in the log."""
