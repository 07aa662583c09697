"""The list of checks, as a Flask user would write it."""

import hashlib
import time

from flask import Flask, Response, jsonify, request

app = Flask(__name__)
seen = {"disconnects": 0}


@app.get("/plain")
def plain():
    return "Hello, world!"


@app.post("/json")
def echo_json():
    return jsonify(request.get_json())


@app.post("/form")
def form():
    return {"name": request.form["name"], "file": request.files["file"].filename}


@app.post("/upload")
def upload():
    size, digest = 0, hashlib.sha256()
    while chunk := request.stream.read(65536):
        size += len(chunk)
        digest.update(chunk)
    return {"bytes": size, "sha256": digest.hexdigest()}


@app.get("/cookies")
def cookies():
    response = Response("cookies")
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


@app.get("/stream")
def stream():
    return Response((f"part {number}\n" for number in range(5)), mimetype="text/plain")


@app.get("/endless")
def endless():
    def parts():
        try:
            while True:
                yield b"x" * 1024
                time.sleep(0.01)
        finally:
            seen["disconnects"] += 1

    return Response(parts())


@app.get("/disconnects")
def disconnects():
    return jsonify(seen["disconnects"])


@app.get("/error")
def error():
    raise RuntimeError("on purpose")
