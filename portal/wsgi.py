"""The WSGI application."""

import os

from django.core.wsgi import get_wsgi_application

from portal import addresses, error_reports, tracing
from portal.environment import read_environment

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
_environment = read_environment()
addresses.require_embedded(_environment)
error_reports.start(_environment.sentry_dsn)
tracing.start(_environment.otel_exporter_otlp_endpoint, "flowertune-web")
application = get_wsgi_application()
