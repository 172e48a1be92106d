//! What subscriptions and followed streams have in common.

use std::time::Duration;

/// The heartbeat interval of the service when none is asked for.
const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(15);
/// After so many heartbeat intervals in which nothing came the stream is taken for dead.
const MISSED_HEARTBEATS: u32 = 3;

/// How long to wait for the next message of a stream before it is taken for dead.
pub(crate) fn patience(heartbeat_interval: Option<&prost_types::Duration>) -> Duration {
    let interval = heartbeat_interval.and_then(crate::wire::std_duration).unwrap_or(DEFAULT_HEARTBEAT);
    interval.saturating_mul(MISSED_HEARTBEATS)
}

/// The setters of a stream's options; `$start` is the module of its `start`.
macro_rules! stream_options {
    ($name:ident, $start:ident) => {
        impl $name {
            /// Only events of these types. Without it: all, also those that later versions of the service add.
            pub fn types(mut self, types: impl IntoIterator<Item = $crate::event::EventType>) -> Self {
                self.wire.types = types.into_iter().map(Into::into).collect();
                self
            }

            /// Continues exactly after the event that carried this token.
            pub fn resume_from(mut self, token: impl Into<String>) -> Self {
                self.wire.start = Some(v1::$start::Start::ResumeToken(token.into()));
                self
            }

            /// Begins with the first event that was ever recorded and is still kept. Without it (and without a token):
            /// with what happens after the stream has begun.
            pub fn from_beginning(mut self) -> Self {
                self.wire.start = Some(v1::$start::Start::From(v1::StartFrom::Beginning.into()));
                self
            }

            /// The present balance of each account first, then what follows, with nothing lost in between.
            pub fn with_snapshot(mut self) -> Self {
                self.wire.include_snapshot = true;
                self
            }

            /// After how long without an event the service says that it is alive: 1 second to 5 minutes. Without it:
            /// 15 seconds. When nothing has come for three times as long, the client reconnects.
            pub fn heartbeat_interval(mut self, interval: std::time::Duration) -> Self {
                self.wire.heartbeat_interval = Some($crate::wire::to_duration(interval));
                self
            }

            /// When you are too slow, only the latest of several changed balances of an account.
            pub fn conflate_balances(mut self) -> Self {
                self.wire.conflate_balances = true;
                self
            }

            /// Yields heartbeats too. Without it they only move the resume token forward.
            pub fn with_heartbeats(mut self) -> Self {
                self.with_heartbeats = true;
                self
            }
        }
    };
}

pub(crate) use stream_options;
