"""Whether this machine can run the site, with a remedy for what hinders it: `manage.py check --tag site`."""
