//! When and how soon a call is tried again.

use std::time::Duration;

use uuid::Uuid;

use crate::error::Error;
use crate::reason::Reason;

/// How often and how soon the client repeats what failed.
///
/// Only what is safe and may well succeed is repeated: broken links, `UNAVAILABLE` (also `COMMIT_OUTCOME_UNKNOWN`),
/// `OVERLOADED` and `RATE_LIMITED` after the time that the service asks for, and `CONTENTION`. A mutation is always
/// repeated with its own idempotency key, so it is never executed twice. A deadline that has passed is not repeated, and
/// the deadline of a call covers all of its attempts.
///
/// Subscriptions use the same back-off, and reconnect for ever. Bulk posting counts the attempts since the last answer.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    max_attempts: u32,
    first_delay: Duration,
    max_delay: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { max_attempts: 10, first_delay: Duration::from_millis(50), max_delay: Duration::from_secs(2) }
    }
}

impl RetryPolicy {
    /// Up to 10 attempts, the first repetition after about 50 ms, then twice as long each time, at most 2 s.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every call is tried once.
    pub fn never() -> Self {
        Self { max_attempts: 1, ..Self::default() }
    }

    /// How often a call is tried in all; at least once.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts.max(1);
        self
    }

    /// The delay before the first repetition. Each further one is twice as long.
    #[must_use]
    pub fn first_delay(mut self, delay: Duration) -> Self {
        self.first_delay = delay;
        self
    }

    /// The longest delay, unless the service asks for a longer one.
    #[must_use]
    pub fn max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// How long to wait after this attempt (counted from 1) failed so. `None`: do not repeat it.
    pub(crate) fn delay_after(&self, attempt: u32, error: &Error) -> Option<Duration> {
        if attempt >= self.max_attempts || !error.is_retryable() {
            return None;
        }
        let asked_for = error.refusal().and_then(|refusal| refusal.retry_after).unwrap_or_default();
        Some(asked_for.max(self.back_off(attempt)))
    }

    /// How long to wait before a stream that failed so often in a row (counted from 1) is opened again. A stream that
    /// ended as planned is opened again at once.
    pub(crate) fn delay_of_reconnect(&self, failures: u32, error: &Error) -> Duration {
        match error.refusal() {
            Some(refusal) if refusal.reason == Reason::StreamAgeReached && failures == 1 => Duration::ZERO,
            Some(refusal) => refusal.retry_after.unwrap_or_default().max(self.back_off(failures)),
            None => self.back_off(failures),
        }
    }

    /// The delay after so many failures in a row (counted from 1): between half of the step and the whole of it.
    pub(crate) fn back_off(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(20);
        let step = self.first_delay.saturating_mul(1 << doublings).min(self.max_delay);
        let half = step / 2;
        half + half.mul_f64(random_fraction())
    }
}

/// A random number from 0 up to 1; the random bits are those of a version 4 UUID.
fn random_fraction() -> f64 {
    let bytes = Uuid::new_v4().into_bytes();
    f64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use billing_proto::v1;
    use tonic::{Code, Status};

    use super::RetryPolicy;
    use crate::error::Error;

    fn refused(code: Code, reason: &str, retry_delay: Option<i64>) -> Error {
        v1::OperationError {
            code: code as i32,
            reason: reason.to_owned(),
            retry_delay: retry_delay.map(|seconds| prost_types::Duration { seconds, nanos: 0 }),
            ..Default::default()
        }
        .into()
    }

    #[test]
    fn only_what_may_heal_is_repeated() {
        let policy = RetryPolicy::new();
        for (code, reason, repeated) in [
            (Code::Unavailable, "STORAGE_UNAVAILABLE", true),
            (Code::Unavailable, "COMMIT_OUTCOME_UNKNOWN", true),
            (Code::Unavailable, "SOMETHING_NEW", true),
            (Code::ResourceExhausted, "OVERLOADED", true),
            (Code::ResourceExhausted, "RATE_LIMITED", true),
            (Code::ResourceExhausted, "QUOTA_EXCEEDED", false),
            (Code::ResourceExhausted, "STORAGE_FULL", false),
            (Code::ResourceExhausted, "MESSAGE_TOO_LARGE", false),
            (Code::Aborted, "CONTENTION", true),
            (Code::Aborted, "ETAG_MISMATCH", false),
            (Code::Aborted, "SEQUENCE_MISMATCH", false),
            (Code::DeadlineExceeded, "DEADLINE_EXCEEDED", false),
            (Code::FailedPrecondition, "INSUFFICIENT_FUNDS", false),
            (Code::Internal, "INTERNAL", false),
        ] {
            let delay = policy.delay_after(1, &refused(code, reason, None));
            assert_eq!(delay.is_some(), repeated, "{code:?} / {reason}");
        }
        assert!(policy.delay_after(1, &Error::transport("gone")).is_some());
    }

    #[test]
    fn the_attempts_are_counted() {
        let error = Error::from_status(Status::unavailable("away"));
        let policy = RetryPolicy::new().max_attempts(3);
        assert!(policy.delay_after(2, &error).is_some());
        assert!(policy.delay_after(3, &error).is_none());
        assert!(RetryPolicy::never().delay_after(1, &error).is_none());
    }

    #[test]
    fn the_service_may_ask_for_a_longer_delay() {
        let delay = RetryPolicy::new().delay_after(1, &refused(Code::ResourceExhausted, "OVERLOADED", Some(7)));
        assert_eq!(delay, Some(Duration::from_secs(7)));
    }

    #[test]
    fn the_delays_double_up_to_the_longest() {
        let policy = RetryPolicy::new().first_delay(Duration::from_millis(100)).max_delay(Duration::from_secs(1));
        for (failures, step) in [(1, 100), (2, 200), (4, 800), (5, 1000), (99, 1000)] {
            let delay = policy.back_off(failures);
            assert!(delay >= Duration::from_millis(step / 2) && delay <= Duration::from_millis(step), "{delay:?}");
        }
    }
}
