"""Pages of operation."""

from __future__ import annotations

from django.conf import settings
from django.db import connection
from django.db.utils import OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse

from portal import valkey
from portal.control import unready


def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return HttpResponse("ok\n", content_type="text/plain")


def readyz(request: HttpRequest) -> HttpResponse:
    """The process and what it needs answer, and the migrations are applied; 503 naming what is not so."""
    is_there = _database_answers()
    reason = unready.reason() if is_there else ""
    checks: dict[str, object] = {
        "database": is_there,
        "broker": valkey.answers(settings.REDIS_URL),
        "migrations": is_there and not reason,
    }
    status = 200 if all(checks.values()) else 503
    return JsonResponse(checks | ({"reason": reason} if reason else {}), status=status)


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except OperationalError:
        return False
    return True
