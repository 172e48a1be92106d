//! Keeps one partition's lane going: tells its subscribers of new rows, and reads the rows that were not told.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::lane::{Lane, Next};
use super::source::Source;
use super::token::Mark;
use crate::domain::reason::Refusal;
use crate::engine::record::Record;

/// How many rows of a gap one query reads.
const PAGE: usize = 1_000;
/// How long to wait before a gap that could not be read is tried again.
const PATIENCE: Duration = Duration::from_millis(100);

/// Runs until the server stops.
pub(super) async fn run(lane: Arc<Lane>, source: Arc<dyn Source>, mut drain: watch::Receiver<bool>) {
    loop {
        let next = lane.tell();
        let work = async {
            match next {
                Next::More => tokio::task::yield_now().await,
                Next::Begin => lane.begin(source.newest(lane.partition)),
                Next::Gap(newest) => fill(&lane, &*source, newest).await,
                Next::Wait => lane.arrival().await,
            }
        };
        tokio::select! {
            () = work => {}
            // Subscriptions end by themselves; a server that is gone without a word is stopping too.
            _ = drain.wait_for(|stopping| *stopping) => return,
        }
    }
}

/// Begins a lane some rows below the newest and reads these: after a restart most readers come back within them.
pub(super) async fn warm(lane: &Lane, source: &dyn Source, rows: usize) {
    let newest = source.newest(lane.partition);
    let from = newest.position.saturating_sub(i64::try_from(rows).unwrap_or(i64::MAX)).max(0);
    let found = source.marks(vec![(lane.partition, from)]).await;
    let found = found.ok().and_then(|marks| marks.into_iter().next().flatten());
    lane.begin(found.unwrap_or(newest));
    while let Some(reached) = lane.newest().filter(|reached| reached.position < newest.position) {
        // Rows that cannot be read now, or are no more, are read when somebody asks for them.
        if !matches!(read_above(lane, source, reached).await, Ok(true)) {
            tracing::warn!(partition = lane.partition, "the feed begins without its newest rows");
            lane.begin(newest);
        }
    }
}

/// Reads the rows above the newest. Those that come meanwhile wait in the journal for the next turn.
async fn fill(lane: &Lane, source: &dyn Source, newest: Mark) {
    match read_above(lane, source, newest).await {
        Ok(true) => {}
        Ok(false) => tokio::time::sleep(PATIENCE).await,
        Err(refusal) => {
            tracing::warn!(partition = lane.partition, reason = refusal.reason.name(), "a gap of the feed is not read");
            tokio::time::sleep(PATIENCE).await;
        }
    }
}

/// Takes in a page of the rows above the newest; false if there was none.
async fn read_above(lane: &Lane, source: &dyn Source, newest: Mark) -> Result<bool, Refusal> {
    let page = source.above(lane.partition, newest.position, PAGE, None).await?;
    let records: Vec<Arc<Record>> = page.records.into_iter().map(Arc::new).collect();
    lane.accept(&records);
    Ok(!records.is_empty())
}
