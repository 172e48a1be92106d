//! Random histories: appends told and untold, a reader that reads, is cut off, comes back, and changes the server.

use std::sync::Arc;
use std::time::Duration;

use billing_proto::v1;
use billing_proto::v1::event::Payload;
use proptest::prelude::*;

use super::{ACCOUNTS, World, event, next, tight, wanting};
use crate::feed::fixture::money;
use crate::feed::hub::Settings;
use crate::feed::order::Start;

fn check_amounts(event: &v1::Event) {
    if let Some(Payload::BalanceChanged(changed)) = &event.payload {
        let posted = |amounts: &Option<v1::BalanceAmounts>| {
            amounts.as_ref().and_then(|amounts| amounts.posted.clone()).map(|posted| posted.value)
        };
        let show = |sequence: i64| Some(money(sequence).format(2));
        assert_eq!((posted(&changed.before), posted(&changed.after)), (show(event.sequence - 1), show(event.sequence)));
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Rows of accounts of a partition, of which so many are told, the last always.
    Append { partition: usize, accounts: Vec<i64>, silent: usize },
    /// The reader takes so many events.
    Read(usize),
    /// The reader is cut off and comes back.
    Resume,
    /// The reader comes back to another process on the same journal.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let accounts = proptest::collection::vec(1..=ACCOUNTS, 1..20);
    prop_oneof![
        4 => (0..2_usize, accounts, 0..12_usize)
            .prop_map(|(partition, accounts, silent)| Step::Append { partition, accounts, silent }),
        3 => (1..12_usize).prop_map(Step::Read),
        1 => Just(Step::Resume),
        1 => Just(Step::Restart),
    ]
}

async fn run(steps: Vec<Step>, who: u8) {
    let world = World::new(tight());
    let (begin, wants) = wanting(who, Start::Beginning);
    let Ok(mut delivery) = world.open(begin).await else { unreachable!("the stream opens") };
    let mut world = world;
    let mut got: Vec<v1::Event> = Vec::new();
    let total = |world: &World| (0..2).map(|partition| world.journal.events(partition, 0, wants).len()).sum::<usize>();
    for step in steps {
        match step {
            Step::Append { partition, accounts, silent } => {
                let rows: Vec<_> = accounts.iter().map(|account| world.journal.append(partition, *account)).collect();
                let silent = silent.min(rows.len() - 1);
                world.tell(rows.into_iter().skip(silent).collect());
            }
            Step::Read(count) => {
                for _ in 0..count.min(total(&world) - got.len()) {
                    got.push(event(&mut delivery).await);
                }
            }
            Step::Resume | Step::Restart => {
                if matches!(step, Step::Restart) {
                    world = World::on(Arc::clone(&world.journal), Settings { warm_rows: 4, ..tight() });
                }
                let token = got.last().map(|event| event.resume_token.clone());
                let (again, _) = wanting(who, token.map_or(Start::Beginning, Start::Token));
                let Ok(resumed) = world.open(again).await else { unreachable!("the stream resumes") };
                delivery = resumed;
            }
        }
    }
    while got.len() < total(&world) {
        got.push(event(&mut delivery).await);
    }
    got.iter().for_each(check_amounts);
    for partition in 0..2_u16 {
        let own = got.iter().filter(|event| event.position.is_some_and(|at| at.partition == i32::from(partition)));
        let ids: Vec<String> = own.map(|event| event.event_id.clone()).collect();
        assert_eq!(ids, world.journal.events(partition, 0, wants));
    }
    tokio::task::yield_now().await;
    assert!(tokio::time::timeout(Duration::from_millis(1), next(&mut delivery)).await.is_err(), "nothing comes twice");
}

pub(super) fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.unwrap_or_else(|error| unreachable!("{error}")).block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_event_comes_once_and_in_order(steps in proptest::collection::vec(step(), 1..25), who in 0..3_u8) {
        block_on(run(steps, who));
    }
}
