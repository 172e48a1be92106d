//! Balances a second.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::Result;
use billing_proto::v1;
use billing_proto::v1::balance_service_client::BalanceServiceClient;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::Plan;
use crate::load::{self, Random};
use crate::report::Report;
use crate::setup::Bench;

const ACCOUNTS: usize = 10_000;
const CALLERS: usize = 256;

pub async fn balance(plan: &Plan, bench: &Bench, report: &mut Report) -> Result<()> {
    let server = bench.server(&[])?;
    let channels = server.channels(8).await?;
    load::open_accounts(&channels, ACCOUNTS).await?;
    load::unary(&channels, 64, ACCOUNTS, &load::Choice::Uniform, plan.time() / 2, "w").await?;
    let empty = callers(plan, &channels, |channel, _| {
        let mut client = HealthClient::new(channel);
        Box::pin(async move { client.check(HealthCheckRequest { service: String::new() }).await.map(drop) })
    })
    .await?;
    let balances = callers(plan, &channels, |channel, account| {
        let mut client = BalanceServiceClient::new(channel);
        let request = v1::GetBalanceRequest { account_id: load::account_id(account), ..Default::default() };
        Box::pin(async move { client.get_balance(request).await.map(drop) })
    })
    .await?;
    report.figure("GetBalance/s, 256 callers / empty unary RPC", balances, empty);
    Ok(())
}

type Call = Pin<Box<dyn Future<Output = Result<(), tonic::Status>> + Send>>;

async fn callers(plan: &Plan, channels: &[Channel], call: fn(Channel, usize) -> Call) -> Result<f64> {
    let stop = Arc::new(AtomicBool::new(false));
    let counting = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..CALLERS {
        let channel = channels[number % channels.len()].clone();
        let (stop, counting, count) = (Arc::clone(&stop), Arc::clone(&counting), Arc::clone(&count));
        tasks.spawn(async move {
            let mut random = Random(number as u64 + 1);
            while !stop.load(Ordering::Relaxed) {
                call(channel.clone(), random.below(ACCOUNTS)).await?;
                if counting.load(Ordering::Relaxed) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok::<_, tonic::Status>(())
        });
    }
    let took = load::measure(&counting, &stop, plan.time()).await;
    while let Some(result) = tasks.join_next().await {
        result??;
    }
    Ok(count.load(Ordering::Relaxed) as f64 / took.as_secs_f64())
}
