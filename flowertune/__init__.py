"""The command line for participants: `flowertune`, a client of a site's REST API without Django or models."""
