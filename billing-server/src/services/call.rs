//! What comes with every call: who asks, and until when the answer is of use.

use std::future::Future;
use std::time::{Duration, Instant as Deadline};

use tonic::Request;
use tonic::metadata::MetadataMap;

use crate::auth::Principal;
use crate::domain::reason::{Reason, Refusal};
use crate::engine::command::Command;

/// How long a call may take that names no deadline.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a call may take, whatever it names.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);
/// The transport gives up at the caller's deadline, without saying what became of the work: the answer goes out before.
const MAX_MARGIN: Duration = Duration::from_millis(50);

/// Who asks, and until when.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who asks.
    pub principal: Principal,
    /// Until when.
    pub deadline: Deadline,
}

impl Call {
    /// What came with a request.
    ///
    /// # Errors
    /// `CREDENTIALS_MISSING` if no layer has found out who asks: a server without one answers nobody.
    pub fn of<T>(request: &Request<T>) -> Result<Self, Refusal> {
        let principal = request.extensions().get::<Principal>().cloned();
        let principal = principal
            .ok_or_else(|| Refusal::new(Reason::CredentialsMissing, "Nobody has found out who makes the call."))?;
        let timeout = timeout_of(request.metadata()).unwrap_or(DEFAULT_TIMEOUT).min(MAX_TIMEOUT);
        let margin = (timeout / 10).min(MAX_MARGIN);
        Ok(Self { principal, deadline: Deadline::now() + timeout.saturating_sub(margin) })
    }

    /// The command in the name of the caller.
    pub fn sign(&self, command: Command) -> Command {
        Command { principal: Some(self.principal.name.clone()), ..command }
    }

    /// What a read finds before the deadline.
    ///
    /// # Errors
    /// `DEADLINE_EXCEEDED`, and what the read says.
    pub async fn within<T>(&self, read: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
        match tokio::time::timeout_at(self.deadline.into(), read).await {
            Ok(result) => result,
            Err(_) => Err(Refusal::new(Reason::DeadlineExceeded, "The deadline passed before the answer was found.")
                .with("started", true)),
        }
    }
}

/// The time that the caller gives the call, by the header that every gRPC client sends: a number of at most 8 digits and
/// a unit.
pub(super) fn timeout_of(metadata: &MetadataMap) -> Option<Duration> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if number.len() > 8 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = number.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &'static str) -> Option<Duration> {
        let mut metadata = MetadataMap::new();
        metadata.insert("grpc-timeout", tonic::metadata::MetadataValue::from_static(text));
        timeout_of(&metadata)
    }

    #[test]
    fn timeouts_are_a_number_and_a_unit() {
        assert_eq!(parsed("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(parsed("1M"), Some(Duration::from_secs(60)));
        assert_eq!(parsed("5S"), Some(Duration::from_secs(5)));
        assert_eq!(parsed("250m"), Some(Duration::from_millis(250)));
        assert_eq!(parsed("99999999n"), Some(Duration::from_nanos(99_999_999)));
        for text in ["", "S", "5", "5x", "-5S", "+5S", "999999999S", "5 S"] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    #[test]
    fn a_call_without_a_principal_is_refused() {
        assert_eq!(
            Call::of(&Request::new(())).map_err(|refusal| refusal.reason).err(),
            Some(Reason::CredentialsMissing)
        );
    }
}
