"""Drives the catalog as a program of the Python standard library does: create, look up, patch, activate, page, delete."""

import http.client
import json
import socket
import sys
import urllib.parse


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(30)
        self.sock.connect(self.path)


connection = Connection(sys.argv[1])
root = "/rest_api/v1/"


def ask(method, path, body=None, follow=True):
    headers = {"Content-Type": "application/json", "Authorization": "Token " + "0" * 40, "PDC-Change-Comment": "a test"} if body is not None else {}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status == 301 and follow:  # as requests does for GET
        return ask(method, answer.headers["Location"], body, False)
    return answer.status, json.loads(text) if text else None


def want(status, got):
    assert got[0] == status, (status, got)
    return got[1]


token = want(200, ask("GET", root + "auth/token/obtain"))["token"]
assert len(token) == 40
modules = urllib.parse.urlsplit(want(200, ask("GET", root))["modules"]).path
assert modules == root + "modules/"

build = {"name": "tool", "stream": "f28", "version": 20180123171544, "context": "2f345c78", "koji_tag": "module-ce2adf69caf0e1b5", "modulemd": "data here"}
build["rpms"] = [{"name": "tool-libs", "epoch": "0", "version": "1.0", "release": "1", "arch": "x86_64", "srpm_name": "tool", "srpm_nevra": "tool-0:1.0-1.src"}]
made = want(201, ask("POST", modules, build))
uid = made["uid"]
assert uid == "tool:f28:20180123171544:2f345c78", uid
assert made["active"] is False and made["rpms"] == ["tool-libs-0:1.0-1.x86_64.rpm"]
found = want(200, ask("GET", modules + "?component_name=tool&active=false&name=TOOL"))
assert [row["uid"] for row in found["results"]] == [uid], found
assert want(200, ask("GET", modules + urllib.parse.quote(uid, safe="") + "/")) == made
patched = want(200, ask("PATCH", modules + uid + "/", {"version": "2", "runtime_deps": [{"dependency": "platform", "stream": "f28"}]}))
assert patched["uid"] == "tool:f28:2:2f345c78" and patched["runtime_deps"] == [{"dependency": "platform", "stream": "f28"}], patched
uid = patched["uid"]
assert want(200, ask("PATCH", modules, {uid: {"active": True}}))[uid]["active"] is True
assert want(200, ask("GET", modules + "?active=true&runtime_dep_name=platform"))["count"] == 1

many = [dict(build, name="many%02d" % i, rpms=[]) for i in range(30)]
assert len(want(201, ask("POST", modules, many))) == 30
seen, url = [], "http://localhost" + modules + "?stream=f28&page_size=7"
while url:
    parts = urllib.parse.urlsplit(url)
    page = want(200, ask("GET", parts.path + "?" + parts.query))
    seen += [row["uid"] for row in page["results"]]
    url = page["next"]
assert len(seen) == 31 == len(set(seen)), seen
assert want(200, ask("GET", modules + "?page_size=-1&fields=uid&stream=f28")) == [{"uid": u} for u in seen]
assert ask("DELETE", modules, seen)[0] == 204
assert ask("GET", modules + uid + "/")[0] == 404
print("done")
