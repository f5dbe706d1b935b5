"""A Flask application as anybody would write it."""

from __future__ import annotations

from flask import Flask, Response, jsonify, request, stream_with_context


def create_app() -> Flask:
    """The factory."""
    app = Flask(__name__)

    @app.get("/hello/<name>")
    def hello(name: str) -> Response:
        return jsonify(hello=name, q=request.args.get("q"))

    @app.post("/form")
    def form() -> Response:
        return jsonify(request.form.to_dict() | {"file": len(request.files["file"].read()) if request.files else 0})

    @app.post("/json")
    def json() -> Response:
        return jsonify(request.get_json())

    @app.get("/stream")
    def stream() -> Response:
        return Response(stream_with_context(f"{number}\n" for number in range(5)))

    @app.get("/broken")
    def broken() -> Response:
        raise RuntimeError("broken on purpose")

    return app
