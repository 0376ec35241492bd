"""The settings that an operator makes, read from the environment, typed and checked at once."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from pydantic import Field, PositiveInt, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from evaluation.rules.base_size import read_limits
from evaluation.rules.challenges import CHALLENGES
from evaluation.rules.protocol import CURRENT, PROTOCOLS

PROJECT_ROOT = Path(__file__).resolve().parent.parent
# Where containers find their secrets.
SECRETS = Path("/run/secrets")

Names = Annotated[list[str], NoDecode]
Limits = Annotated[Mapping[str, int], NoDecode]
Numbers = Annotated[tuple[int, ...], NoDecode]


class Environment(BaseSettings):
    """Each field is the environment variable of the same name in capitals, else the file of that name in
    `SECRETS`; docs/operating.md lists them.
    """

    model_config = SettingsConfigDict(
        extra="ignore",
        env_ignore_empty=True,
        case_sensitive=False,
        secrets_dir=SECRETS if SECRETS.is_dir() else None,
    )

    debug: bool = False
    secret_key: str = ""
    var_dir: Path = PROJECT_ROOT / "var"
    database_url: str = ""
    redis_url: str = ""
    embedded_state_dir: Path | None = None
    static_root: Path | None = None

    site_url: str = "http://127.0.0.1:8000"
    allowed_hosts: Names = Field(default=["127.0.0.1", "localhost", "[::1]"])
    https: bool = True
    trust_proxy: bool = False
    metrics_token: str = ""
    log_format: Literal["text", "json"] = "text"
    sentry_dsn: str = ""
    otel_exporter_otlp_endpoint: str = ""
    email_host: str = ""
    email_port: PositiveInt = 587
    email_user: str = ""
    email_password: str = ""
    email_tls: bool = True
    staff_second_factor: bool = True
    sign_in_huggingface: str = ""
    sign_in_github: str = ""
    sign_in_orcid: str = ""
    default_from_email: str = "FlowerTune Leaderboard <noreply@localhost>"

    submission_max_bytes: PositiveInt = 2 * 1024**3
    submissions_per_day: PositiveInt = 20
    uploads_open: PositiveInt = 5
    upload_open_bytes: PositiveInt = 8 * 1024**3
    upload_daily_bytes: PositiveInt = 40 * 1024**3
    upload_expiry_hours: PositiveInt = 24
    upload_streams: PositiveInt = 4

    s3_bucket: str = ""
    s3_endpoint_url: str = ""
    s3_region: str = ""
    s3_access_key_id: str = ""
    s3_secret_access_key: str = ""
    s3_addressing_style: Literal["", "auto", "path", "virtual"] = ""

    webhooks_to_loopback: bool = False

    base_model_max_parameters: Limits = Field(default="", validate_default=True)
    base_model_cache_bytes: int = Field(default=0, ge=0)
    leaderboard_protocols: Numbers = (CURRENT.number,)

    evaluation_data: str = ""
    evaluation_limit: Limits = Field(default="", validate_default=True)
    evaluation_engine: Literal["auto", "transformers", "vllm"] = "auto"
    evaluation_precision: Literal["", "fp4", "nf4", "bf16", "fp16", "fp32"] = ""
    evaluation_lease_seconds: PositiveInt = 60
    evaluation_attempts: PositiveInt = 2
    evaluation_stall_seconds: PositiveInt = 1800
    outage_patience_seconds: PositiveInt = 86_400
    audit_percent: float = Field(default=5, gt=0, le=100)
    measure_transfer: bool = False
    measure_leakage: bool = False

    training_data: str = ""
    training_state: Path | None = None
    training_stall_seconds: PositiveInt = 21_600

    demonstration: Names = []

    @field_validator("allowed_hosts", "leaderboard_protocols", "demonstration", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return (
            [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value
        )

    @field_validator("base_model_max_parameters", mode="before")
    @classmethod
    def _by_challenge(cls, value: str) -> Mapping[str, int]:
        return read_limits(value)

    @field_validator("evaluation_limit", mode="before")
    @classmethod
    def _items(cls, value: str) -> Mapping[str, int]:
        """By challenge; one that is not there has no limit."""
        stated: dict[str, int] = {}
        for part in filter(None, (part.strip() for part in value.split(","))):
            challenge, _, items = part.rpartition("=")
            if challenge not in ("", *CHALLENGES) or not re.fullmatch(r"[1-9][0-9]{0,8}", items):
                raise ValueError(
                    f"“{part}” is no limit: write a number of items a benchmark, like 100, or that of one "
                    f"challenge, like code=4. The challenges are {', '.join(CHALLENGES)}"
                )
            stated |= {challenge: int(items)} if challenge else dict.fromkeys(CHALLENGES, int(items)) | stated
        return stated

    @field_validator("demonstration")
    @classmethod
    def _known_challenges(cls, value: list[str]) -> list[str]:
        if unknown := [name for name in value if name not in CHALLENGES]:
            raise ValueError(f"there is no challenge {unknown[0]}; there are: {', '.join(CHALLENGES)}")
        return value

    @field_validator("leaderboard_protocols")
    @classmethod
    def _known_protocols(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        """The first is the board that comes first."""
        for number in value:
            if number not in PROTOCOLS:
                raise ValueError(
                    f"there is no protocol {number}; there are: {', '.join(map(str, PROTOCOLS))}"
                )
        if not value or len(set(value)) < len(value):
            raise ValueError("name each protocol once, and at least one")
        return value

    @field_validator("database_url")
    @classmethod
    def _postgresql_only(cls, value: str) -> str:
        if value and not value.startswith(("postgresql://", "postgres://")):
            raise ValueError("must be a postgresql:// URL; no other database is supported")
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis_only(cls, value: str) -> str:
        if value and not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must be a redis://, rediss:// or unix:// URL")
        return value

    @field_validator("site_url")
    @classmethod
    def _absolute(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/")

    @field_validator("sentry_dsn")
    @classmethod
    def _sentry_installed(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and not (parts.scheme in ("http", "https") and parts.username and parts.path.strip("/")):
            raise ValueError("must be https://KEY@HOST/PROJECT, as Sentry shows it")
        if value and find_spec("sentry_sdk") is None:
            raise ValueError("its package is missing: pip install '.[sentry]'")
        return value

    @field_validator("otel_exporter_otlp_endpoint")
    @classmethod
    def _traces_installed(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        if value and find_spec("opentelemetry") is None:
            raise ValueError("its packages are missing: pip install '.[traces]'")
        return value

    @field_validator("sign_in_huggingface", "sign_in_github", "sign_in_orcid")
    @classmethod
    def _client_and_secret(cls, value: str) -> str:
        if value and not all(value.partition(":")):
            raise ValueError("must be CLIENT_ID:SECRET, as the other site gives them")
        return value

    @property
    def services_state(self) -> Path:
        """The folder of the embedded services, which run where DATABASE_URL or REDIS_URL is empty."""
        return self.embedded_state_dir or self.var_dir / "services"

    def storage(self) -> dict[str, Any]:
        """Return the entry of Django's STORAGES for stored files: a bucket where one is named, else a folder.

        Raises ImproperlyConfigured where a bucket is named and the packages for it are missing.
        """
        if not self.s3_bucket:
            return {
                "BACKEND": "portal.uploads.whole_files.WholeFileStorage",
                "OPTIONS": {"location": self.var_dir / "storage"},
            }
        if find_spec("storages") is None or find_spec("boto3") is None:
            raise ImproperlyConfigured("S3_BUCKET is set; install the packages for it: pip install '.[s3]'")
        given = {
            "endpoint_url": self.s3_endpoint_url,
            "region_name": self.s3_region,
            "access_key": self.s3_access_key_id,
            "secret_key": self.s3_secret_access_key,
            "addressing_style": self.s3_addressing_style,
        }
        return {
            "BACKEND": "storages.backends.s3.S3Storage",
            "OPTIONS": {
                "bucket_name": self.s3_bucket,
                "file_overwrite": False,
                "default_acl": None,
                # Without keys boto3 finds its own: its variables, its files, or the machine's role.
                **{name: value for name, value in given.items() if value},
            },
        }

    def sign_in_providers(self) -> dict[str, Any]:
        """Return allauth's SOCIALACCOUNT_PROVIDERS: those that are switched on, with the least that they have
        to tell. Hugging Face and ORCID by OpenID Connect, GitHub, which has none, by OAuth 2.
        """
        given = {
            "huggingface": (self.sign_in_huggingface, "Hugging Face", "https://huggingface.co"),
            "orcid": (self.sign_in_orcid, "ORCID", "https://orcid.org"),
        }
        openid = [
            _client(pair) | {"provider_id": key, "name": name, "settings": {"server_url": url}}
            for key, (pair, name, url) in given.items()
            if pair
        ]
        github = [_client(self.sign_in_github) | {"name": "GitHub"}] if self.sign_in_github else []
        return {
            "openid_connect": {"APPS": openid, "OAUTH_PKCE_ENABLED": True},
            "github": {"APPS": github, "SCOPE": ["user:email"], "OAUTH_PKCE_ENABLED": True},
        }

    def sign_in_origins(self) -> list[str]:
        """Where browsers are sent to sign in, which the content security policy has to let them."""
        origins = {
            "https://huggingface.co": self.sign_in_huggingface,
            "https://github.com": self.sign_in_github,
            "https://orcid.org": self.sign_in_orcid,
        }
        return [origin for origin, pair in origins.items() if pair]

    def resolve_secret_key(self) -> str:
        """Return SECRET_KEY, or the one generated when it was first needed and kept in var/secret_key."""
        if self.secret_key:
            return self.secret_key
        path = self.var_dir / "secret_key"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f"secret_key.{secrets.token_hex(4)}")
            draft.touch(mode=0o600)
            draft.write_text(secrets.token_urlsafe(50))
            # A hard link fails when another process was first, so all processes agree on one key.
            try:
                path.hardlink_to(draft)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return path.read_text()


def _client(pair: str) -> dict[str, Any]:
    client_id, _, secret = pair.partition(":")
    return {"client_id": client_id, "secret": secret}


def read_environment() -> Environment:
    """Raises ImproperlyConfigured naming every variable that is wrong, not only the first."""
    try:
        return Environment()
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']).upper()}: "
            f"{problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors()
        )
        raise ImproperlyConfigured(f"The environment is not usable: {problems}") from error
