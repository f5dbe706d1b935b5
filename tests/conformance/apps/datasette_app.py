"""Datasette over a small database."""

from __future__ import annotations

import os
import sqlite3
import tempfile

from datasette.app import Datasette

path = os.path.join(tempfile.mkdtemp(), "fixtures.db")
with sqlite3.connect(path) as database:
    database.executescript(
        """
        create table city (id integer primary key, name text, country text);
        create table person (id integer primary key, name text, city integer references city(id), picture blob);
        create view names as select name from person union select name from city;
        """
    )
    database.executemany(
        "insert into city values (?, ?, ?)", [(n, f"City {n}", "DE" if n % 2 else "FR") for n in range(1, 121)]
    )
    rows = [(n, f"Person {n} é", n % 120 + 1, bytes([n % 256]) * 10 if n % 3 else None) for n in range(1, 1501)]
    database.executemany("insert into person values (?, ?, ?, ?)", rows)

app = Datasette([path], secret="for tests", settings={"num_sql_threads": 3, "allow_csv_stream": True}).app()
