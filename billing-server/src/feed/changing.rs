//! A subscription's snapshot, and how the set of its accounts changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use billing_db::heads::BalanceFilter;

use super::hub::distinct;
use super::source::BalancePage;
use super::subscription::{End, Flow, Subscription};
use super::token::SnapshotMark;
use crate::convert::event;
use crate::domain::head::Identity;
use crate::domain::reason::{Reason, Refusal};

/// How many balances one reading of a snapshot takes.
const PAGE: usize = 500;
/// How many accounts one stream may follow: each takes memory for as long as it does.
pub const MAX_FOLLOWED: usize = 100_000;

impl Subscription {
    /// Sends the balances of all accounts as of the cursors, from where an earlier stream was cut off.
    pub(super) async fn send_snapshot(&mut self) -> Flow {
        while let Some(mark) = self.snapshots.mark.clone() {
            let partition = usize::from(mark.partition);
            let Some(cursor) = self.cursors.get(partition).copied() else { return self.complete_snapshot().await };
            let mut count = 0;
            if self.listed.filter.concerns(mark.partition) {
                let page = BalancePage {
                    partition: mark.partition,
                    filter: self.listed.filter.balances(mark.partition),
                    after_account_id: mark.account_id.clone(),
                    up_to: cursor.mark.position,
                    limit: PAGE,
                };
                count = self.send_balances(page, true).await?;
            }
            if count < PAGE {
                self.snapshots.mark = Some(SnapshotMark { partition: mark.partition + 1, account_id: String::new() });
            }
        }
        Ok(())
    }

    async fn complete_snapshot(&mut self) -> Flow {
        let before = self.snapshots.mark.take();
        let sent = self.send_completed().await;
        if sent.is_err() {
            self.snapshots.mark = before;
        }
        sent
    }

    async fn send_completed(&mut self) -> Flow {
        let completed = event::snapshot_completed(self.source.now(), self.snapshot_count);
        self.send_event(completed).await
    }

    /// Sends a page of balances; how many there were.
    async fn send_balances(&mut self, page: BalancePage, marks: bool) -> Flow<usize> {
        let (partition, position) = (page.partition, page.up_to);
        let source = Arc::clone(&self.source);
        let readers = Arc::clone(&self.hub.readers);
        let work = async move {
            let _turn = readers.acquire_owned().await;
            source.balances(page).await
        };
        let standings = self.attend(work).await?;
        let now = self.source.now();
        for standing in &standings {
            let before = self.snapshots.mark.clone();
            if marks {
                self.snapshots.mark =
                    Some(SnapshotMark { partition, account_id: standing.identity.account_id.clone() });
            }
            if let Err(end) = self.send_event(event::balance_snapshot(standing, position, now)).await {
                self.snapshots.mark = before;
                return Err(end);
            }
            self.snapshot_count += 1;
        }
        Ok(standings.len())
    }

    /// Follows more accounts, from where the stream stands: so every token since says what is left of theirs too.
    pub(super) async fn add(&mut self, account_ids: Vec<String>) -> Flow {
        let account_ids = distinct(account_ids);
        if self.listed.filter.len() + account_ids.len() > MAX_FOLLOWED {
            return Err(End::Refused(too_many()));
        }
        let source = Arc::clone(&self.source);
        let ids = account_ids.clone();
        let identities = self.attend(async move { source.identities(ids).await }).await?;
        let mut found: BTreeMap<u16, Vec<Arc<Identity>>> = BTreeMap::new();
        let (mut added, mut missing) = (Vec::new(), Vec::new());
        for (account_id, identity) in account_ids.into_iter().zip(identities) {
            match identity.filter(|identity| self.sees.as_ref().is_none_or(|sees| sees(identity))) {
                None => missing.push(account_id),
                Some(identity) if self.listed.filter.holds(&identity) => {}
                Some(identity) => {
                    found.entry(identity.partition).or_default().push(identity);
                    added.push(account_id);
                }
            }
        }
        // Where nothing is left to send, that is the present.
        self.refresh();
        let pages: Vec<BalancePage> =
            found.into_iter().filter_map(|(partition, identities)| self.follow(partition, &identities)).collect();
        self.confirm(added, Vec::new(), missing).await?;
        let with_balances = if self.opening > 0 { self.snapshots.of_start } else { self.snapshots.of_added };
        self.opening = self.opening.saturating_sub(1);
        if with_balances {
            for page in pages {
                self.send_balances(page, false).await?;
            }
            if self.opening == 0 {
                self.send_completed().await?;
            }
        }
        Ok(())
    }

    /// Follows accounts of one partition; the balances they begin with.
    fn follow(&mut self, partition: u16, identities: &[Arc<Identity>]) -> Option<BalancePage> {
        let index = usize::from(partition);
        let lane = self.hub.lanes.get(index)?;
        let up_to = self.cursors.get(index)?.mark.position;
        for identity in identities {
            lane.follow(&self.listed.subscriber, identity.account);
            self.listed.filter.add(identity);
        }
        // Others may have been told already of what these accounts have above the cursor: it is read from there.
        self.listed.subscriber.leave(partition);
        self.forget_reading(index);
        let account_ids: Vec<String> = identities.iter().map(|identity| identity.account_id.clone()).collect();
        Some(BalancePage {
            partition,
            limit: account_ids.len(),
            filter: BalanceFilter { account_ids, ..BalanceFilter::default() },
            after_account_id: String::new(),
            up_to,
        })
    }

    /// Follows accounts no longer.
    pub(super) async fn remove(&mut self, account_ids: Vec<String>) -> Flow {
        let mut removed = Vec::new();
        for account_id in account_ids {
            let Some((partition, account)) = self.listed.filter.remove(&account_id) else { continue };
            if let Some(lane) = self.hub.lanes.get(usize::from(partition)) {
                lane.unfollow(&self.listed.subscriber, account);
            }
            self.forget_reading(usize::from(partition));
            removed.push(account_id);
        }
        self.confirm(Vec::new(), removed, Vec::new()).await
    }
}

fn too_many() -> Refusal {
    let description = format!("One stream follows at most {MAX_FOLLOWED} accounts; open another.");
    Refusal::field(Reason::TooManyItems, "add.account_ids", description).with("max", MAX_FOLLOWED)
}
