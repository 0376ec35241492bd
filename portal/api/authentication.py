"""Bearer tokens: `Authorization: Bearer ftl_…`."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone
from drf_spectacular.authentication import SessionScheme
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from portal.accounts.models import ApiToken, User

# The time of last use is shown by the minute; writing it at every request would be waste.
LAST_USED_STEP = timedelta(minutes=1)


class TokenAuthentication(BaseAuthentication):
    """Recognises a user by an API token made on the account page."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        scheme, _, secret = get_authorization_header(request).partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        try:
            text = secret.strip().decode("ascii")
        except UnicodeDecodeError as error:
            raise AuthenticationFailed("The token holds characters that no token has.") from error
        token = ApiToken.objects.select_related("user").filter(digest=ApiToken.digest_of(text)).first()
        if token is None:
            raise AuthenticationFailed("This token is not known. Make one on your account's API tokens page.")
        if token.revoked_at:
            raise AuthenticationFailed(
                f"The token “{token.name}” was revoked. Make a new one on your account page."
            )
        if token.has_expired:
            raise AuthenticationFailed(
                f"The token “{token.name}” expired on {token.expires_at:%Y-%m-%d}. "
                "Make a new one on your account page."
            )
        if not token.user.is_active:
            raise AuthenticationFailed("The account of this token is disabled.")
        now = timezone.now()
        if token.last_used_at is None or now - token.last_used_at > LAST_USED_STEP:
            ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


class TokenScheme(OpenApiAuthenticationExtension):
    target_class = "portal.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A token from your account's API tokens page.",
        }


class HeaderOnlySessionScheme(SessionScheme):
    """A session whose CSRF token comes in the header alone."""

    target_class = "portal.api.views.uploads.HeaderOnlyCsrf"
    name = "cookieAndHeader"
