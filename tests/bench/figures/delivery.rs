//! From commit to delivery.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use billing_proto::v1;
use billing_proto::v1::event_service_client::EventServiceClient;
use billing_proto::v1::ledger_service_client::LedgerServiceClient;
use parking_lot_free::Samples;

use crate::Plan;
use crate::load;
use crate::report::Report;
use crate::setup::Bench;

const SUBSCRIBERS: usize = 1_000;
const POSTS_A_SECOND: u64 = 1_000;

pub async fn delay(plan: &Plan, bench: &Bench, report: &mut Report) -> Result<()> {
    let server = bench.server(&[])?;
    let channels = server.channels(16).await?;
    load::open_accounts(&channels, SUBSCRIBERS).await?;
    let samples = Arc::new(Samples::default());
    let counting = Arc::new(AtomicBool::new(false));
    let ready = Arc::new(AtomicUsize::new(0));
    let mut subscribers = tokio::task::JoinSet::new();
    for number in 0..SUBSCRIBERS {
        let mut client = EventServiceClient::new(channels[number % channels.len()].clone());
        let (samples, counting, ready) = (Arc::clone(&samples), Arc::clone(&counting), Arc::clone(&ready));
        subscribers.spawn(async move {
            let request = v1::SubscribeRequest {
                account_ids: vec![load::account_id(number)],
                include_snapshot: true,
                ..Default::default()
            };
            let mut events = client.subscribe(request).await?.into_inner();
            while let Some(message) = events.message().await? {
                let Some(event) = message.event else { continue };
                match event.payload {
                    Some(v1::event::Payload::BalanceSnapshot(_)) => _ = ready.fetch_add(1, Ordering::Relaxed),
                    Some(v1::event::Payload::BalanceChanged(_)) if counting.load(Ordering::Relaxed) => {
                        let recorded = event.event_time.unwrap_or_default();
                        let recorded = Duration::new(recorded.seconds.unsigned_abs(), recorded.nanos.unsigned_abs());
                        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                        samples.push(now.saturating_sub(recorded).as_micros() as u32);
                    }
                    _ => {}
                }
            }
            Ok::<_, tonic::Status>(())
        });
    }
    while ready.load(Ordering::Relaxed) < SUBSCRIBERS {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    counting.store(true, Ordering::Relaxed);
    let answers = post_steadily(&channels, plan.time()).await?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    subscribers.abort_all();
    let delays = samples.sorted();
    let percentile = |delays: &[u32], share: f64| {
        f64::from(
            delays
                .get(((delays.len() as f64 * share) as usize).min(delays.len().saturating_sub(1)))
                .copied()
                .unwrap_or(0),
        )
    };
    // `event_time` is when the entry was decided, so the commit itself is in the delay.
    report.figure(
        "decision to delivery p99, 1,000 subscribers, µs / answer p99",
        percentile(&delays, 0.99),
        percentile(&answers, 0.99),
    );
    report.figure(
        "decision to delivery p50, 1,000 subscribers, µs / answer p50",
        percentile(&delays, 0.5),
        percentile(&answers, 0.5),
    );
    report.figure("events delivered / posts made", delays.len() as f64, answers.len() as f64);
    Ok(())
}

/// Posts at a steady rate, whatever the answers do; their delays, ascending.
async fn post_steadily(channels: &[tonic::transport::Channel], time: Duration) -> Result<Vec<u32>> {
    let began = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let mut random = load::Random(7);
    let mut posts = tokio::task::JoinSet::new();
    let mut number = 0_u64;
    while began.elapsed() < time {
        ticks.tick().await;
        for _ in 0..POSTS_A_SECOND / 1_000 {
            number += 1;
            let mut client = LedgerServiceClient::new(channels[number as usize % channels.len()].clone());
            let request = load::post(random.below(SUBSCRIBERS), format!("d-{number}"));
            posts.spawn(async move {
                let began = Instant::now();
                client.post(request).await?;
                Ok::<_, tonic::Status>(began.elapsed().as_micros() as u32)
            });
        }
    }
    let mut delays = Vec::new();
    while let Some(result) = posts.join_next().await {
        delays.push(result??);
    }
    delays.sort_unstable();
    Ok(delays)
}

mod parking_lot_free {
    use std::sync::{Mutex, PoisonError};

    /// Delays from many tasks.
    #[derive(Default)]
    pub struct Samples(Mutex<Vec<u32>>);

    impl Samples {
        pub fn push(&self, sample: u32) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
        }

        pub fn sorted(&self) -> Vec<u32> {
            let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
            samples.sort_unstable();
            samples
        }
    }
}
