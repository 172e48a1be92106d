//! What happens without being asked. Nothing depends on a job being punctual: reads and decisions compute what time has
//! made true by themselves; jobs write it down when nobody else does.

use std::time::Duration;

use billing_db::{Backend, due, outcomes};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::domain::instant::Instant;
use crate::domain::reason::Refusal;
use crate::engine::Engine;
use crate::engine::command::{Body, Command, Mode};

/// How often other instances' rows are looked for while some come, and while none do.
const POLL_BUSY: Duration = Duration::from_millis(20);
const POLL_IDLE: Duration = Duration::from_millis(250);
/// How often the queue of due things is looked at.
const DUE_EVERY: Duration = Duration::from_secs(1);
/// How many due things one look takes.
const DUE_AT_ONCE: i64 = 500;
/// The statistics of a young journal are renewed when it has so many rows, and whenever it has grown by a factor since.
const ANALYZE_FROM: i64 = 200;
const ANALYZE_FACTOR: i64 = 4;
const ANALYZE_LOOK_EVERY: Duration = Duration::from_millis(250);
/// From here on the database's own upkeep is enough.
const ANALYZE_UNTIL: i64 = 1_000_000;
/// How often the write-ahead log of SQLite is moved into the database.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(2);
/// Refusals are remembered this long (`rules.md`, Posting).
const REMEMBER_REFUSALS: Duration = Duration::from_secs(30 * 86_400);
/// How often the clock is held against the database's.
const CLOCK_EVERY: Duration = Duration::from_secs(5);
const FORGET_EVERY: Duration = Duration::from_secs(600);
const FORGET_AT_ONCE: i64 = 10_000;

/// Starts every job; they end when `shutdown` turns true.
pub fn start(engine: &Engine, shutdown: &watch::Receiver<bool>) -> JoinSet<()> {
    let mut jobs = JoinSet::new();
    for partition in 0..engine.partitions() {
        if engine.database().backend() == Backend::Postgres {
            jobs.spawn(until(shutdown.clone(), follow(engine.clone(), partition)));
        }
        jobs.spawn(until(shutdown.clone(), settle_due(engine.clone(), partition)));
        jobs.spawn(until(shutdown.clone(), forget_refusals(engine.clone(), partition)));
    }
    jobs.spawn(until(shutdown.clone(), watch_clock(engine.clone())));
    if engine.database().backend() == Backend::Postgres {
        jobs.spawn(until(shutdown.clone(), renew_statistics(engine.clone())));
    }
    if engine.database().backend() == Backend::Sqlite {
        jobs.spawn(until(shutdown.clone(), checkpoint(engine.clone())));
    }
    jobs
}

async fn until(mut shutdown: watch::Receiver<bool>, job: impl Future<Output = ()>) {
    tokio::select! {
        () = job => {}
        _ = shutdown.wait_for(|is_down| *is_down) => {}
    }
}

/// Applies the rows of other instances, so that subscribers here see them.
async fn follow(engine: Engine, partition: u16) {
    let mut pause = POLL_IDLE;
    let mut position = engine.position(partition).0;
    loop {
        tokio::time::sleep(pause).await;
        let before = engine.position(partition).0;
        if before != position {
            // Our own writes or reads have just shown that nothing is missed.
            position = before;
            pause = POLL_BUSY;
            continue;
        }
        let result = engine.refresh(partition).await;
        position = engine.position(partition).0;
        pause = if result.is_ok() && position != before { POLL_BUSY } else { POLL_IDLE };
    }
}

/// Writes down what has fallen due. The writer decides; what is no longer due writes nothing.
async fn settle_due(engine: Engine, partition: u16) {
    loop {
        tokio::time::sleep(DUE_EVERY).await;
        if let Err(refusal) = settle_due_once(&engine, partition, engine.now()).await {
            tracing::warn!(partition, reason = refusal.reason.name(), "what is due could not be settled");
        }
    }
}

/// Settles what is due in a partition at `now`; the number of accounts it concerned.
///
/// # Errors
/// When the database cannot be read or a command is refused.
pub async fn settle_due_once(engine: &Engine, partition: u16, now: Instant) -> Result<usize, Refusal> {
    let number = i16::try_from(partition).unwrap_or(i16::MAX);
    let ids = engine
        .read(move |conn| {
            let rows = due::next(conn, number, now.micros(), DUE_AT_ONCE)?;
            let mut accounts: Vec<i64> = rows.iter().map(|row| row.account).collect();
            accounts.sort_unstable();
            accounts.dedup();
            let rows = billing_db::accounts::get_by_numbers(conn, number, &accounts)?;
            Ok(rows.into_iter().map(|row| row.account_id).collect::<Vec<_>>())
        })
        .await?;
    let count = ids.len();
    let commands = ids
        .into_iter()
        .map(|account_id| Command { account_id, key: None, principal: None, body: Body::Settle, validate_only: false })
        .collect();
    for answer in engine.submit_all(commands, Mode::Independent, None).await {
        answer?;
    }
    Ok(count)
}

async fn renew_statistics(engine: Engine) {
    let rows = || (0..engine.partitions()).map(|partition| engine.position(partition).0).sum::<i64>();
    let mut next = ANALYZE_FROM;
    while next < ANALYZE_UNTIL {
        tokio::time::sleep(ANALYZE_LOOK_EVERY).await;
        if rows() < next {
            continue;
        }
        let database = engine.database().clone();
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || database.analyze()).await {
            tracing::warn!(%error, "the statistics of the database could not be renewed");
        }
        next = rows().saturating_mul(ANALYZE_FACTOR).max(ANALYZE_FROM);
    }
}

async fn watch_clock(engine: Engine) {
    loop {
        if let Err(refusal) = engine.check_clock().await {
            tracing::debug!(reason = refusal.reason.name(), "the database's clock could not be read");
        }
        tokio::time::sleep(CLOCK_EVERY).await;
    }
}

async fn forget_refusals(engine: Engine, partition: u16) {
    let number = i16::try_from(partition).unwrap_or(i16::MAX);
    loop {
        tokio::time::sleep(FORGET_EVERY).await;
        let Some(before) = engine.now().checked_sub(REMEMBER_REFUSALS) else { continue };
        let database = engine.database().clone();
        let forgotten = tokio::task::spawn_blocking(move || {
            let mut writer = database.writer()?;
            outcomes::delete_before(&mut writer.conn(), number, before.micros(), FORGET_AT_ONCE)
        });
        match forgotten.await {
            Ok(Ok(0)) | Err(_) => {}
            Ok(Ok(count)) => tracing::info!(partition, count, "refusals older than 30 days are forgotten"),
            Ok(Err(error)) => tracing::warn!(partition, %error, "old refusals could not be forgotten"),
        }
    }
}

async fn checkpoint(engine: Engine) {
    loop {
        tokio::time::sleep(CHECKPOINT_EVERY).await;
        let database = engine.database().clone();
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || database.checkpoint()).await {
            tracing::warn!(%error, "the write-ahead log could not be moved into the database");
        }
    }
}
