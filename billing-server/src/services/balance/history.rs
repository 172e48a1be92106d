//! Balances as of an instant.

use std::collections::HashMap;

use billing_db::{Conn, DbError, JournalRow, journal, totals};
use billing_proto::v1;

use crate::convert::{balance, position};
use crate::domain::amounts::Amounts;
use crate::domain::holds::Hold;
use crate::domain::instant::Instant;
use crate::domain::money::Money;
use crate::domain::reason::Refusal;
use crate::engine::Engine;
use crate::engine::record::{amounts_after, entry_sequence_of, payload_of};
use crate::services::find;

/// How many rows are read at once while the open holds are looked for.
const PAGE: i64 = 1000;

/// The balance as it was known at an instant: the account's last row recorded by then, and what time had ended by then.
pub(super) async fn recorded(engine: &Engine, account_id: &str, at: Instant) -> Result<v1::Balance, Refusal> {
    let head = find::head(engine, account_id).await?;
    let identity = &head.identity;
    let (partition, account) = (find::number(identity.partition), identity.account);
    let row = engine.read(move |conn| journal::last_row_at(conn, partition, account, at.micros())).await?;
    let Some(row) = row else {
        let mut refusal = find::not_found(account_id);
        refusal.message = format!("There was no account {account_id} at {at} yet.");
        return Err(refusal);
    };
    let mut amounts = amounts_after(&row);
    let mut search = Search::of(&row, &amounts);
    while !search.is_done() {
        search = engine.read(move |conn| search.step(conn, partition, account)).await?;
    }
    amounts.held = amounts.held.checked_sub(search.ended_by(at)).unwrap_or(Money::ZERO);
    Ok(of_row(&head.identity, &row, &amounts, at))
}

fn of_row(identity: &crate::domain::head::Identity, row: &JournalRow, amounts: &Amounts, at: Instant) -> v1::Balance {
    v1::Balance {
        sequence: row.sequence,
        entry_sequence: entry_sequence_of(row),
        ..balance::of_amounts(identity, amounts, at, position::to_wire(row.partition, row.position))
    }
}

/// The posted amount by the time at which things happened.
pub(super) async fn occurred(engine: &Engine, account_id: &str, at: Instant) -> Result<v1::Balance, Refusal> {
    let head = find::head(engine, account_id).await?;
    let (partition, account) = (find::number(head.identity.partition), head.identity.account);
    let position = find::position(engine, head.identity.partition);
    let posted = engine.read(move |conn| totals::posted_sum_by_occurred(conn, partition, account, at.micros())).await?;
    Ok(balance::of_posted(&head.identity, Money::from_micros(posted), at, position))
}

/// The holds that were open right after a row, found by walking back from it until what they reserve is what the row says
/// is held. Sequences have no gaps, so a page is an interval of them.
#[derive(Debug, Default)]
struct Search {
    /// The newest row not looked at yet.
    sequence: i64,
    /// Rows above this position came later.
    position: i64,
    /// What is held and not found yet.
    missing: Money,
    /// The last state of each hold; rows are seen newest first.
    holds: HashMap<String, Hold>,
}

impl Search {
    fn of(row: &JournalRow, amounts: &Amounts) -> Self {
        Self { sequence: row.sequence, position: row.position, missing: amounts.held, holds: HashMap::new() }
    }

    fn is_done(&self) -> bool {
        !self.missing.is_positive() || self.sequence <= 0
    }

    fn step(mut self, conn: &mut Conn<'_>, partition: i16, account: i64) -> Result<Self, DbError> {
        let before = self.sequence.saturating_sub(PAGE).max(0);
        let rows = journal::rows_of_account(conn, partition, account, before, self.position, PAGE)?;
        for row in rows.iter().rev() {
            self.see(row);
        }
        self.sequence = before;
        Ok(self)
    }

    fn see(&mut self, row: &JournalRow) {
        let Some(hold) = row.payload.is_some().then(|| payload_of(row)).and_then(|payload| payload.hold) else {
            return;
        };
        if !self.holds.contains_key(&hold.hold_id) {
            self.missing = self.missing.checked_sub(hold.rest()).unwrap_or(Money::ZERO);
            self.holds.insert(hold.hold_id.clone(), hold);
        }
    }

    /// What the holds that had ended by an instant reserved.
    fn ended_by(&self, at: Instant) -> Money {
        let ended = self.holds.values().filter(|hold| hold.expires_at <= at).map(Hold::rest);
        Money::checked_sum(ended).unwrap_or(Money::ZERO)
    }
}
