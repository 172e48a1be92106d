//! What ends an open stream: the server stops, or the stream is old enough.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::reason::{Reason, Refusal};

/// Tells streams when to end.
#[derive(Clone, Debug)]
pub struct Drain {
    stopping: watch::Receiver<bool>,
    /// How old a stream may become.
    age: Duration,
}

impl Drain {
    /// Streams end once `stopping` says true or its sender is gone, or at that age; a fifth more or less, so that streams
    /// opened together do not end together.
    pub fn new(stopping: watch::Receiver<bool>, age: Duration) -> Self {
        Self { stopping, age }
    }

    /// Waits until a stream must end, and says why.
    pub async fn end_of_stream(self) -> Refusal {
        tokio::select! {
            () = self.stopping() => Refusal::new(
                Reason::ShuttingDown,
                "The server is stopping; send again what was not answered, with the same keys, on a new stream.",
            ),
            () = tokio::time::sleep(spread(self.age)) => Refusal::new(
                Reason::StreamAgeReached,
                "The stream has reached its greatest age; open a new one and send again what was not answered.",
            ),
        }
    }

    /// Waits until the server stops.
    pub async fn stopping(&self) {
        // An error says that the sender is gone, which means the same.
        let _ = self.stopping.clone().wait_for(|stopping| *stopping).await;
    }
}

/// The age, a fifth more or less.
fn spread(age: Duration) -> Duration {
    // The hasher of the standard library is seeded at random, which is all that is needed here.
    let thousandths = 800 + u32::try_from(RandomState::new().hash_one(0_u8) % 401).unwrap_or(0);
    age / 1000 * thousandths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_opened_together_end_at_different_ages() {
        for _ in 0..100 {
            assert!((24 * 60..=36 * 60).contains(&spread(Duration::from_secs(30 * 60)).as_secs()));
        }
    }

    #[tokio::test]
    async fn a_stream_ends_when_the_server_stops_or_when_it_is_old() {
        let (sender, receiver) = watch::channel(false);
        let old = Drain::new(receiver.clone(), Duration::from_millis(1));
        assert_eq!(old.end_of_stream().await.reason, Reason::StreamAgeReached);
        sender.send_replace(true);
        let stopped = Drain::new(receiver, Duration::from_secs(3600));
        assert_eq!(stopped.end_of_stream().await.reason, Reason::ShuttingDown);
    }
}
