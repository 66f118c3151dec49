"""What the workers do."""

import socket

import store


def count_words(number):
    with store.cursor() as cursor:
        cursor.execute("SELECT text FROM jobs WHERE id = %s", (number,))
        words = len(cursor.fetchone()[0].split())
        cursor.execute("UPDATE jobs SET words = %s, worker = %s, done = now() WHERE id = %s",
                       (words, socket.gethostname(), number))
    return words
