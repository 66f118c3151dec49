"""The one table of the application."""
import os

import psycopg2

SCHEMA = """
SELECT pg_advisory_xact_lock(1);
CREATE TABLE IF NOT EXISTS results (
    job text PRIMARY KEY,
    text text NOT NULL,
    words integer NOT NULL,
    longest text NOT NULL,
    worker text NOT NULL,
    done_at timestamptz NOT NULL DEFAULT now()
)
"""


def connect():
    return psycopg2.connect(os.environ["DATABASE_URL"], connect_timeout=5)


def prepare():
    """Makes the table. Several services may do so at once; the lock lets them pass one by one."""
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute(SCHEMA)


def store(job, text, words, longest, worker):
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO results (job, text, words, longest, worker) VALUES (%s, %s, %s, %s, %s)"
            " ON CONFLICT (job) DO NOTHING", (job, text, words, longest, worker))


def find(job):
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT words, longest, worker, done_at FROM results WHERE job = %s", (job,))
        return cursor.fetchone()
