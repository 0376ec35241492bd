"""The public log: signed statements about results and acts, which nobody can change unseen."""
