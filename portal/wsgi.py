"""The WSGI application."""

import os

from django.core.wsgi import get_wsgi_application

from portal import addresses
from portal.environment import read_environment

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
addresses.require_embedded(read_environment())
application = get_wsgi_application()
