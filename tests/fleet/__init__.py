"""A fleet of three machines on one: namespaces with nothing shared, struck under load."""
