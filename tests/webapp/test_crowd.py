"""With a hundred thousand jobs the administrator's lists still take few queries, and find their rows by indexes."""

import re

import pytest
from crowd import COUNT, crowd

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
