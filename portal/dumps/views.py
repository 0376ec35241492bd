"""The page of all public data as files, and the files."""

from __future__ import annotations

from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_safe

from portal.dumps.manifest import NAME
from portal.dumps.models import Dump
from portal.dumps.writing import KEPT


@require_safe
def dumps(request: HttpRequest) -> HttpResponse:
    found = [
        (dump, _stamp(dump), sum(file["size"] for file in dump.manifest["files"]))
        for dump in Dump.objects.all()
    ]
    context = {"dumps": found, "latest": found[0] if found else None, "kept": KEPT, "manifest_name": NAME}
    return render(request, "portal/dumps/index.html", context)


@require_safe
def latest(request: HttpRequest, name: str) -> HttpResponse:
    """A file of the newest dump, at an address that stays."""
    dump = Dump.objects.first()
    if dump is None:
        raise Http404("there is no dump yet")
    response = redirect("dumps:file", _stamp(dump), name)
    response["Cache-Control"] = "no-cache"
    return response


@require_safe
def download(request: HttpRequest, stamp: str, name: str) -> FileResponse:
    dump = get_object_or_404(Dump, folder=f"dumps/{stamp}")
    known = {file["name"]: file["sha256"] for file in dump.manifest["files"]}
    if name not in (*known, NAME):
        raise Http404(f"the dump has no file {name}")
    try:
        content = default_storage.open(f"{dump.folder}/{name}", "rb")
    except FileNotFoundError as error:
        raise Http404("the file is no longer in storage") from error
    is_manifest = name == NAME
    response = FileResponse(
        content,
        as_attachment=not is_manifest,
        filename=name,
        content_type="application/json" if is_manifest else "application/vnd.apache.parquet",
    )
    response["Access-Control-Allow-Origin"] = "*"
    response["X-Robots-Tag"] = "noindex, noarchive"
    response["Cache-Control"] = "public, max-age=86400, immutable"
    return response


def _stamp(dump: Dump) -> str:
    return dump.folder.rpartition("/")[2]
