"""Addresses of resumable uploads, under /api/v1/."""

from django.urls import path

from portal.api.views import uploads

urlpatterns = [
    path("uploads/", uploads.UploadList.as_view(), name="api-uploads"),
    path("uploads/<uuid:pk>/", uploads.UploadDetail.as_view(), name="api-upload"),
]
