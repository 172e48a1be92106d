//! What can go wrong with a call, and what it means for the caller.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::sync::Arc;

use billing_proto::v1;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::reason::Reason;
use crate::refusal::{FieldViolation, Obstacle, Refusal};
use crate::wire::std_duration;

/// The domain of the service's `ErrorInfo`.
const DOMAIN: &str = "billing";

/// A call that gave no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The service (or something before it) refused the call.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The link to the service failed.
    #[error("the link to the service failed: {message}")]
    Transport {
        /// What the transport tells.
        message: String,
        /// True when the request may have reached the service; false when no connection was made.
        sent: bool,
        /// The cause, where there is one.
        #[source]
        source: Option<Arc<dyn StdError + Send + Sync>>,
    },
    /// The deadline of the call passed.
    #[error("the deadline of the call has passed")]
    Deadline {
        /// False when it is certain that the service has not begun the work, in this attempt or in an earlier one.
        started: bool,
    },
    /// The service answered something that the contract does not permit.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The client cannot be built as it was configured.
    #[error("the client is not configured correctly: {0}")]
    Configuration(String),
}

/// An answer that does not obey the contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the answer of the service is malformed: {field}: {problem}")]
#[non_exhaustive]
pub struct Malformed {
    /// The path of the field.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

impl Error {
    /// The refusal, when it is one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Error::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// The reason of the refusal, when it is one.
    pub fn reason(&self) -> Option<&Reason> {
        self.refusal().map(|refusal| &refusal.reason)
    }

    /// Whether the same call, with the same key, may well succeed in a moment. The client has already tried as often
    /// as its [`RetryPolicy`](crate::RetryPolicy) permits.
    pub fn is_retryable(&self) -> bool {
        match self {
            Error::Refused(refusal) => refusal.is_retryable(),
            Error::Transport { .. } => true,
            Error::Deadline { .. } | Error::Malformed(_) | Error::Configuration(_) => false,
        }
    }

    /// Whether a mutation may have been executed although it gave no answer. Repeat it with the same key to find out:
    /// that is always safe. Means nothing for reads.
    pub fn outcome_unknown(&self) -> bool {
        match self {
            Error::Refused(refusal) => refusal.earlier_attempt_unknown || refusal.outcome_unknown(),
            Error::Transport { sent, .. } => *sent,
            Error::Deadline { started } => *started,
            Error::Malformed(_) => true,
            Error::Configuration(_) => false,
        }
    }

    /// Reads a status, whoever made it: the service, something before it, or the transport.
    pub(crate) fn from_status(status: Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info().filter(|info| info.domain == DOMAIN);
        if info.is_none()
            && let Some(error) = transport_failure(&status)
        {
            return error;
        }
        let (reason, metadata) =
            info.map_or_else(Default::default, |info| (info.reason.clone(), info.metadata.clone()));
        if status.code() == Code::DeadlineExceeded {
            return Error::Deadline { started: may_have_begun(&metadata) };
        }
        let violations = details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default();
        let obstacles = details.precondition_failure().map(|failure| failure.violations.as_slice()).unwrap_or_default();
        Error::Refused(Box::new(Refusal {
            code: status.code(),
            reason: Reason::from(reason.as_str()),
            message: status.message().to_owned(),
            metadata,
            violations: violations
                .iter()
                .map(|one| FieldViolation::new(&one.field, &one.reason, &one.description))
                .collect(),
            obstacles: obstacles
                .iter()
                .map(|one| Obstacle {
                    reason: Reason::from(one.r#type.as_str()),
                    subject: one.subject.clone(),
                    description: one.description.clone(),
                })
                .collect(),
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
            earlier_attempt_unknown: false,
        }))
    }

    /// The same error, told that an earlier attempt of the call may have been executed.
    pub(crate) fn after_unknown_attempt(mut self) -> Self {
        match &mut self {
            Error::Refused(refusal) => refusal.earlier_attempt_unknown = !refusal.settles(),
            Error::Transport { sent, .. } => *sent = true,
            Error::Deadline { started } => *started = true,
            Error::Malformed(_) | Error::Configuration(_) => {}
        }
        self
    }

    pub(crate) fn transport(message: impl Into<String>) -> Self {
        Error::Transport { message: message.into(), sent: true, source: None }
    }

    /// Whether a stream that ended so may be opened again. What the caller or an operator must change first may not.
    pub(crate) fn heals_by_reconnecting(&self) -> bool {
        match self {
            Error::Transport { .. } | Error::Deadline { .. } => true,
            Error::Malformed(_) | Error::Configuration(_) => false,
            Error::Refused(refusal) => matches!(
                refusal.code,
                Code::Unavailable
                    | Code::ResourceExhausted
                    | Code::Aborted
                    | Code::Cancelled
                    | Code::Internal
                    | Code::Unknown
            ),
        }
    }

    /// Whether another connection may do better: the link is broken, or the instance is about to go.
    pub(crate) fn blames_connection(&self) -> bool {
        matches!(self, Error::Transport { .. }) || self.reason() == Some(&Reason::ShuttingDown)
    }
}

impl From<v1::OperationError> for Error {
    fn from(error: v1::OperationError) -> Self {
        let code = Code::from_i32(error.code);
        if code == Code::DeadlineExceeded {
            return Error::Deadline { started: may_have_begun(&error.metadata) };
        }
        Error::Refused(Box::new(Refusal {
            code,
            reason: Reason::from(error.reason.as_str()),
            message: error.message,
            metadata: error.metadata,
            violations: error
                .violations
                .iter()
                .map(|one| FieldViolation::new(&one.field, &one.reason, &one.description))
                .collect(),
            obstacles: Vec::new(),
            retry_after: error.retry_delay.as_ref().and_then(std_duration),
            earlier_attempt_unknown: false,
        }))
    }
}

/// What the metadata of a deadline that has passed tells of the work.
fn may_have_begun(metadata: &HashMap<String, String>) -> bool {
    metadata.get("started").is_none_or(|started| started != "false")
}

/// A status that the transport has made, not the service: it has a cause on this side.
fn transport_failure(status: &Status) -> Option<Error> {
    let mut cause = status.source();
    let has_cause = cause.is_some();
    let mut sent = true;
    while let Some(error) = cause {
        if error.is::<tonic::TimeoutExpired>() {
            return Some(Error::Deadline { started: true });
        }
        sent &= !error.is::<tonic::ConnectError>();
        cause = error.source();
    }
    let from_transport = matches!(status.code(), Code::Unknown | Code::Unavailable | Code::Internal | Code::Cancelled);
    (has_cause && from_transport).then(|| Error::Transport {
        message: status.message().to_owned(),
        sent,
        source: Some(Arc::new(status.clone())),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use billing_proto::v1;
    use tonic::{Code, Status};
    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::Error;
    use crate::reason::Reason;

    fn refused(code: Code, reason: &str, metadata: &[(&str, &str)]) -> Error {
        let metadata: HashMap<_, _> = metadata.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let details = ErrorDetails::with_error_info(reason, super::DOMAIN, metadata);
        Error::from_status(Status::with_error_details(code, "no", details))
    }

    #[test]
    fn the_rich_details_are_read() {
        let mut details = ErrorDetails::with_error_info(
            "AMOUNT_NOT_POSITIVE",
            "billing",
            HashMap::from([("field".to_owned(), "amount.value".to_owned())]),
        );
        details
            .add_bad_request_violation("amount.value", "must be above zero")
            .add_bad_request_violation("reference", "is too long")
            .add_precondition_failure_violation("HOLDS_OPEN", "acme-1", "2 holds are open")
            .set_retry_info(Some(Duration::from_millis(1500)));
        let error = Error::from_status(Status::with_error_details(Code::InvalidArgument, "bad fields", details));
        let Some(refusal) = error.refusal() else { panic!("no refusal") };
        assert_eq!((refusal.code, &refusal.reason), (Code::InvalidArgument, &Reason::AmountNotPositive));
        assert_eq!(refusal.detail("field"), Some("amount.value"));
        assert_eq!(refusal.violations.len(), 2);
        assert_eq!(refusal.violations[1].field, "reference");
        assert_eq!(refusal.obstacles[0].reason, Reason::HoldsOpen);
        assert_eq!(refusal.retry_after, Some(Duration::from_millis(1500)));
        assert_eq!(error.to_string(), "InvalidArgument / AMOUNT_NOT_POSITIVE: bad fields");
        assert!(!error.outcome_unknown() && !error.is_retryable());
    }

    #[test]
    fn a_status_of_something_else_has_no_reason() {
        let error = Error::from_status(Status::unavailable("no healthy upstream"));
        assert_eq!(error.reason(), Some(&Reason::Unknown(String::new())));
        assert!(error.is_retryable() && error.outcome_unknown());
        let foreign = ErrorDetails::with_error_info("OVERLOADED", "proxy.example", HashMap::new());
        let error = Error::from_status(Status::with_error_details(Code::ResourceExhausted, "slow down", foreign));
        assert!(!error.is_retryable() && matches!(error.reason(), Some(Reason::Unknown(_))));
    }

    #[test]
    fn a_deadline_tells_whether_the_work_was_begun() {
        for (metadata, started) in
            [(&[("started", "false")][..], false), (&[("started", "true")][..], true), (&[], true)]
        {
            let error = refused(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", metadata);
            assert!(matches!(error, Error::Deadline { started: told } if told == started));
            assert_eq!((error.outcome_unknown(), error.is_retryable()), (started, false));
        }
    }

    #[test]
    fn an_earlier_attempt_stays_unknown_until_a_refusal_settles_it() {
        assert!(refused(Code::Unavailable, "COMMIT_OUTCOME_UNKNOWN", &[]).outcome_unknown());
        for (code, reason, unknown) in [
            (Code::Unavailable, "STORAGE_UNAVAILABLE", true),
            (Code::ResourceExhausted, "OVERLOADED", true),
            (Code::PermissionDenied, "PERMISSION_DENIED", true),
            (Code::FailedPrecondition, "INSUFFICIENT_FUNDS", false),
            (Code::NotFound, "HOLD_NOT_FOUND", false),
        ] {
            let error = refused(code, reason, &[]);
            assert!(!error.outcome_unknown(), "{reason} alone");
            assert_eq!(error.after_unknown_attempt().outcome_unknown(), unknown, "{reason} after an unknown attempt");
        }
    }

    #[test]
    fn the_refusal_of_an_operation_reads_like_that_of_a_call() {
        let error = Error::from(v1::OperationError {
            code: Code::FailedPrecondition as i32,
            reason: "INSUFFICIENT_FUNDS".to_owned(),
            violations: vec![v1::FieldViolation { reason: "AMOUNT_MALFORMED".to_owned(), ..Default::default() }],
            retry_delay: Some(prost_types::Duration { seconds: 2, nanos: 0 }),
            ..Default::default()
        });
        let Some(refusal) = error.refusal() else { panic!("no refusal") };
        assert_eq!(refusal.reason, Reason::InsufficientFunds);
        assert_eq!(refusal.violations[0].reason, Reason::AmountMalformed);
        assert_eq!(refusal.retry_after, Some(Duration::from_secs(2)));
    }
}
