//! The schema: embedded migrations, the rows a new database begins with, and which servers it serves.

use std::error::Error;
use std::thread;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::migration::MigrationConnection;
use diesel::prelude::*;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::backend::{Conn, on_backend};
use crate::database::Database;
use crate::error::{DbError, ErrorKind};
use crate::partitions;
use crate::rows::{JournalRow, PartitionRow};
use crate::schema;

/// The migrations for PostgreSQL.
pub const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");
/// The migrations for SQLite.
pub const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// The version of this server, as the schema's `oldest_server` means it.
pub const SCHEMA_VERSION: i64 = 1;
/// The newest layout of journal rows this server writes.
pub const ROW_FORMAT: i16 = 1;
/// The most partitions a database may have.
pub const MAX_PARTITIONS: u16 = 64;

/// How often the migrations are tried when another server runs them at the same time.
const ATTEMPTS: u32 = 10;

/// What a migration did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// The versions that were applied now.
    pub applied: Vec<String>,
    /// Whether the database was empty before.
    pub created: bool,
    /// How many partitions it has.
    pub partitions: u16,
}

/// Brings the schema up to date and, in a new database, creates the partitions (1 when not said) with what `genesis`
/// gives for each as its row at position 0. All of it is one transaction; servers that start at once take turns.
pub fn run(
    database: &Database,
    partitions: Option<u16>,
    now_micros: i64,
    token_secret: &str,
    genesis: &dyn Fn(i16) -> JournalRow,
) -> Result<Migrated, DbError> {
    let mut owned = database.patient()?;
    let mut attempt = 1;
    let migrated = loop {
        let result = owned.conn().transaction(|conn| {
            let applied = apply(conn)?;
            refuse_too_new(conn)?;
            let (created, partitions) = populate(conn, partitions, now_micros, token_secret, genesis)?;
            Ok(Migrated { applied, created, partitions })
        });
        match result {
            Err(error) if attempt < ATTEMPTS && matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Retry) => {
                tracing::info!(%error, "another server migrates the database; trying again");
                thread::sleep(Duration::from_millis(50));
                attempt += 1;
            }
            result => break result?,
        }
    };
    on_backend!(&mut owned.conn(), |c| c.batch_execute("analyze"))?;
    Ok(migrated)
}

/// Whether there are migrations to run.
pub fn pending(database: &Database) -> Result<bool, DbError> {
    let mut owned = database.patient()?;
    match &mut owned.conn() {
        Conn::Postgres(c) => c.has_pending_migration(POSTGRES),
        Conn::Sqlite(c) => c.has_pending_migration(SQLITE),
    }
    .map_err(migration_error)
}

/// Allows the newest row format, once no older server is left. Returns that format.
pub fn finalize(database: &Database) -> Result<i16, DbError> {
    let mut owned = database.writer()?;
    on_backend!(&mut owned.conn(), |c| {
        diesel::update(schema::partitions::table.filter(schema::partitions::format.lt(ROW_FORMAT)))
            .set(schema::partitions::format.eq(ROW_FORMAT))
            .execute(c)
    })?;
    Ok(ROW_FORMAT)
}

fn apply(conn: &mut Conn<'_>) -> Result<Vec<String>, DbError> {
    on_backend!(conn, |c| MigrationConnection::setup(c))?;
    let versions = match conn {
        Conn::Postgres(c) => {
            // Whoever comes second waits here, and then finds nothing left to do.
            c.batch_execute("lock table __diesel_schema_migrations in share row exclusive mode")?;
            c.run_pending_migrations(POSTGRES)
        }
        Conn::Sqlite(c) => c.run_pending_migrations(SQLITE),
    };
    Ok(versions.map_err(migration_error)?.iter().map(ToString::to_string).collect())
}

fn migration_error(error: Box<dyn Error + Send + Sync>) -> DbError {
    match error.downcast::<diesel::result::Error>() {
        Ok(error) => DbError::Query(*error),
        Err(error) => DbError::Migration(error),
    }
}

fn refuse_too_new(conn: &mut Conn<'_>) -> Result<(), DbError> {
    let Some(oldest_server) = partitions::setting(conn, "oldest_server")? else {
        return Ok(());
    };
    let oldest_server =
        oldest_server.parse().map_err(|_| DbError::Invariant("`oldest_server` is not a number".to_owned()))?;
    if oldest_server > SCHEMA_VERSION {
        return Err(DbError::TooNew { oldest_server, known: SCHEMA_VERSION });
    }
    Ok(())
}

/// Fills a new database, or checks the number of partitions of an old one; tells which it was and how many there are.
fn populate(
    conn: &mut Conn<'_>,
    asked: Option<u16>,
    now_micros: i64,
    token_secret: &str,
    genesis: &dyn Fn(i16) -> JournalRow,
) -> Result<(bool, u16), DbError> {
    let existing = u16::try_from(partitions::all(conn)?.len()).unwrap_or(u16::MAX);
    if existing > 0 {
        return match asked {
            Some(asked) if asked != existing => Err(DbError::Partitions { asked, existing }),
            _ => Ok((false, existing)),
        };
    }
    let count = asked.unwrap_or(1);
    if !(1..=MAX_PARTITIONS).contains(&count) {
        return Err(DbError::Invariant(format!("a database has 1 to {MAX_PARTITIONS} partitions, not {count}")));
    }
    for partition in (0_i16..).take(usize::from(count)) {
        let row = PartitionRow { partition, epoch: 1, format: ROW_FORMAT, closed_until: None };
        let genesis = genesis(partition);
        if (genesis.partition, genesis.position, genesis.account, genesis.sequence) != (partition, 0, 0, 0) {
            return Err(DbError::Invariant("a genesis row stands at position 0 of its partition".to_owned()));
        }
        on_backend!(conn, |c| {
            diesel::insert_into(schema::partitions::table).values(row).execute(c)?;
            diesel::insert_into(schema::journal::table).values(&genesis).execute(c)
        })?;
    }
    let database_id = partitions::random_id(conn)?;
    for (name, value) in [
        ("partitions", count.to_string().as_str()),
        ("token_secret", token_secret),
        ("oldest_server", "1"),
        ("database_id", &database_id),
        ("created_at", &now_micros.to_string()),
    ] {
        partitions::put_setting(conn, name, value)?;
    }
    Ok((true, count))
}
