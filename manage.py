#!/usr/bin/env python
"""Django's command line for this project. Starts the embedded services for the commands that use them."""

import os
import sys
from contextlib import nullcontext

# What reads code and settings alone. A command that is not named here may use database and broker.
WITHOUT_SERVICES = frozenset(
    {"check", "collectstatic", "diffsettings", "findstatic", "help", "makemessages", "spectacular", "version"}
)
ASKS_ABOUT_A_COMMAND = frozenset({"-h", "--help", "--version"})


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from django.db import OperationalError, ProgrammingError

    from portal.environment import read_environment
    from portal.machine import embedded
    from portal.machine.daemons import ServiceError

    try:
        services = embedded.running(read_environment()) if uses_services(sys.argv[1:]) else nullcontext()
        with services:
            try:
                execute_from_command_line(sys.argv)
            except ProgrammingError:
                from portal.control.versions import unapplied

                if not (lacking := unapplied()):
                    raise
                sys.exit(f"The database lacks {len(lacking)} migrations: run manage.py migrate first.")
    except (ImproperlyConfigured, ServiceError) as error:
        sys.exit(f"{error}")
    except OperationalError:
        from portal.site_checks.of_services import why_database_is_away

        if (reason := why_database_is_away()) is None:
            raise  # it answers: what a statement met is the command's own affair
        sys.exit(
            f"The database does not answer: {reason}\n"
            "Start PostgreSQL, or mend DATABASE_URL; manage.py check --tag site looks at the rest."
        )


def uses_services(arguments: list[str]) -> bool:
    command = next((word for word in arguments if not word.startswith("-")), "help")
    return command not in WITHOUT_SERVICES and ASKS_ABOUT_A_COMMAND.isdisjoint(arguments)


if __name__ == "__main__":
    main()
