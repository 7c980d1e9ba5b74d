"""Announces the newest section of a change log, with a token that the plugin never sees."""

import json

from bespin import info, rejected, step, text, transient
from wit_world.imports import http, secrets, workspace


@step
def Guest(to, secret, file="CHANGELOG.md"):
    version, notes = newest(workspace.read(file).decode(), file)
    info(f"announcing {version}")
    headers = [
        http.Header("authorization", text("Bearer ", secrets.get(secret))),
        http.Header("content-type", text("application/json")),
    ]
    body = json.dumps({"version": version, "notes": notes}).encode()
    status = http.send(http.Request("POST", text(to), headers, body)).status
    if status == 429 or status >= 500:
        raise transient(f"{to} answered {status}")
    if not 200 <= status < 300:
        raise rejected(f"{to} answered {status}")
    return {"version": version, "lines": str(len(notes.splitlines()))}


def newest(log, file):
    _, *sections = f"\n{log}".split("\n## ")
    if not sections:
        raise rejected(f"{file} has no section: a line that begins with `## `")
    title, _, notes = sections[0].partition("\n")
    return title.split(" ")[0], notes.strip()
