"""What every page's template may use."""

from functools import partial

from django.conf import settings
from django.http import HttpRequest
from django.utils.encoding import escape_uri_path

from evaluation.rules.challenges import CHALLENGES, PAPER
from portal.accounts.access import operates_here
from portal.accounts.second_factor import passkeys_possible
from portal.client.install import install_command
from portal.control import maintenance
from portal.dumps.mirroring import mirrored
from portal.review import waiting


def site(request: HttpRequest) -> dict[str, object]:
    """The challenges of the navigation in board order, the benchmark's paper on arXiv, what a page's
    metadata are made of, the command that installs the client, and what account pages say of mail, passkeys,
    staff and other sites; how many cases wait for a reviewer; why the
    site is under maintenance, if it is; and of a mirror, whose.

    `canonical` is the page's own address, of a mirror's page that of the site that it mirrors: filters and
    sorting show the same page in another way.
    """
    mirror = mirrored()
    return {
        "challenges": list(CHALLENGES.values()),
        "benchmark_paper": PAPER,
        "site_url": settings.SITE_URL,
        "canonical": (mirror.site if mirror else settings.SITE_URL) + escape_uri_path(request.path),
        "has_mail_server": settings.EMAIL_FILE_PATH is None,
        "has_passkeys": passkeys_possible(),
        # Where a page names it: the page that refuses a wrong host must not ask for the host.
        "install_client": partial(install_command, request),
        # Asked by the header alone; None for everybody but reviewers.
        "operates": partial(_operates, request),
        "cases_waiting": partial(_cases_waiting, request),
        "mirror": mirror,
        "maintenance": maintenance.current(),
        "staff_second_factor": settings.STAFF_SECOND_FACTOR,
        "sign_in_elsewhere": any(kind["APPS"] for kind in settings.SOCIALACCOUNT_PROVIDERS.values()),
    }


def _operates(request: HttpRequest) -> bool:
    return operates_here(getattr(request, "user", None))


def _cases_waiting(request: HttpRequest) -> int | None:
    # The page that says the database is away has no user.
    return waiting.count_for(getattr(request, "user", None))
