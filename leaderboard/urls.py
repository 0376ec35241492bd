"""Addresses of the public pages."""

from django.contrib.sitemaps import views as sitemaps
from django.urls import include, path

from leaderboard.board.exports import FORMATS
from leaderboard.pages.sitemaps import SITEMAPS
from leaderboard.views import (
    audits,
    base_models,
    benchmarks,
    board,
    budget,
    changes,
    charts,
    compare,
    cross_domain,
    embed,
    entry,
    exports,
    feed,
    home,
    items,
    method,
    pictures,
    review,
    robots,
    rules,
    teams,
)

boards = (
    [
        path("<slug:slug>/", board.board, name="board"),
        *(
            path(f"<slug:slug>.{form}", exports.board, {"form": form}, name=f"board-{form}")
            for form in FORMATS
        ),
        path("<slug:slug>/charts/", charts.charts, name="charts"),
        *(
            path(
                f"<slug:slug>/charts/<slug:name>.{form}",
                charts.chart_file,
                {"form": form},
                name=f"chart-{form}",
            )
            for form in charts.CONTENT_TYPES
        ),
        path("<slug:slug>/card.png", pictures.board, name="board-card"),
    ],
    "leaderboard",
)
desk = (
    [
        path("", review.queue, name="queue"),
        path("<int:pk>/", review.case, name="case"),
        path("<int:pk>/take/", review.take, name="take"),
        path("<int:pk>/give-back/", review.give_back, name="give-back"),
        path("<int:pk>/undo/", review.undo, name="undo"),
        path("<int:pk>/second/", review.second, name="second"),
        path("<int:pk>/<slug:action>/", review.act, name="act"),
    ],
    "desk",
)
urlpatterns = [
    path("", home.home, name="home"),
    path("live/", home.live, name="home-live"),
    path("leaderboard/", cross_domain.boards, name="boards"),
    *(path(f"leaderboard.{form}", exports.boards, {"form": form}, name=f"boards-{form}") for form in FORMATS),
    path("leaderboard/", include(boards)),
    path("audits/", audits.audits, name="audits"),
    path("audits/<int:year>-<int:month>/history.txt", audits.history, name="audit-history"),
    path("audits/<int:year>-<int:month>/population.txt", audits.population, name="audit-population"),
    path("entries/<int:pk>/", entry.entry, name="entry"),
    path("entries/<int:pk>/badge.svg", embed.badge, name="entry-badge"),
    path("entries/<int:pk>/embed/", embed.embed, name="entry-embed"),
    *(
        path(
            f"entries/<int:pk>/charts/<slug:name>.{form}",
            entry.chart_file,
            {"form": form},
            name=f"entry-chart-{form}",
        )
        for form in charts.CONTENT_TYPES
    ),
    path("entries/<int:pk>/items/<slug:benchmark>/", items.explorer, name="items"),
    *(
        path(
            f"entries/<int:pk>/items/<slug:benchmark>.{form}",
            items.download,
            {"form": form},
            name=f"items-{form}",
        )
        for form in items.FORMATS
    ),
    path("review/", include(desk)),
    path("budget/", budget.budget, name="budget"),
    path("compare/", compare.compare, name="compare"),
    path("teams/<int:pk>/", teams.team, name="team"),
    path("rules/", rules.rules, name="rules"),
    path("method/", method.method, name="method"),
    path("benchmarks/", benchmarks.benchmarks, name="benchmarks"),
    path("benchmarks/<slug:slug>/", benchmarks.benchmark, name="benchmark"),
    path("base-models/", base_models.base_models, name="base-models"),
    path("base-models/<int:pk>/", base_models.base_model, name="base-model"),
    path("changes/", changes.changes, name="changes"),
    path("feed.atom", feed.feed, name="feed"),
    path("leaderboard/<slug:slug>/feed.atom", feed.feed, name="challenge-feed"),
    path("entries/<int:pk>/card.png", pictures.entry, name="entry-card"),
    path("robots.txt", robots.robots, name="robots"),
    path(
        "sitemap.xml",
        sitemaps.index,
        {"sitemaps": SITEMAPS, "sitemap_url_name": "sitemap-part"},
        name="sitemap",
    ),
    path("sitemap-<section>.xml", sitemaps.sitemap, {"sitemaps": SITEMAPS}, name="sitemap-part"),
]
