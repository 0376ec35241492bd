"""All public data as files, every night, and a read-only mirror of a site that is made from them."""
