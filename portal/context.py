"""What every page's template may use."""

from django.http import HttpRequest

from evaluation.challenges import CHALLENGES


def site(request: HttpRequest) -> dict[str, object]:
    """The challenges of the navigation, in board order."""
    return {"challenges": list(CHALLENGES.values())}
