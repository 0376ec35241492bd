"""What a submission resembles: `report` is what its reviewers read, and asks for it to be found.

`search` finds it in a worker, by `adapters` (updates, in sketches and files) and `answers` (equal mistakes).
Those three need numpy; pages import the names below alone.
"""

from portal.review.resemblance.report import Likeness, Resemblance, Resembling, ask, resembling

__all__ = ["Likeness", "Resemblance", "Resembling", "ask", "resembling"]
