"""What the workers do."""
import socket

from rq import get_current_job

import database


def count_words(text):
    words = text.split()
    longest = max(words, key=len, default="")
    database.store(get_current_job().id, text, len(words), longest, socket.gethostname())
    return len(words)
