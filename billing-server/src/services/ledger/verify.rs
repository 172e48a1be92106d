//! Verifying the ledger while it is served.

use std::sync::Arc;
use std::time::{Duration, Instant as Moment};

use billing_proto::v1;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use v1::verify_ledger_response::Message;

use super::Answers;
use crate::audit::{Audit, Finding, Summary};
use crate::convert::violations::Violations;
use crate::convert::{position, text, time};
use crate::domain::instant::Instant;
use crate::domain::reason::{Reason, Refusal};
use crate::engine::Engine;
use crate::services::{Call, Drain, find};

/// How often the progress is told.
const PROGRESS: Duration = Duration::from_secs(1);
/// Messages that the client has not taken yet.
const MAX_UNTAKEN: usize = 64;

type Sender = mpsc::Sender<Result<v1::VerifyLedgerResponse, Status>>;

/// Begins a verification.
pub(super) async fn verify(
    engine: &Engine,
    drain: Drain,
    room: &Arc<Semaphore>,
    request: Request<v1::VerifyLedgerRequest>,
) -> Result<Response<Answers<v1::VerifyLedgerResponse>>, Status> {
    let call = Call::of(&request)?;
    let mut found = Violations::default();
    let account_id = text::optional_id(&mut found, "account_id", request.into_inner().account_id);
    found.finish()?;
    let permit = Arc::clone(room).try_acquire_owned().map_err(|_| {
        Refusal::new(Reason::Overloaded, "Other verifications are under way; each reads the whole journal. Try later.")
    })?;
    let start = engine.now();
    let audit = call.within(begin(engine, account_id)).await?;
    let (sender, receiver) = mpsc::channel(MAX_UNTAKEN);
    tokio::spawn(run(engine.clone(), audit, start, drain, sender, permit));
    Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
}

async fn begin(engine: &Engine, account_id: Option<String>) -> Result<Audit, Refusal> {
    let Some(account_id) = account_id else {
        return engine.read(Audit::of_ledger).await;
    };
    let (partition, id) = (find::number(engine.partition_of(&account_id)), account_id.clone());
    let audit = engine.read(move |conn| Audit::of_account(conn, partition, &id)).await?;
    audit.ok_or_else(|| find::not_found(&account_id))
}

/// Sends what is found, the progress and the summary, until the client goes away or the server stops.
async fn run(
    engine: Engine,
    audit: Audit,
    start: Instant,
    drain: Drain,
    sender: Sender,
    _permit: OwnedSemaphorePermit,
) {
    let end = tokio::select! {
        end = check(&engine, audit, start, &sender) => end,
        () = drain.stopping() => {
            Err(Refusal::new(Reason::ShuttingDown, "The server is stopping; verify again on another."))
        }
    };
    if let Err(refusal) = end {
        // Nobody listens when the client has gone.
        let _ = sender.send(Err(refusal.into())).await;
    }
}

async fn check(engine: &Engine, mut audit: Audit, start: Instant, sender: &Sender) -> Result<(), Refusal> {
    let mut told = Moment::now();
    loop {
        let (moved, step) = engine
            .read(move |conn| {
                let step = audit.step(conn)?;
                Ok((audit, step))
            })
            .await?;
        audit = moved;
        let Some(step) = step else { break };
        for finding in step.findings {
            if !send(sender, Message::Violation(violation(finding))).await {
                return Ok(());
            }
        }
        if let Some((partition, last)) = step.at.filter(|_| told.elapsed() >= PROGRESS) {
            told = Moment::now();
            let progress = v1::VerificationProgress {
                position: Some(position::to_wire(partition, last)),
                checked_rows: audit.summary().rows,
                total_rows: audit.total_rows().max(audit.summary().rows),
            };
            if !send(sender, Message::Progress(progress)).await {
                return Ok(());
            }
        }
    }
    send(sender, Message::Summary(summary(audit.summary(), start))).await;
    Ok(())
}

/// Whether the client is still there.
async fn send(sender: &Sender, message: Message) -> bool {
    sender.send(Ok(v1::VerifyLedgerResponse { message: Some(message) })).await.is_ok()
}

fn violation(finding: Finding) -> v1::LedgerViolation {
    v1::LedgerViolation {
        kind: finding.fault as i32,
        position: finding.at.map(|(partition, at)| position::to_wire(partition, at)),
        account_id: finding.account_id,
        sequence: finding.sequence,
        expected: finding.expected,
        found: finding.found,
        message: finding.message.to_owned(),
    }
}

fn summary(summary: &Summary, start: Instant) -> v1::VerificationSummary {
    let head = |(partition, at, hash): &(i16, i64, Vec<u8>)| v1::ChainHead {
        position: Some(position::to_wire(*partition, *at)),
        hash: hash.clone(),
    };
    v1::VerificationSummary {
        checked_rows: summary.rows,
        violation_count: summary.findings,
        erased_rows: summary.erased,
        heads: summary.heads.iter().map(head).collect(),
        start_time: Some(time::to_wire(start)),
    }
}
