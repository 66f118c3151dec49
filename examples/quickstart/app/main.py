"""The API: takes jobs, hands them to the workers, shows what became of them."""
import os

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
from redis import Redis
from rq import Queue
from rq.exceptions import NoSuchJobError
from rq.job import Job

import database

app = FastAPI(title="wherry quickstart")
redis = Redis.from_url(os.environ["REDIS_URL"])
queue = Queue("jobs", connection=redis)


class Text(BaseModel):
    text: str


@app.on_event("startup")
def prepare():
    database.prepare()


@app.get("/health")
def health():
    redis.ping()
    return {"status": "ok"}


@app.post("/jobs", status_code=202)
def create(body: Text):
    job = queue.enqueue("jobs.count_words", body.text)
    return {"id": job.id, "status": "queued"}


@app.get("/jobs/{job_id}")
def show(job_id: str):
    row = database.find(job_id)
    if row:
        words, longest, worker, done_at = row
        return {"id": job_id, "status": "done", "words": words, "longest": longest,
                "worker": worker, "done_at": done_at}
    try:
        return {"id": job_id, "status": Job.fetch(job_id, connection=redis).get_status()}
    except NoSuchJobError:
        raise HTTPException(status_code=404, detail="no such job") from None
