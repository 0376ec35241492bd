"""What submissions are made of: listed base models, and checkpoints stored once under their digest."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone


class BaseModel(models.Model):
    """A base model that submissions may build on. Staff keep the list with `manage.py add_base_model`."""

    hub_id = models.CharField(max_length=120, help_text="As on the Hugging Face Hub: organisation/name")
    revision = models.CharField(max_length=40, blank=True, help_text="Commit of the hub repository")
    local_path = models.CharField(
        max_length=500, blank=True, help_text="Folder to load from instead of the hub"
    )
    parameters = models.PositiveBigIntegerField(null=True, help_text="Known of every model that is open")
    context_length = models.PositiveIntegerField(null=True, help_text="Tokens")
    licence = models.CharField(max_length=60, blank=True)
    tensors = models.JSONField(help_text="Shapes of the weights, for checking adapters", editable=False)
    aliases = models.TextField(
        blank=True,
        help_text="Other names of this very model, one a line: what the hub called it before, mirrors of it",
    )
    active = models.BooleanField(default=True, help_text="Accepts new submissions")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["hub_id"]
        constraints = [
            models.UniqueConstraint(Lower("hub_id"), name="base_model_hub_id_unique"),
            models.CheckConstraint(
                condition=Q(parameters__gt=0, context_length__gt=0) | Q(parameters=None, active=False),
                name="base_model_has_parameters",
            ),
        ]

    def __str__(self) -> str:
        return self.hub_id

    @property
    def name(self) -> str:
        return self.hub_id.rpartition("/")[2]

    @property
    def other_names(self) -> tuple[str, ...]:
        return tuple(line.strip() for line in self.aliases.splitlines() if line.strip())


class Checkpoint(models.Model):
    """A LoRA adapter: its tensors, stored once under their SHA-256, and the config that belongs to them."""

    sha256 = models.CharField(max_length=64, help_text="Of adapter_model.safetensors")
    config_sha256 = models.CharField(max_length=64, help_text="Of the normalised adapter_config.json")
    tensors_digest = models.CharField(
        max_length=64, db_index=True, help_text="The same under any order or metadata"
    )
    size = models.PositiveBigIntegerField(help_text="Bytes")
    adapter_config = models.JSONField(help_text="Normalised: only keys that were checked")
    summary = models.JSONField()
    file = models.FileField(max_length=200)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["sha256", "config_sha256"], name="checkpoint_unique"),
            models.CheckConstraint(condition=Q(size__gt=0), name="checkpoint_not_empty"),
        ]

    def __str__(self) -> str:
        return self.sha256[:12]
