//! Every mutation as a value, and its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant as Deadline;

use chrono::NaiveDate;
use tokio::sync::oneshot;

use super::record::Record;
use crate::domain::reason::Refusal;
use crate::domain::{accounts, holds, ledger};

/// A mutation to decide and, if it is accepted, to append.
#[derive(Clone, Debug)]
pub struct Command {
    /// The account it is about, which is the scope of its key; empty for what belongs to no account.
    pub account_id: String,
    /// The idempotency key.
    pub key: Option<String>,
    /// Who asked, as the journal will name them.
    pub principal: Option<Arc<str>>,
    /// What to do.
    pub body: Body,
    /// Only say what would happen.
    pub validate_only: bool,
}

/// What a command does.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Body {
    CreateAccount(Box<accounts::Create>),
    UpdateAccount(Box<accounts::Update>),
    CloseAccount(accounts::StateChange),
    ReopenAccount(accounts::StateChange),
    AnonymizeAccount(accounts::StateChange),
    Post(Box<ledger::Post>),
    Transfer(Box<ledger::Transfer>),
    Reverse(Box<ledger::Reverse>),
    PlaceHold(Box<holds::Place>),
    UpdateHold(Box<holds::Update>),
    CaptureHold(Box<holds::Capture>),
    ReleaseHold {
        hold_id: String,
    },
    CloseBooks {
        until: NaiveDate,
        reason: Option<String>,
    },
    /// Write down what time has made true of the account.
    Settle,
}

impl Command {
    /// The accounts it reads or changes, its own first.
    pub fn account_ids(&self) -> impl Iterator<Item = &str> {
        let other = match &self.body {
            Body::Transfer(transfer) => Some(transfer.to_account_id.as_str()),
            Body::Reverse(reverse) => reverse.peer_account_id.as_deref(),
            _ => None,
        };
        let own = Some(self.account_id.as_str()).filter(|id| !id.is_empty());
        own.into_iter().chain(other)
    }

    /// The name of the operation, as it stands in what a repetition is compared by.
    pub fn operation(&self) -> &'static str {
        match self.body {
            Body::CreateAccount(_) => "create_account",
            Body::UpdateAccount(_) => "update_account",
            Body::CloseAccount(_) => "close_account",
            Body::ReopenAccount(_) => "reopen_account",
            Body::AnonymizeAccount(_) => "anonymize_account",
            Body::Post(_) => "post",
            Body::Transfer(_) => "transfer",
            Body::Reverse(_) => "reverse_entry",
            Body::PlaceHold(_) => "place_hold",
            Body::UpdateHold(_) => "update_hold",
            Body::CaptureHold(_) => "capture_hold",
            Body::ReleaseHold { .. } => "release_hold",
            Body::CloseBooks { .. } => "close_books",
            Body::Settle => "settle",
        }
    }
}

/// What an accepted command wrote: the row its key stands on first, then the other leg of a transfer.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The rows of the answer.
    pub rows: Vec<Arc<Record>>,
    /// Whether an earlier command with the same key wrote them.
    pub replayed: bool,
}

/// The answer to one command.
pub type Answer = Result<Outcome, Refusal>;

/// Whether commands submitted together stand and fall together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Each by itself.
    Independent,
    /// All or none.
    Atomic,
}

/// Commands submitted together, and where their answers go.
#[derive(Debug)]
pub struct Job {
    /// At least one.
    pub commands: Vec<Command>,
    /// Together or each by itself.
    pub mode: Mode,
    /// Only say what would become of them, each on top of those before it.
    pub trial: bool,
    /// The partitions it touches, ascending; the first one's writer leads.
    pub partitions: Vec<u16>,
    /// Not started after this.
    pub deadline: Option<Deadline>,
    /// Told when the work starts.
    pub stage: Arc<Stage>,
    /// Where the answers go.
    pub reply: oneshot::Sender<Vec<Answer>>,
}

/// How far a job has come, shared with the caller that waits for it.
#[derive(Debug, Default)]
pub struct Stage {
    started: AtomicBool,
}

impl Stage {
    /// The writer has taken the job up: its outcome may be written from here on.
    pub fn start(&self) {
        self.started.store(true, Ordering::Release);
    }

    /// Whether the writer has taken the job up.
    pub fn is_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }
}

impl Job {
    /// How many commands it holds.
    pub fn size(&self) -> usize {
        self.commands.len()
    }

    /// Whether its deadline has passed. A caller that has merely gone away changes nothing: its work goes on.
    pub fn is_too_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Deadline::now())
    }

    /// Whether nobody waits for its answer any more.
    pub fn is_abandoned(&self) -> bool {
        self.reply.is_closed() || self.is_too_late()
    }

    /// Gives every command the same answer.
    pub fn refuse(self, refusal: &Refusal) {
        let answers = self.commands.iter().map(|_| Err(refusal.clone())).collect();
        // A caller that has gone away needs no answer.
        let _ = self.reply.send(answers);
    }
}
