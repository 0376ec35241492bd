#!/usr/bin/env python
"""Django's command line for this project."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    from django.core.management import execute_from_command_line

    from portal.machine import embedded

    try:
        execute_from_command_line(sys.argv)
    finally:
        # The settings may have started the embedded services; the last process that uses them stops them.
        embedded.stop_unless_used(embedded.default_state())


if __name__ == "__main__":
    main()
