"""Addresses of the operator's own pages."""

from django.urls import path

from portal.site_texts import views
from portal.site_texts.models import SiteText

Page = SiteText.Page

app_name = "site_texts"
urlpatterns = [
    path("contact/", views.contact, name="contact"),
    path("imprint/", views.text, {"page": Page.IMPRINT}, name="imprint"),
    path("terms/", views.text, {"page": Page.TERMS}, name="terms"),
    path("privacy/", views.text, {"page": Page.PRIVACY}, name="privacy"),
]
