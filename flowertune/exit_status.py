"""How a command ends: exit statuses, a stable interface for scripts."""

from __future__ import annotations

import os
from enum import IntEnum


class Status(IntEnum):
    """`TEMPORARY` is sysexits.h's EX_TEMPFAIL, `INTERRUPTED` what shells report after Ctrl-C."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    EVALUATION_FAILED = 3
    TEMPORARY = os.EX_TEMPFAIL
    INTERRUPTED = 130


EXIT_STATUSES = """\
exit status:
  0    done
  1    refused: the findings or the message say why; the same call will be refused again
  2    the command line is wrong or lacks something
  3    the evaluation failed
  75   temporary: the network, a limit or the site; the same call goes on where this one stopped
  130  interrupted with Ctrl-C; the same call goes on where this one stopped
"""
