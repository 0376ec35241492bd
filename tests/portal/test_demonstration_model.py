"""`manage.py add_base_model demonstration`: the small base model from its package on the site's list."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import call_command

from evaluation.demonstration import installed_model
from portal.submissions.models import BaseModel
from tests.evaluation.conftest import make_tiny_llama


@pytest.mark.slow("makes a model with torch")
@pytest.mark.django_db
def test_the_small_model_is_listed_under_its_hub_id_with_its_licence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAR_DIR", str(tmp_path))
    make_tiny_llama(installed_model.place())
    call_command("add_base_model", "demonstration")
    listed = BaseModel.objects.get()
    assert (listed.hub_id, listed.licence, listed.active) == (installed_model.HUB_ID, "Apache-2.0", True)
    assert Path(listed.local_path) == installed_model.place().resolve()
