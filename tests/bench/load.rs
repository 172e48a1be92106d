//! Callers: each sends its next request when it has the answer to the last.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use billing_proto::v1;
use billing_proto::v1::account_service_client::AccountServiceClient;
use billing_proto::v1::ledger_service_client::LedgerServiceClient;
use tonic::transport::Channel;

/// How the accounts of a load are chosen.
#[derive(Clone)]
pub enum Choice {
    Uniform,
    /// A few accounts get most: the cumulative distribution of Zipf's law.
    Zipf(Arc<Vec<f64>>),
}

impl Choice {
    pub fn zipf(accounts: usize, exponent: f64) -> Self {
        let weights: Vec<f64> = (1..=accounts).map(|rank| (rank as f64).powf(-exponent)).collect();
        let total: f64 = weights.iter().sum();
        let mut sum = 0.0;
        Self::Zipf(Arc::new(
            weights
                .iter()
                .map(|weight| {
                    sum += weight / total;
                    sum
                })
                .collect(),
        ))
    }

    fn pick(&self, random: &mut Random, accounts: usize) -> usize {
        match self {
            Self::Uniform => random.below(accounts),
            Self::Zipf(sums) => sums.partition_point(|sum| *sum < random.unit()).min(accounts - 1),
        }
    }
}

/// A small generator of random numbers (splitmix64): a load needs no better one.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// What a load came to.
pub struct Outcome {
    pub rate: f64,
    /// In microseconds, ascending.
    pub delays: Vec<u32>,
}

impl Outcome {
    pub fn percentile(&self, share: f64) -> f64 {
        let index = ((self.delays.len() as f64 * share) as usize).min(self.delays.len().saturating_sub(1));
        f64::from(self.delays.get(index).copied().unwrap_or(0))
    }
}

pub fn account_id(number: usize) -> String {
    format!("acc-{number:06}")
}

/// Opens accounts `acc-000000` and following.
pub async fn open_accounts(channels: &[Channel], count: usize) -> Result<()> {
    let next = Arc::new(AtomicU64::new(0));
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..128 {
        let mut client = AccountServiceClient::new(channels[caller % channels.len()].clone());
        let next = Arc::clone(&next);
        callers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed) as usize;
                if number >= count {
                    return Ok::<_, tonic::Status>(());
                }
                let request = v1::CreateAccountRequest {
                    account_id: account_id(number),
                    customer_id: format!("customer-{}", number / 2),
                    currency_code: "EUR".to_owned(),
                    ..Default::default()
                };
                // Opening many at once is allowed to be told to come back later.
                while let Err(status) = client.create_account(request.clone()).await {
                    if status.code() != tonic::Code::ResourceExhausted {
                        return Err(status);
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        });
    }
    while let Some(result) = callers.join_next().await {
        result??;
    }
    Ok(())
}

pub fn post(account: usize, key: String) -> v1::PostRequest {
    v1::PostRequest {
        account_id: account_id(account),
        kind: v1::EntryKind::Charge as i32,
        amount: Some(v1::Money { value: "1.25".to_owned(), currency_code: String::new() }),
        idempotency_key: key,
        category: "internet".to_owned(),
        reference: "usage".to_owned(),
        ..Default::default()
    }
}

/// `callers` post for `time` after a warm-up of a fifth of it; `tag` makes the keys of a load its own.
pub async fn unary(
    channels: &[Channel],
    callers: usize,
    accounts: usize,
    choice: &Choice,
    time: Duration,
    tag: &str,
) -> Result<Outcome> {
    let stop = Arc::new(AtomicBool::new(false));
    let counting = Arc::new(AtomicBool::new(false));
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..callers {
        let mut client = LedgerServiceClient::new(channels[caller % channels.len()].clone());
        let (stop, counting, choice, tag) = (Arc::clone(&stop), Arc::clone(&counting), choice.clone(), tag.to_owned());
        tasks.spawn(async move {
            let mut random = Random(caller as u64 + 1);
            let mut delays = Vec::new();
            let mut number = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                number += 1;
                let request = post(choice.pick(&mut random, accounts), format!("{tag}-{caller}-{number}"));
                let began = Instant::now();
                client.post(request).await?;
                if counting.load(Ordering::Relaxed) {
                    delays.push(began.elapsed().as_micros() as u32);
                }
            }
            Ok::<_, tonic::Status>(delays)
        });
    }
    let began = measure(&counting, &stop, time).await;
    let mut delays = Vec::new();
    while let Some(result) = tasks.join_next().await {
        delays.extend(result??);
    }
    delays.sort_unstable();
    Ok(Outcome { rate: delays.len() as f64 / began.as_secs_f64(), delays })
}

/// Lets a load warm up, counts for `time`, and stops it; how long it counted.
pub async fn measure(counting: &AtomicBool, stop: &AtomicBool, time: Duration) -> Duration {
    tokio::time::sleep(time / 5).await;
    counting.store(true, Ordering::Relaxed);
    let began = Instant::now();
    tokio::time::sleep(time).await;
    counting.store(false, Ordering::Relaxed);
    let took = began.elapsed();
    stop.store(true, Ordering::Relaxed);
    took
}

/// `callers` post batches of 1,000 for `time`.
pub async fn batches(channels: &[Channel], callers: usize, accounts: usize, time: Duration, tag: &str) -> Result<f64> {
    let stop = Arc::new(AtomicBool::new(false));
    let counting = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..callers {
        let mut client = LedgerServiceClient::new(channels[caller % channels.len()].clone());
        let (stop, counting, count, tag) =
            (Arc::clone(&stop), Arc::clone(&counting), Arc::clone(&count), tag.to_owned());
        tasks.spawn(async move {
            let mut random = Random(caller as u64 + 1);
            let mut number = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                let operations = (0..1_000)
                    .map(|_| {
                        number += 1;
                        let request = post(random.below(accounts), format!("{tag}-{caller}-{number}"));
                        v1::Operation { operation: Some(v1::operation::Operation::Post(request)) }
                    })
                    .collect();
                let request =
                    v1::PostBatchRequest { operations, mode: v1::BatchMode::Independent as i32, ..Default::default() };
                match client.post_batch(request).await {
                    Ok(_) => {}
                    Err(status) if status.code() == tonic::Code::ResourceExhausted => {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                        continue;
                    }
                    Err(status) => return Err(status),
                }
                if counting.load(Ordering::Relaxed) {
                    count.fetch_add(1_000, Ordering::Relaxed);
                }
            }
            Ok::<_, tonic::Status>(())
        });
    }
    let took = measure(&counting, &stop, time).await;
    while let Some(result) = tasks.join_next().await {
        result??;
    }
    Ok(count.load(Ordering::Relaxed) as f64 / took.as_secs_f64())
}

/// One `PostStream` a caller, with at most `window` operations unanswered, for `time`.
pub async fn streams(
    channels: &[Channel],
    callers: usize,
    accounts: usize,
    window: usize,
    time: Duration,
    tag: &str,
) -> Result<f64> {
    let stop = Arc::new(AtomicBool::new(false));
    let counting = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..callers {
        let mut client = LedgerServiceClient::new(channels[caller % channels.len()].clone());
        let (stop, counting, count, tag) =
            (Arc::clone(&stop), Arc::clone(&counting), Arc::clone(&count), tag.to_owned());
        tasks.spawn(async move {
            let room = Arc::new(tokio::sync::Semaphore::new(window));
            let (sender, receiver) = tokio::sync::mpsc::channel(256);
            let sending = {
                let room = Arc::clone(&room);
                async move {
                    let mut random = Random(caller as u64 + 1);
                    let mut number = 0_u64;
                    while !stop.load(Ordering::Relaxed) {
                        let Ok(permit) = room.acquire().await else { return };
                        permit.forget();
                        number += 1;
                        let request = post(random.below(accounts), format!("{tag}-{caller}-{number}"));
                        let operation = v1::Operation { operation: Some(v1::operation::Operation::Post(request)) };
                        if sender.send(v1::PostStreamRequest { operation: Some(operation) }).await.is_err() {
                            return;
                        }
                    }
                }
            };
            let receiving = async {
                let requests = tokio_stream::wrappers::ReceiverStream::new(receiver);
                let mut answers = client.post_stream(requests).await?.into_inner();
                while answers.message().await?.is_some() {
                    room.add_permits(1);
                    if counting.load(Ordering::Relaxed) {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Ok::<_, tonic::Status>(())
            };
            let ((), received) = tokio::join!(sending, receiving);
            received
        });
    }
    let took = measure(&counting, &stop, time).await;
    while let Some(result) = tasks.join_next().await {
        result??;
    }
    Ok(count.load(Ordering::Relaxed) as f64 / took.as_secs_f64())
}
