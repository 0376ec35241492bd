"""Ed25519 (RFC 8032) by the package `cryptography`, imported late: readers of statements may lack it."""

from __future__ import annotations

from types import ModuleType

from evaluation.statements.errors import MissingPackageError

_MISSING = (
    "Signatures are checked with the package cryptography, which is not installed here. "
    "Install it beside this program: pip install cryptography"
)


def new_private_key() -> bytes:
    """32 bytes by the system's random source."""
    return bytes(_library().Ed25519PrivateKey.generate().private_bytes_raw())


def public_key_of(private: bytes) -> bytes:
    key = _library().Ed25519PrivateKey.from_private_bytes(private)
    return bytes(key.public_key().public_bytes_raw())


def sign(private: bytes, message: bytes) -> bytes:
    return bytes(_library().Ed25519PrivateKey.from_private_bytes(private).sign(message))


def is_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature is that key's. Raises MissingPackageError."""
    library = _library()
    from cryptography.exceptions import InvalidSignature

    try:
        library.Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):  # ValueError: 32 bytes that are no point of the curve
        return False
    return True


def _library() -> ModuleType:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise MissingPackageError(_MISSING) from error
    return ed25519
