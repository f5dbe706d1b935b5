//! Where shipments are kept, and the steps that they may take.
//!
//! Each step is one statement that changes a shipment only from where it has to be: of many who ask at the same time, in
//! any number of processes, one wins, and the others see what it did.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pinnace::BoxError;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{Row as _, SqlSafeStr as _};
use tokio::sync::watch;

use crate::refusal::Refusal;
use crate::shipment::{Draft, OrderId, Recipient, Shipment, Status};
use crate::tariff;

/// In the order in which they are applied. What has been applied somewhere is never changed.
const MIGRATIONS: [(i64, &str, &str); 1] = [(1, "shipments", include_str!("../migrations/0001_shipments.sql"))];
/// How long somebody waits for another's write.
const PATIENCE: Duration = Duration::from_secs(5);
/// Readers at the same time, and a writer.
const CONNECTIONS: u32 = 8;

/// The shipments. Clones share connections.
#[derive(Clone, Debug)]
pub struct Store {
    pool: SqlitePool,
    /// Tells those who watch that this process has changed something.
    changes: Arc<watch::Sender<()>>,
}

/// A shipment that was asked for.
#[derive(Debug)]
pub(crate) enum Booked {
    Now(Shipment),
    Before(Shipment),
}

// ---- the database ----

impl Store {
    /// Opens the database of a URL such as `sqlite:////absolute/path.sqlite3`, which is made where it does not exist.
    pub async fn open(url: &str) -> Result<Self, BoxError> {
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(PATIENCE);
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(PATIENCE)
            .connect_with(options)
            .await?;
        Ok(Self { pool, changes: Arc::new(watch::Sender::new(())) })
    }

    /// Brings the tables up to date.
    pub async fn migrate(&self) -> Result<(), BoxError> {
        let migration = |(version, name, sql): (i64, &'static str, &'static str)| {
            Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
        };
        Migrator::with_migrations(MIGRATIONS.map(migration).into()).run(&self.pool).await?;
        Ok(())
    }

    /// Whether shipments can be read.
    pub(crate) async fn ping(&self) -> Result<(), BoxError> {
        sqlx::query("SELECT id FROM shipments LIMIT 1").fetch_optional(&self.pool).await?;
        Ok(())
    }

    /// Whatever this process changes from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }
}

// ---- reading ----

impl Store {
    /// The shipment of an order.
    pub(crate) async fn find(&self, order: &OrderId) -> Result<Shipment, Refusal> {
        let found = sqlx::query("SELECT * FROM shipments WHERE order_id = ?")
            .bind(order.as_str())
            .fetch_optional(&self.pool)
            .await?;
        Ok(read(&found.ok_or(Refusal::Unknown)?)?)
    }

    /// Those that were booked after one, oldest first; all of them, or those with a status.
    pub(crate) async fn list(&self, status: Option<Status>, after: i64, most: u32) -> Result<Vec<Shipment>, Refusal> {
        let rows = match status {
            Some(status) => sqlx::query("SELECT * FROM shipments WHERE status = ? AND id > ? ORDER BY id LIMIT ?")
                .bind(status.name()),
            None => sqlx::query("SELECT * FROM shipments WHERE id > ? ORDER BY id LIMIT ?"),
        };
        let rows = rows.bind(after).bind(most).fetch_all(&self.pool).await?;
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }
}

// ---- steps ----

impl Store {
    /// Books the shipment of an order, once. What was booked before is not changed.
    pub(crate) async fn book(&self, order: &OrderId, draft: &Draft) -> Result<Booked, Refusal> {
        let Draft { recipient: Recipient { name, address }, things } = draft;
        let booked = sqlx::query(
            "INSERT INTO shipments (order_id, status, name, address, things, booked_at)
             VALUES (?, 'ready', ?, ?, ?, ?) ON CONFLICT (order_id) DO NOTHING",
        )
        .bind(order.as_str())
        .bind(name)
        .bind(address)
        .bind(things)
        .bind(now())
        .execute(&self.pool)
        .await?;
        let shipment = self.find(order).await?;
        if booked.rows_affected() == 1 {
            self.tell(&shipment);
            return Ok(Booked::Now(shipment));
        }
        match shipment.status {
            Status::Cancelled => Err(Refusal::Conflict("the shipment of this order was cancelled".to_owned())),
            _ if shipment.is_of(draft) => Ok(Booked::Before(shipment)),
            _ => Err(Refusal::Conflict("the shipment of this order has other contents".to_owned())),
        }
    }

    /// Sends it, once.
    pub(crate) async fn dispatch(&self, order: &OrderId) -> Result<Shipment, Refusal> {
        let step = sqlx::query(
            "UPDATE shipments SET status = 'dispatched', tracking = ?, dispatched_at = ?
             WHERE order_id = ? AND status = 'ready'",
        );
        let step = step.bind(order.tracking()).bind(now()).bind(order.as_str());
        let changed = step.execute(&self.pool).await?.rows_affected();
        self.stands(order, changed, &[Status::Dispatched, Status::Delivered]).await
    }

    /// Notes that it has arrived, once.
    pub(crate) async fn deliver(&self, order: &OrderId) -> Result<Shipment, Refusal> {
        let step = sqlx::query(
            "UPDATE shipments SET status = 'delivered', delivered_at = ? WHERE order_id = ? AND status = 'dispatched'",
        );
        let changed = step.bind(now()).bind(order.as_str()).execute(&self.pool).await?.rows_affected();
        self.stands(order, changed, &[Status::Delivered]).await
    }

    /// Takes it back. One that was never booked is cancelled as well, so that a booking that comes late finds it so.
    pub(crate) async fn cancel(&self, order: &OrderId) -> Result<Shipment, Refusal> {
        let step = sqlx::query(
            "INSERT INTO shipments (order_id, status, name, address, things, booked_at)
             VALUES (?, 'cancelled', '', '', 0, ?)
             ON CONFLICT (order_id) DO UPDATE SET status = 'cancelled' WHERE shipments.status = 'ready'",
        );
        let changed = step.bind(order.as_str()).bind(now()).execute(&self.pool).await?.rows_affected();
        self.stands(order, changed, &[Status::Cancelled]).await
    }

    /// The shipment after a step; a conflict where it does not stand where the step leads to.
    async fn stands(&self, order: &OrderId, changed: u64, reached: &[Status]) -> Result<Shipment, Refusal> {
        let shipment = self.find(order).await?;
        if changed == 1 {
            self.tell(&shipment);
        }
        if reached.contains(&shipment.status) {
            return Ok(shipment);
        }
        Err(Refusal::Conflict(format!("the shipment of this order is {}", shipment.status)))
    }

    fn tell(&self, shipment: &Shipment) {
        tracing::info!(order = shipment.order.as_str(), status = shipment.status.name(), "a shipment has moved on");
        self.changes.send_replace(());
    }
}

fn read(row: &SqliteRow) -> Result<Shipment, sqlx::Error> {
    let strange = |column: &str| sqlx::Error::Decode(format!("a strange {column}").into());
    let things = row.try_get("things")?;
    Ok(Shipment {
        id: row.try_get("id")?,
        order: row.try_get::<String, _>("order_id")?.parse().map_err(|()| strange("order_id"))?,
        status: Status::parse(row.try_get("status")?).ok_or_else(|| strange("status"))?,
        recipient: Recipient { name: row.try_get("name")?, address: row.try_get("address")? },
        things,
        parcels: tariff::parcels(things),
        tracking: row.try_get("tracking")?,
        booked_at: row.try_get("booked_at")?,
        dispatched_at: row.try_get("dispatched_at")?,
        delivered_at: row.try_get("delivered_at")?,
    })
}

fn now() -> String {
    format!("{:.3}", Timestamp::now())
}
