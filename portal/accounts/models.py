"""Who uses the site: users, the teams that own entries, and the tokens of their programs."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from datetime import datetime
from functools import cached_property

import pghistory
import pgtrigger
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models, transaction
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.urls import reverse
from django.utils import timezone

_SECOND_FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)


class User(AbstractUser):
    """A person's account."""

    email = models.EmailField("email address")
    full_name = models.CharField("name", max_length=120, blank=True)
    affiliation = models.CharField(max_length=200, blank=True)
    homepage = models.URLField(blank=True)
    shown_in_teams = models.BooleanField(
        "Show my name, affiliation and home page on the public pages of my teams", default=False
    )

    class Meta(AbstractUser.Meta):
        constraints = [
            models.UniqueConstraint(Lower("email"), condition=~models.Q(email=""), name="user_email_unique"),
            models.UniqueConstraint(Lower("username"), name="user_username_unique"),
        ]

    def get_full_name(self) -> str:
        return self.full_name

    @property
    def public_name(self) -> str:
        return self.full_name or self.username

    @cached_property
    def has_second_factor(self) -> bool:
        """Recovery codes alone are none: they stand in for one that is lost."""
        return Authenticator.objects.filter(user=self, type__in=_SECOND_FACTORS).exists()

    @property
    def acts_as_staff(self) -> bool:
        """Whether staff's pages and rights are open; where the site asks for a second factor, with one."""
        return self.is_staff and (self.has_second_factor or not settings.STAFF_SECOND_FACTOR)


@pghistory.track(
    pghistory.InsertEvent(),
    pghistory.UpdateEvent(condition=pgtrigger.AnyChange("name")),
    fields=["name"],
    model_name="TeamNameEvent",
    append_only=True,
)
class Team(models.Model):
    """Owns submissions. Every user has a team of one from the start."""

    name = models.CharField(max_length=200)
    members = models.ManyToManyField(User, through="Membership", related_name="teams")
    personal_of = models.OneToOneField(
        User,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="The user whose first team this is, and who always owns it",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(Lower("name"), name="team_name_unique")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("team", args=[self.pk])


class Membership(models.Model):
    """A user's part in a team."""

    class Role(models.TextChoices):
        OWNER = "owner"
        MEMBER = "member"

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.MEMBER)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["team", "user"], name="membership_unique"),
            models.CheckConstraint(
                condition=models.Q(role__in=["owner", "member"]), name="membership_role_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.team}"


def all_scopes() -> list[str]:
    """The scopes of a token that was made without naming any."""
    return ["read", "submit"]


def digest_of(secret: str) -> str:
    """The SHA-256 under which a secret of at least 256 random bits is stored."""
    # A fast hash is right: such a secret cannot be guessed from its digest.
    return hashlib.sha256(secret.encode()).hexdigest()


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def open(self) -> InvitationQuerySet:
        """Those that still let somebody in."""
        still = self.filter(revoked_at=None, expires_at__gt=timezone.now(), uses__lt=F("max_uses"))
        return still.filter(invited_by__is_active=True)


class Invitation(models.Model):
    """A link into a team, for whoever has it or for one account. Only the SHA-256 of its secret is stored."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="invitations")
    invited_by = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    role = models.CharField(max_length=10, choices=Membership.Role.choices, default=Membership.Role.MEMBER)
    addressee = models.EmailField(blank=True, help_text="The address that the link was mailed to")
    invitee = models.ForeignKey(
        User,
        on_delete=models.CASCADE,
        null=True,
        related_name="invitations",
        help_text="The only account that it lets in; anybody's who has the link without one",
    )
    digest = models.CharField(max_length=64, unique=True, editable=False)
    max_uses = models.PositiveSmallIntegerField(default=1)
    uses = models.PositiveSmallIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(condition=Q(uses__lte=F("max_uses")), name="invitation_uses_limited"),
            models.CheckConstraint(condition=Q(role__in=["owner", "member"]), name="invitation_role_known"),
        ]

    def __str__(self) -> str:
        return f"invitation to {self.team}"

    @property
    def uses_left(self) -> int:
        return self.max_uses - self.uses


class ApiToken(models.Model):
    """A program's key to the API. Only its SHA-256 is stored: the token itself is shown once."""

    class Scope(models.TextChoices):
        READ = "read", "read what you may read"
        SUBMIT = "submit", "submit, change and withdraw"
        OPERATE = "operate", "operate workers and queues, as an operator"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=60)
    scopes = ArrayField(models.CharField(max_length=10, choices=Scope.choices), default=all_scopes)
    hint = models.CharField(max_length=12, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, editable=False)
    last_used_at = models.DateTimeField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)

    PREFIX = "ftl_"

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(scopes__contained_by=["read", "submit", "operate"]) & Q(scopes__len__gt=0),
                name="token_scopes_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.hint}…)"

    @classmethod
    def issue(
        cls,
        *,
        user: User,
        name: str,
        scopes: Collection[str] = ("read", "submit"),
        expires_at: datetime | None = None,
    ) -> tuple[ApiToken, str]:
        """Make a token and return it with its secret, which cannot be read again."""
        secret = cls.PREFIX + secrets.token_urlsafe(32)
        token = cls.objects.create(
            user=user,
            name=name,
            scopes=sorted(set(scopes)),
            expires_at=expires_at,
            hint=secret[:8],
            digest=cls.digest_of(secret),
        )
        return token, secret

    @staticmethod
    def digest_of(secret: str) -> str:
        return digest_of(secret)

    def allows(self, scope: str) -> bool:
        return scope in self.scopes

    @property
    def has_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()

    @classmethod
    def revoke_all_of(cls, user: User) -> int:
        """Revoke a user's tokens and return how many still worked; a program that waits for one gets none."""
        DeviceSignIn.objects.filter(user=user).delete()
        return cls.objects.filter(user=user, revoked_at=None).update(revoked_at=timezone.now())

    def revoke(self) -> None:
        type(self).objects.filter(pk=self.pk, revoked_at=None).update(revoked_at=timezone.now())


class DeviceSignIn(models.Model):
    """A program that waits until a person signs it in (RFC 8628): portal/accounts/device_sign_in.py.

    Of the code that it proves itself with only the SHA-256 is stored. `scopes` are what it asks for, then
    what the person allowed, as are `user`, `token_name` and `token_expires_at`.
    """

    class Status(models.TextChoices):
        PENDING = "pending"
        ALLOWED = "allowed"
        REFUSED = "refused"
        REDEEMED = "redeemed"

    digest = models.CharField(max_length=64, unique=True, editable=False)
    user_code = models.CharField(max_length=8, unique=True, editable=False)
    device_name = models.CharField(max_length=60, blank=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(editable=False)
    interval = models.PositiveSmallIntegerField(default=5)
    polled_at = models.DateTimeField(null=True, editable=False)
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="+")
    token_name = models.CharField(max_length=60, blank=True)
    scopes = ArrayField(models.CharField(max_length=10, choices=ApiToken.Scope.choices), default=all_scopes)
    token_expires_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["pending", "refused"]) | Q(user__isnull=False),
                name="device_sign_in_allowed_by_somebody",
            ),
        ]

    def __str__(self) -> str:
        return f"sign-in of {self.device_name or 'a program'}"


@transaction.atomic
def personal_team(user: User) -> Team:
    """Return the team that is `user`'s own from the start, making it under the user's name at first."""
    User.objects.select_for_update().get(pk=user.pk)  # two first pages at once make one team
    team = Team.objects.filter(personal_of=user).first()
    if team:
        return team
    team = Team.objects.create(name=_free_name(user), personal_of=user)
    Membership.objects.create(team=team, user=user, role=Membership.Role.OWNER)
    return team


def _free_name(user: User) -> str:
    """The user's name, or one like it where a team has that already."""
    for name in (user.username, f"{user.username} ({user.pk})"):
        if not Team.objects.filter(name__iexact=name).exists():
            return name
    return f"{user.username} ({secrets.token_hex(4)})"
