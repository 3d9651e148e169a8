"""Fills a site with a hundred thousand jobs, which the database itself makes in seconds."""

from typing import Any

from django.db import connection, models

from webapp.models import Job

COUNT = 100_000
SQLITE = {
    "id": "printf('%%032x', i)",
    "at": "strftime('%%Y-%%m-%%d %%H:%%M:%%S.123456', {column}, '-' || i || ' minutes')",
}
POSTGRES = {"id": "lpad(to_hex(i), 32, '0')::uuid", "at": "{column} - i * interval '1 minute'"}
NUMBERS = f"WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < {COUNT})"
STATE = "CASE WHEN i % 20 = 0 THEN 'failed' ELSE state END"
REVIEW = "CASE WHEN i % 50 = 0 THEN 'pending' ELSE '' END"


def crowd(job: Job) -> None:
    """Copy a job and its track, each copy a minute older than the one before. Some failed, some await a review."""
    sql = SQLITE if connection.vendor == "sqlite" else POSTGRES
    created, ended = (sql["at"].format(column=name) for name in ("created_at", "finished_at"))
    _copy(job.track, {"id": sql["id"], "title": "'Song ' || i", "created_at": created})
    more = {"state": STATE.replace("%", "%%"), "review": REVIEW.replace("%", "%%"), "finished_at": ended}
    _copy(job, {"id": sql["id"], "track_id": sql["id"], "created_at": created, **more})
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _copy(row: models.Model, changes: dict[str, str]) -> None:
    table, columns = row._meta.db_table, [field.column for field in row._meta.concrete_fields]
    values = ", ".join(changes.get(column, column) for column in columns)
    key: Any = row._meta.pk.get_db_prep_value(row.pk, connection)
    with connection.cursor() as cursor:
        cursor.execute(
            f"{NUMBERS} INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table}, numbers WHERE id = %s",
            [key],
        )
