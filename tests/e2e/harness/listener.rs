//! A reader of a stream of events.

use std::time::Duration;

use billing_proto::v1;
use billing_proto::v1::event::Payload;
use tonic::{Status, Streaming};

/// What does not come within this time does not come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A stream of events, read one by one.
#[derive(Debug)]
pub(crate) struct Listener {
    stream: Streaming<v1::SubscribeResponse>,
}

impl Listener {
    pub(crate) fn new(stream: Streaming<v1::SubscribeResponse>) -> Self {
        Self { stream }
    }

    /// The next event, heartbeats included; or how the stream ended.
    pub(crate) async fn next_or_end(&mut self) -> Result<v1::Event, Option<Status>> {
        let message = tokio::time::timeout(PATIENCE, self.stream.message()).await.expect("an event comes");
        match message {
            Ok(Some(response)) => Ok(response.event.unwrap()),
            Ok(None) => Err(None),
            Err(status) => Err(Some(status)),
        }
    }

    /// The next event, heartbeats included.
    pub(crate) async fn next_with_heartbeats(&mut self) -> v1::Event {
        self.next_or_end().await.expect("the stream goes on")
    }

    /// The next event that is no heartbeat.
    pub(crate) async fn next(&mut self) -> v1::Event {
        loop {
            let event = self.next_with_heartbeats().await;
            if !matches!(event.payload, Some(Payload::Heartbeat(_))) {
                return event;
            }
        }
    }

    /// The next so many events that are no heartbeats.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<v1::Event> {
        let mut events = Vec::with_capacity(count);
        while events.len() < count {
            events.push(self.next().await);
        }
        events
    }

    /// The status with which the stream ends, after whatever else comes.
    pub(crate) async fn end(&mut self) -> Status {
        loop {
            match self.next_or_end().await {
                Ok(_) => {}
                Err(status) => return status.expect("a stream of events never ends without a reason"),
            }
        }
    }
}

/// An event in one line: what tests compare with.
pub(crate) fn told(event: &v1::Event) -> String {
    let account = &event.account_id;
    match event.payload.as_ref().expect("an event says something") {
        Payload::BalanceSnapshot(snapshot) => {
            format!("{account} has {}", value(&snapshot.balance.as_ref().unwrap().posted))
        }
        Payload::BalanceChanged(changed) => {
            let after = changed.after.as_ref().unwrap();
            format!(
                "{account} {} posted {} available {}",
                event.sequence,
                value(&after.posted),
                value(&after.available)
            )
        }
        Payload::HoldChanged(changed) => {
            let hold = changed.hold.as_ref().unwrap();
            format!(
                "{account} {} hold {} {}",
                event.sequence,
                hold.hold_id,
                changed.kind().as_str_name()["HOLD_CHANGE_KIND_".len()..].to_lowercase()
            )
        }
        Payload::AccountChanged(changed) => {
            let kind = changed.kind().as_str_name()["ACCOUNT_CHANGE_KIND_".len()..].to_lowercase();
            format!("{account} {} account {kind}", event.sequence)
        }
        Payload::Heartbeat(_) => "heartbeat".to_owned(),
        Payload::SnapshotCompleted(end) => format!("snapshot of {} completed", end.account_count),
    }
}

fn value(money: &Option<v1::Money>) -> &str {
    &money.as_ref().unwrap().value
}
