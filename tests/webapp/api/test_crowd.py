"""With a hundred thousand jobs, the lists of the admin and the API take few queries, which use indexes."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from support.crowd import COUNT, crowd

from webapp.models import Job, State

pytestmark = pytest.mark.django_db

MOST = 12  # queries of a page
PAGES = [
    ("", "job_newest"),
    ("p=3", "job_newest"),
    ("q=Song+99", "job_newest|job_track_id"),  # from the newest job on, or from the few titles that fit
    ("state__exact=failed", "job_state"),
    ("review__exact=pending", "job_review"),
]


def test_lists_stay_quick(make_job, admin_client, django_assert_max_num_queries):
    crowd(make_job(State.DONE))
    assert Job.objects.count() == COUNT + 1
    for query, index in PAGES:
        with django_assert_max_num_queries(MOST):
            answer = admin_client.get(f"/admin/webapp/job/?{query}")
        rows = answer.context["cl"]
        start = rows.list_per_page * (rows.page_num - 1)
        plan = rows.queryset[start : start + rows.list_per_page].explain()
        assert re.search(index, plan), (query, plan)


LISTS = [
    "jobs/?page_size=200",
    "jobs/?search=Song+99",
    "jobs/?state=failed&created_before=2100-01-01T00:00:00Z",
    "jobs/?ordering=title",
    "tracks/?page_size=200",
    "tracks/?search=Song+99&ordering=-title",
]


def test_the_api_stays_quick(make_job, browser, django_assert_max_num_queries):
    crowd(make_job(State.DONE))
    for path in LISTS:
        with django_assert_max_num_queries(MOST):
            first = browser.get(f"/api/v1/{path}").json()
        with CaptureQueriesContext(connection) as asked:
            second = browser.get(first["next"]).json()
        assert len(asked) <= MOST
        assert second["results"] and second["results"][0] not in first["results"], path
        page = next(query["sql"] for query in asked if " LIMIT " in query["sql"] and "position" in query["sql"])
        assert not scans(page), path


def scans(sql):
    """The steps of a query plan that scan all jobs or tracks without an index."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {'QUERY PLAN' if connection.vendor == 'sqlite' else ''} {sql}")
        plan = [str(row[-1]) for row in cursor]
    whole = [line for line in plan if re.search(r"(Seq Scan on|^SCAN) webapp_(job|track)\b", line)]
    return [line for line in whole if "INDEX" not in line]
