"""The numbered protocols and the challenges."""
