"""The second factor as this site has it: its name, where passkeys belong, and secrets under SECRET_KEY."""

from __future__ import annotations

import base64
import hashlib
from ipaddress import ip_address
from urllib.parse import urlsplit

from allauth.mfa.adapter import DefaultMFAAdapter
from cryptography.fernet import Fernet
from django.conf import settings


class SecondFactorAdapter(DefaultMFAAdapter):
    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Passkeys belong to SITE_URL, whatever name a request called the site by."""
        return {"id": urlsplit(settings.SITE_URL).hostname or "", "name": settings.MFA_TOTP_ISSUER}

    def encrypt(self, text: str) -> str:
        return _cipher().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """Raises cryptography.fernet.InvalidToken for what was stored under another SECRET_KEY."""
        return _cipher().decrypt(encrypted_text.encode()).decode()


def passkeys_possible() -> bool:
    """Browsers bind passkeys to a name, and take them over HTTPS or on localhost alone."""
    address = urlsplit(settings.SITE_URL)
    host = address.hostname or ""
    try:
        ip_address(host)
    except ValueError:
        return address.scheme == "https" or host == "localhost"
    return False


def _cipher() -> Fernet:
    key = hashlib.sha256(b"portal.accounts.second_factor:" + settings.SECRET_KEY.encode()).digest()
    return Fernet(base64.urlsafe_b64encode(key))
