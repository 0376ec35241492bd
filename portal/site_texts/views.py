"""The operator's own pages."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from portal.accounts.models import User
from portal.notifications.services import contacted
from portal.rates import address_of, hit
from portal.review.service_levels import service_levels
from portal.site_texts.forms import ContactForm
from portal.site_texts.models import SiteText
from portal.site_texts.texts import text_of

CONTACT_RATE = "5/hour"
"""Of an address."""


@require_safe
def text(request: HttpRequest, page: SiteText.Page) -> HttpResponse:
    return render(request, "portal/site_texts/text.html", {"page": page, "text": text_of(page)})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def contact(request: HttpRequest) -> HttpResponse:
    """How to reach the operators, with a form, and how long people wait for the reviewers."""
    user = request.user
    known = {"name": user.full_name, "address": user.email} if isinstance(user, User) else {}
    form = ContactForm(request.POST if request.method == "POST" else None, initial=known)
    if request.method == "POST" and form.is_valid():
        if form.is_from_a_program or hit(CONTACT_RATE, "contact", address_of(request)).is_allowed:
            if not form.is_from_a_program:
                contacted({name: form.cleaned_data[name] for name in ("name", "address", "subject", "text")})
            messages.success(request, "Your message is sent to the operators.")
            return redirect("site_texts:contact")
        form.add_error(None, "That were many messages from one address. Try again in an hour.")
    context = {
        "page": SiteText.Page.CONTACT,
        "text": text_of(SiteText.Page.CONTACT),
        "form": form,
        "levels": service_levels(),
    }
    status = 422 if form.is_bound and form.errors else 200
    return render(request, "portal/site_texts/contact.html", context, status=status)
