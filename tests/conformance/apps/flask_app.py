"""The blog of Flask's tutorial, in one file: users, sessions, a database, posts."""

from __future__ import annotations

import functools
import os
import sqlite3
import tempfile
from typing import Any

from flask import Flask, abort, flash, g, redirect, render_template_string, request, session, url_for
from werkzeug.security import check_password_hash, generate_password_hash

SCHEMA = """
create table user (id integer primary key, username text unique not null, password text not null);
create table post (id integer primary key, author integer not null, title text not null, body text not null);
"""
PAGE = """<!doctype html><title>{{ title }}</title>{% for line in get_flashed_messages() %}<p>{{ line }}</p>{% endfor %}
{% if g.user %}<a>{{ g.user["username"] }}</a>{% endif %}
{% for post in posts %}<h1>{{ post["title"] }}</h1><p>{{ post["body"] }}</p>{% endfor %}"""


def create_app() -> Flask:
    app = Flask(__name__)
    app.config.update(SECRET_KEY="for tests", DATABASE=os.path.join(tempfile.mkdtemp(), "blog.sqlite"))
    with sqlite3.connect(app.config["DATABASE"]) as database:
        database.executescript(SCHEMA)

    def db() -> sqlite3.Connection:
        if "db" not in g:
            g.db = sqlite3.connect(app.config["DATABASE"])
            g.db.row_factory = sqlite3.Row
        opened: sqlite3.Connection = g.db
        return opened

    @app.teardown_appcontext
    def close(_: BaseException | None) -> None:
        opened = g.pop("db", None)
        if opened is not None:
            opened.close()

    @app.before_request
    def load_user() -> None:
        user = session.get("user")
        g.user = db().execute("select * from user where id = ?", (user,)).fetchone() if user else None

    def login_required(view: Any) -> Any:
        @functools.wraps(view)
        def wrapped(**arguments: Any) -> Any:
            return view(**arguments) if g.user else redirect(url_for("login"))

        return wrapped

    def page(title: str, **values: Any) -> str:
        return render_template_string(PAGE, title=title, **values)

    @app.route("/")
    def index() -> str:
        return page("Posts", posts=db().execute("select * from post order by id").fetchall())

    @app.route("/auth/register", methods=("GET", "POST"))
    def register() -> Any:
        if request.method == "POST":
            name, password = request.form["username"], request.form["password"]
            try:
                hashed = generate_password_hash(password, "pbkdf2:sha256:1000")
                db().execute("insert into user (username, password) values (?, ?)", (name, hashed))
                db().commit()
                return redirect(url_for("login"))
            except sqlite3.IntegrityError:
                flash(f"User {name} is already registered.")
        return page("Register")

    @app.route("/auth/login", methods=("GET", "POST"))
    def login() -> Any:
        if request.method == "POST":
            found = db().execute("select * from user where username = ?", (request.form["username"],)).fetchone()
            if found and check_password_hash(found["password"], request.form["password"]):
                session.clear()
                session["user"] = found["id"]
                return redirect(url_for("index"))
            flash("Incorrect username or password.")
        return page("Log in")

    @app.route("/auth/logout")
    def logout() -> Any:
        session.clear()
        return redirect(url_for("index"))

    @app.route("/create", methods=("GET", "POST"))
    @login_required
    def create() -> Any:
        if request.method == "POST":
            values = (g.user["id"], request.form["title"], request.form["body"])
            db().execute("insert into post (author, title, body) values (?, ?, ?)", values)
            db().commit()
            return redirect(url_for("index"))
        return page("New post")

    @app.route("/<int:number>/update", methods=("GET", "POST"))
    @login_required
    def update(number: int) -> Any:
        post = db().execute("select * from post where id = ?", (number,)).fetchone() or abort(404)
        if post["author"] != g.user["id"]:
            abort(403)
        return page("Edit", posts=[post])

    return app


app = create_app()
