"""Takes jobs in and tells what became of them."""

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

import store

app = FastAPI()
jobs = store.queue()


class Job(BaseModel):
    text: str


@app.on_event("startup")
def make_table():
    with store.cursor() as cursor:
        cursor.execute(store.TABLE)


@app.get("/health")
def health():
    return {"ok": jobs.connection.ping()}


@app.post("/jobs", status_code=202)
def add(job: Job):
    with store.cursor() as cursor:
        cursor.execute("INSERT INTO jobs (text) VALUES (%s) RETURNING id", (job.text,))
        number = cursor.fetchone()[0]
    # After the commit: a worker may be quicker than this line.
    jobs.enqueue("tasks.count_words", number)
    return {"id": number}


@app.get("/jobs/{number}")
def show(number: int):
    with store.cursor() as cursor:
        cursor.execute("SELECT text, words, worker, done FROM jobs WHERE id = %s", (number,))
        row = cursor.fetchone()
    if row is None:
        raise HTTPException(404, "no such job")
    text, words, worker, done = row
    return {"id": number, "status": "done" if done else "queued", "text": text, "words": words,
            "worker": worker, "done": done}
