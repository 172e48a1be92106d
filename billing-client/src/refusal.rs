//! What a refusal tells.

use std::collections::HashMap;
use std::time::Duration;

use tonic::Code;

use crate::reason::Reason;

/// A refusal, read from the rich error details of the status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code:?} / {reason}: {message}")]
#[non_exhaustive]
pub struct Refusal {
    /// The gRPC code.
    pub code: Code,
    /// The reason: programs decide by it.
    pub reason: Reason,
    /// A sentence in English for people.
    pub message: String,
    /// The particulars of the reason, such as `available` and `missing` of an `INSUFFICIENT_FUNDS`.
    pub metadata: HashMap<String, String>,
    /// All fields that are not as they must be. Empty for other refusals.
    pub violations: Vec<FieldViolation>,
    /// All obstacles, such as what stands against closing an account. Empty for other refusals.
    pub obstacles: Vec<Obstacle>,
    /// After how long the service wants to be asked again. Absent: it named no time.
    pub retry_after: Option<Duration>,
    /// True when an earlier attempt of the same call may have been executed although this one was refused.
    pub earlier_attempt_unknown: bool,
}

/// One field that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FieldViolation {
    /// The path of the field, such as `amount.value`.
    pub field: String,
    /// What is wrong.
    pub reason: Reason,
    /// A sentence in English for people.
    pub description: String,
}

/// One obstacle of a refused precondition.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Obstacle {
    /// What kind of obstacle it is, such as [`Reason::HoldsOpen`].
    pub reason: Reason,
    /// What it is about, such as the account.
    pub subject: String,
    /// A sentence in English for people.
    pub description: String,
}

impl Refusal {
    /// The metadata of this name.
    pub fn detail(&self, name: &str) -> Option<&str> {
        self.metadata.get(name).map(String::as_str)
    }

    pub(crate) fn is_retryable(&self) -> bool {
        match &self.reason {
            Reason::Overloaded | Reason::RateLimited | Reason::TooManyStreams | Reason::Contention => true,
            _ => self.code == Code::Unavailable,
        }
    }

    pub(crate) fn outcome_unknown(&self) -> bool {
        match &self.reason {
            Reason::CommitOutcomeUnknown => true,
            Reason::Unknown(_) => {
                matches!(self.code, Code::Unknown | Code::Unavailable | Code::Internal | Code::Cancelled)
            }
            _ => false,
        }
    }

    /// Whether this refusal also tells that no earlier attempt with the same key was executed: the service looks for
    /// the key before it comes to such a refusal.
    pub(crate) fn settles(&self) -> bool {
        !matches!(self.reason, Reason::Unknown(_))
            && matches!(
                self.code,
                Code::InvalidArgument
                    | Code::NotFound
                    | Code::AlreadyExists
                    | Code::FailedPrecondition
                    | Code::OutOfRange
            )
    }
}

impl FieldViolation {
    pub(crate) fn new(field: &str, reason: &str, description: &str) -> Self {
        Self { field: field.to_owned(), reason: Reason::from(reason), description: description.to_owned() }
    }
}
