"""What a token may do: its scopes, on top of what its user may."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from portal.accounts.access import acts_as_staff, operates_here, trains_here
from portal.accounts.models import ApiToken

READ, SUBMIT = ApiToken.Scope.READ, ApiToken.Scope.SUBMIT


if TYPE_CHECKING:  # the settings name this module, and views read the settings
    from rest_framework.views import APIView


class InsufficientScope(PermissionDenied):
    default_code = "insufficient_scope"

    def __init__(self, scope: str) -> None:
        super().__init__(f"This token lacks the scope “{scope}”. Make one that has it on your account page.")
        # RFC 6750, section 3.1
        self.auth_header = f'Bearer realm="api", error="insufficient_scope", scope="{scope}"'


class HasScope(BasePermission):
    """Reading needs the scope `read`, everything else `submit`, unless the view has a `required_scope`.

    A view where that is "" takes any token. Sessions have no scopes: they may do what their user may.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not isinstance(request.auth, ApiToken):
            return True
        by_method = READ if request.method in SAFE_METHODS else SUBMIT
        scope = getattr(view, "required_scope", by_method)
        if scope and not request.auth.allows(scope):
            raise InsufficientScope(scope)
        return True


class StaffOnly(BasePermission):
    """Staff with a right, where the site asks for it with a second factor on their account."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        user = request.user
        if user.is_authenticated and user.is_staff and not acts_as_staff(user):
            raise PermissionDenied("Staff need a second factor on their account. Set one up on the site.")
        return self.has_right(user)

    def has_right(self, user: object) -> bool:
        raise NotImplementedError


class TrainsHere(StaffOnly):
    """Who may start training runs."""

    def has_right(self, user: object) -> bool:
        return trains_here(user)


class OperatesHere(StaffOnly):
    """Who tells workers and queues what to do."""

    def has_right(self, user: object) -> bool:
        return operates_here(user)
