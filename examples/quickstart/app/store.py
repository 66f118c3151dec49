"""The table of jobs, and where Postgres and Redis are."""

import os
from contextlib import contextmanager

import psycopg2
from redis import Redis
from rq import Queue

TABLE = """
CREATE TABLE IF NOT EXISTS jobs (
    id     serial PRIMARY KEY,
    text   text NOT NULL,
    words  integer,
    worker text,
    done   timestamptz
)
"""


@contextmanager
def cursor():
    """One transaction on a connection of its own, so that a restarted Postgres is no trouble."""
    connection = psycopg2.connect(os.environ["DATABASE_URL"], connect_timeout=5)
    try:
        with connection, connection.cursor() as found:
            yield found
    finally:
        connection.close()


def redis():
    return Redis.from_url(os.environ["REDIS_URL"])


def queue():
    return Queue("jobs", connection=redis())
