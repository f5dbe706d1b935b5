CREATE TABLE shipments (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    order_id      TEXT NOT NULL UNIQUE,
    status        TEXT NOT NULL CHECK (status IN ('ready', 'dispatched', 'delivered', 'cancelled')),
    name          TEXT NOT NULL,
    address       TEXT NOT NULL,
    things        INTEGER NOT NULL CHECK (things >= 0),
    tracking      TEXT,
    booked_at     TEXT NOT NULL,
    dispatched_at TEXT,
    delivered_at  TEXT,
    CHECK ((status IN ('dispatched', 'delivered')) = (tracking IS NOT NULL AND dispatched_at IS NOT NULL)),
    CHECK ((status = 'delivered') = (delivered_at IS NOT NULL))
) STRICT;

CREATE INDEX shipments_by_status ON shipments (status, id);
