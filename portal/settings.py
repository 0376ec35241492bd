"""Django settings. What an operator may set stands in portal/environment.py and docs/operating.md.

Reading them starts no service and writes no file.
"""

from __future__ import annotations

from typing import cast

import django_stubs_ext
from django.utils.functional import SimpleLazyObject
from whitenoise.compress import Compressor

from portal import addresses
from portal.environment import PROJECT_ROOT, read_environment

# Lets Django's generic classes be written with their type parameters, as in ModelAdmin[Team].
django_stubs_ext.monkeypatch()

env = read_environment()
VAR_DIR = env.var_dir

DEBUG = env.debug
# Made, where none is set, when something is first signed with it.
SECRET_KEY = cast(str, SimpleLazyObject(env.resolve_secret_key))
ALLOWED_HOSTS = env.allowed_hosts
SITE_URL = env.site_url
CSRF_TRUSTED_ORIGINS = [SITE_URL]
ROOT_URLCONF = "portal.urls"
WSGI_APPLICATION = "portal.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "portal.apps.PortalConfig",
    "portal.accounts",
    "portal.outages",
    "portal.control",
    "portal.submissions",
    "portal.uploads",
    "portal.runs",
    "portal.review",
    "portal.discussion",
    "portal.site_texts",
    "portal.transparency",
    "portal.dumps",
    "portal.api",
    "portal.notifications",
    "leaderboard",
    "portal.apps.StaffSiteConfig",  # django.contrib.admin, opened by a second factor
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.sitemaps",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.socialaccount.providers.github",
    "rest_framework",
    "drf_spectacular",
    "django_htmx",
    "csp",
    "pgtrigger",
    "pghistory",
]

MIDDLEWARE = [
    "portal.monitoring.requests.RequestRecord",
    "portal.database.patience.RequestPatience",
    "portal.control.unready.MigrationsFirst",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "portal.api.throttles.RateLimitHeaders",
    "portal.dumps.mirroring.ReadOnlyMirror",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [PROJECT_ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "portal.context.site",
            ],
        },
    },
]

# --- Services -----------------------------------------------------------------------------------

_services = addresses.locate(env)
REDIS_URL = _services.redis_url
DATABASES = {"default": addresses.django_database(_services.database_url)}
DATABASES["default"] |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        # Throttling and rate limits lapse while it is down; the site goes on.
        "OPTIONS": {
            "IGNORE_EXCEPTIONS": True,
            "CONNECTION_POOL_CLASS": "portal.valkey.Pool",  # one that hangs is away
            "SERIALIZER": "portal.cache_serializer.BytesOrJson",  # the library's own choice is pickle
        },
    }
}
DJANGO_REDIS_LOG_IGNORED_EXCEPTIONS = True
CELERY_BROKER_URL = addresses.celery_broker(REDIS_URL)

# --- Accounts -----------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["portal.accounts.sign_in.AccountBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
ALLAUTH_TRUSTED_PROXY_COUNT = int(env.trust_proxy)
ACCOUNT_ADAPTER = "portal.accounts.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email*", "password1*", "password2*"]
ACCOUNT_FORMS = {
    "signup": "portal.accounts.sign_up.SignUpForm",
    "reset_password": "portal.accounts.sign_in.NewPasswordForm",
}
# Always: only a mail may tell whether an address is known. Without a mail server it is a file.
# The site's own accounts (audits, imported and invented entries, reference runs), also before they are made.
ACCOUNT_USERNAME_BLACKLIST = ["audits", "baselines", "board-import", "invented-entries"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_LOGIN_ON_EMAIL_CONFIRMATION = True  # in the browser that signed up
ACCOUNT_CHANGE_EMAIL = True  # one address, which a new one replaces once it is confirmed
ACCOUNT_REAUTHENTICATION_REQUIRED = True  # a new address needs the password
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = "[FlowerTune Leaderboard] "
# Accounts of other sites: they sign in to an account that they opened or were connected to, never to one that
# merely has their address.
SOCIALACCOUNT_PROVIDERS = env.sign_in_providers()
SOCIALACCOUNT_ADAPTER = "portal.accounts.elsewhere.ElsewhereAdapter"
SOCIALACCOUNT_FORMS = {"signup": "portal.accounts.elsewhere.SignUpForm"}
SOCIALACCOUNT_AUTO_SIGNUP = False  # names are public: everybody chooses theirs
SOCIALACCOUNT_REQUESTS_TIMEOUT = 10
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "submissions:list"
ACCOUNT_LOGOUT_REDIRECT_URL = "home"

STAFF_SECOND_FACTOR = env.staff_second_factor
MFA_ADAPTER = "portal.accounts.second_factor.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_TOTP_ISSUER = "FlowerTune Leaderboard"
MFA_TOTP_TOLERANCE = 1  # clocks that are half a minute apart
# Nobody signs in before an address is confirmed; an account that the operator made may have none.
MFA_ALLOW_UNVERIFIED_EMAIL = True

DEFAULT_FROM_EMAIL = env.default_from_email
EMAIL_TIMEOUT = 20
if env.email_host:
    EMAIL_HOST, EMAIL_PORT = env.email_host, env.email_port
    EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = env.email_user, env.email_password
    EMAIL_USE_TLS = env.email_tls
else:
    EMAIL_BACKEND = "portal.notifications.mail_folder.PrivateFolder"
    EMAIL_FILE_PATH = VAR_DIR / "mail"

# --- Security -----------------------------------------------------------------------------------

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env.https and not DEBUG
SESSION_COOKIE_HTTPONLY = True
SECURE_SSL_REDIRECT = env.https and not DEBUG
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = 31_536_000 if env.https and not DEBUG else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = bool(SECURE_HSTS_SECONDS)
SECURE_REFERRER_POLICY = "strict-origin-when-cross-origin"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.trust_proxy else None
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'", *env.sign_in_origins()],
        "frame-ancestors": ["'none'"],
    }
}

# --- Files --------------------------------------------------------------------------------------

STATIC_URL = "/static/"
STATIC_ROOT = env.static_root or VAR_DIR / "static"
STORAGES = {
    "default": env.storage(),
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
# Browsers ask for source maps when somebody debugs; the rest is whitenoise's own list of what is compressed.
WHITENOISE_SKIP_COMPRESS_EXTENSIONS = [*Compressor.SKIP_COMPRESS_EXTENSIONS, "map"]
FILE_UPLOAD_HANDLERS = [
    "portal.uploads.SizeLimitUploadHandler",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]
FILE_UPLOAD_TEMP_DIR = VAR_DIR / "incoming"
# SizeLimitUploadHandler makes that folder when the first file comes.
SILENCED_SYSTEM_CHECKS = ["files.E001"]
DATA_UPLOAD_MAX_NUMBER_FILES = 4
SUBMISSION_MAX_BYTES = env.submission_max_bytes
SUBMISSIONS_PER_DAY = env.submissions_per_day
UPLOADS_OPEN = env.uploads_open
UPLOAD_OPEN_BYTES = env.upload_open_bytes
UPLOAD_DAILY_BYTES = env.upload_daily_bytes
UPLOAD_EXPIRY_HOURS = env.upload_expiry_hours
UPLOAD_STREAMS = env.upload_streams
BASE_MODEL_MAX_PARAMETERS = env.base_model_max_parameters
BASE_MODEL_CACHE_BYTES = env.base_model_cache_bytes

# --- Evaluation ---------------------------------------------------------------------------------

LEADERBOARD_PROTOCOLS = env.leaderboard_protocols
EVALUATION_DATA = env.evaluation_data
EVALUATION_LIMIT = env.evaluation_limit
EVALUATION_ENGINE = env.evaluation_engine
EVALUATION_PRECISION = env.evaluation_precision
EVALUATION_LEASE_SECONDS = env.evaluation_lease_seconds
EVALUATION_ATTEMPTS = env.evaluation_attempts
EVALUATION_STALL_SECONDS = env.evaluation_stall_seconds
OUTAGE_PATIENCE_SECONDS = env.outage_patience_seconds
AUDIT_PERCENT = env.audit_percent
MEASURE_TRANSFER = env.measure_transfer
MEASURE_LEAKAGE = env.measure_leakage

# --- Training of baselines ------------------------------------------------------------------------

TRAINING_DATA = env.training_data
TRAINING_STATE = env.training_state or VAR_DIR / "training"
TRAINING_STALL_SECONDS = env.training_stall_seconds

# --- Demonstration --------------------------------------------------------------------------------

DEMONSTRATION = env.demonstration

# --- Monitoring -----------------------------------------------------------------------------------

METRICS_TOKEN = env.metrics_token
TRUST_PROXY = env.trust_proxy

# --- Notifications -----------------------------------------------------------------------------

WEBHOOKS_TO_LOOPBACK = env.webhooks_to_loopback

# --- API ----------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "NUM_PROXIES": int(env.trust_proxy),
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "portal.api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": [
        "portal.api.permissions.HasScope",
        "rest_framework.permissions.IsAuthenticatedOrReadOnly",
    ],
    "DEFAULT_PARSER_CLASSES": ["portal.api.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_METADATA_CLASS": "portal.api.metadata.AllowedMethods",
    "DEFAULT_SCHEMA_CLASS": "portal.api.schema.ApiSchema",
    "EXCEPTION_HANDLER": "portal.api.problems.problem_details",
    "DEFAULT_THROTTLE_CLASSES": ["portal.api.throttles.RequestRate"],
    # `views`: pages and files of readers' own making (filters, days, pairs), of those who are not signed in.
    "DEFAULT_THROTTLE_RATES": {"anon": "120/minute", "user": "600/minute", "views": "120/minute"},
}
SPECTACULAR_SETTINGS = {
    "TITLE": "FlowerTune Leaderboard API",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "DESCRIPTION": "Errors are problem details (RFC 9457) whose findings name the place.",
    "TAGS": [
        {"name": name}
        for name in (
            "challenges",
            "base models",
            "findings",
            "uploads",
            "submissions",
            "evaluations",
            "baseline runs",
            "studies",
            "leaderboards",
            "log",
            "operate",
            "teams",
            "tokens",
        )
    ],
    "ENUM_NAME_OVERRIDES": {
        "SubmissionStatus": "portal.submissions.models.Submission.Status",
        "RunStatus": "portal.runs.models.Claimable.Status",
        "SubmissionKind": "portal.submissions.models.Submission.Kind",
        "HoldKind": "portal.control.models.Hold.Kind",
        "WorkKind": "portal.operate.work.Kind",
        "ResourceKind": "portal.submissions.models.Resource.Kind",
        "ChallengeSlug": "portal.api.serializers.common.CHALLENGE_CHOICES",
        "SeverityEnum": "portal.api.serializers.common.SEVERITY_CHOICES",
    },
}

# --- The rest -----------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
PGHISTORY_APPEND_ONLY = True

_console = {"handlers": ["console"], "propagate": False}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
        "json": {"()": "evaluation.log_lines.JsonLines"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": env.log_format}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        # Every request of a client is of no interest to an operator.
        "httpx": {"level": "WARNING"},
        # Celery's --loglevel is for its own lines: what begins and ends here is always told.
        **{package: {"level": "INFO"} for package in ("evaluation", "leaderboard", "portal", "workers")},
        # These have handlers of their own, which write text.
        **({"gunicorn.error": _console, "django.server": _console} if env.log_format == "json" else {}),
    },
}
