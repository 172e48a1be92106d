//! The connections of a client, and which of them takes the next call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};

use crate::error::Error;

/// A connection that failed is passed over for so long, as long as another one has not failed.
const REST_AFTER_FAILURE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Connections {
    all: Vec<Connection>,
    next: AtomicUsize,
    start: Instant,
}

#[derive(Debug)]
struct Connection {
    channel: Channel,
    /// Milliseconds since `start` until which it is passed over.
    resting_until: AtomicU64,
}

/// A connection that was chosen for an attempt.
#[derive(Debug)]
pub(crate) struct Chosen<'a> {
    pub(crate) channel: Channel,
    connections: &'a Connections,
    index: usize,
}

impl Connections {
    pub(crate) fn lazy(endpoints: &[Endpoint]) -> Self {
        Self::new(endpoints.iter().map(Endpoint::connect_lazy))
    }

    /// Opens all of them. Those that cannot be opened are opened later, unless none can.
    pub(crate) async fn open(endpoints: &[Endpoint]) -> Result<Self, Error> {
        let attempts = futures_util::future::join_all(endpoints.iter().map(Endpoint::connect)).await;
        let mut failure = None;
        let mut opened = 0;
        let mut channels = Vec::with_capacity(endpoints.len());
        for (endpoint, attempt) in endpoints.iter().zip(attempts) {
            channels.push(match attempt {
                Ok(channel) => {
                    opened += 1;
                    channel
                }
                Err(error) => {
                    failure = Some(error);
                    endpoint.connect_lazy()
                }
            });
        }
        match failure {
            Some(error) if opened == 0 => Err(Error::Transport {
                message: format!("cannot connect to {}", endpoints[0].uri()),
                sent: false,
                source: Some(Arc::new(error)),
            }),
            _ => Ok(Self::new(channels)),
        }
    }

    fn new(channels: impl IntoIterator<Item = Channel>) -> Self {
        let all = channels.into_iter().map(|channel| Connection { channel, resting_until: AtomicU64::new(0) });
        Self { all: all.collect(), next: AtomicUsize::new(0), start: Instant::now() }
    }

    /// The next one in turn that has not failed lately; if all have, the next one in turn.
    pub(crate) fn choose(&self) -> Chosen<'_> {
        let now = self.now_ms();
        let first = self.next.fetch_add(1, Ordering::Relaxed) % self.all.len();
        let index = (first..self.all.len())
            .chain(0..first)
            .find(|&index| self.all[index].resting_until.load(Ordering::Relaxed) <= now)
            .unwrap_or(first);
        Chosen { channel: self.all[index].channel.clone(), connections: self, index }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Chosen<'_> {
    /// Tells how the attempt went, so that a failing connection is passed over for a while.
    pub(crate) fn report(&self, error: &Error) {
        if error.blames_connection() {
            let rest = u64::try_from(REST_AFTER_FAILURE.as_millis()).unwrap_or_default();
            let until = self.connections.now_ms() + rest;
            self.connections.all[self.index].resting_until.store(until, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use tonic::transport::Endpoint;

    use super::Connections;
    use crate::error::Error;

    #[tokio::test]
    async fn a_failing_connection_is_passed_over() {
        let connections = Connections::lazy(&[
            Endpoint::from_static("http://127.0.0.1:1"),
            Endpoint::from_static("http://127.0.0.1:2"),
        ]);
        let first = connections.choose();
        assert_eq!((first.index, connections.choose().index), (0, 1));
        first.report(&Error::transport("gone"));
        assert_eq!((connections.choose().index, connections.choose().index), (1, 1));
        connections.choose();
        let second = connections.choose();
        assert_eq!(second.index, 1);
        second.report(&Error::transport("gone"));
        let both = [connections.choose().index, connections.choose().index];
        assert!(both.contains(&0) && both.contains(&1), "when all have failed each gets its turn");
    }
}
