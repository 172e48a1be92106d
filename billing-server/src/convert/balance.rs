//! Balances.

use billing_proto::v1;

use super::{money, time};
use crate::domain::amounts::Amounts;
use crate::domain::head::{Head, Identity};
use crate::domain::instant::Instant;
use crate::domain::money::Money;

/// The balance of an account as `now` sees it.
pub fn of_head(head: &Head, now: Instant, position: v1::JournalPosition) -> v1::Balance {
    let amounts = head.amounts_at(now);
    v1::Balance {
        sequence: head.sequence,
        entry_sequence: head.entry_sequence,
        ..of_amounts(&head.identity, &amounts, now, position)
    }
}

/// The balance that amounts make, without the sequences.
pub fn of_amounts(
    identity: &Identity,
    amounts: &Amounts,
    as_of: Instant,
    position: v1::JournalPosition,
) -> v1::Balance {
    let write = |amount| Some(money::to_wire(amount, identity.currency));
    v1::Balance {
        account_id: identity.account_id.clone(),
        posted: write(amounts.posted),
        held: write(amounts.held),
        promised: write(amounts.promised),
        credit_limit: write(amounts.credit_limit),
        not_due: write(amounts.not_due),
        available: write(amounts.available()),
        free: write(amounts.free()),
        direct_debt: write(amounts.direct_debt()),
        bonus: write(amounts.bonus),
        sequence: 0,
        entry_sequence: 0,
        outstanding: write(amounts.outstanding()),
        overdue: write(amounts.overdue),
        // Nothing that falls due exists before invoices and subscriptions do.
        next_payment: None,
        access: Some(allowed()),
        as_of: Some(time::to_wire(as_of)),
        position: Some(position),
    }
}

/// All that is told of an account by the time at which things happened.
pub fn of_posted(identity: &Identity, posted: Money, as_of: Instant, position: v1::JournalPosition) -> v1::Balance {
    v1::Balance {
        account_id: identity.account_id.clone(),
        posted: Some(money::to_wire(posted, identity.currency)),
        as_of: Some(time::to_wire(as_of)),
        position: Some(position),
        ..v1::Balance::default()
    }
}

/// All amounts of a balance, as events carry them.
pub fn amounts_to_wire(identity: &Identity, amounts: &Amounts) -> v1::BalanceAmounts {
    let write = |amount| Some(money::to_wire(amount, identity.currency));
    v1::BalanceAmounts {
        posted: write(amounts.posted),
        held: write(amounts.held),
        promised: write(amounts.promised),
        credit_limit: write(amounts.credit_limit),
        not_due: write(amounts.not_due),
        available: write(amounts.available()),
        free: write(amounts.free()),
        direct_debt: write(amounts.direct_debt()),
        bonus: write(amounts.bonus),
        outstanding: write(amounts.outstanding()),
        overdue: write(amounts.overdue),
    }
}

/// The access of an account that nothing suspends: suspension does not exist yet.
fn allowed() -> v1::Access {
    v1::Access { state: v1::AccessState::Allowed.into(), reasons: Vec::new(), suspended_since: None }
}
