//! The amounts that make a balance, and what follows from them.

use serde::{Deserialize, Serialize};

use super::money::Money;
use super::reason::{Reason, Refusal};

/// The amounts of an account at one moment. Every other figure of a balance follows from these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amounts {
    /// The sum of all entries.
    pub posted: Money,
    /// The rest of all open holds.
    pub held: Money,
    /// What is left of BONUS money.
    pub bonus: Money,
    /// How far `available` may go beyond the money there.
    pub credit_limit: Money,
    /// The rest of the open promise.
    pub promised: Money,
    /// The unpaid rest of issued invoices whose due date has not ended.
    pub not_due: Money,
    /// The unpaid rest of issued invoices whose due date has ended.
    pub overdue: Money,
}

impl Amounts {
    /// posted − held + credit limit + promised + not due (`rules.md`, Balance).
    pub fn available(&self) -> Money {
        Money::from_micros(self.posted.micros().saturating_sub(self.held.micros()).saturating_add(
            self.credit_limit.micros().saturating_add(self.promised.micros()).saturating_add(self.not_due.micros()),
        ))
    }

    /// The unpaid rest of issued invoices, due or not.
    pub fn outstanding(&self) -> Money {
        Money::from_micros(self.not_due.micros().saturating_add(self.overdue.micros()))
    }

    /// Money that no invoice claims: max(0, posted + outstanding).
    pub fn free(&self) -> Money {
        self.uninvoiced().max(Money::ZERO)
    }

    /// What direct charges took beyond the money there: max(0, −(posted + outstanding)).
    pub fn direct_debt(&self) -> Money {
        self.uninvoiced().negated().max(Money::ZERO)
    }

    /// Money that may leave: posted − held − bonus.
    pub fn own(&self) -> Money {
        Money::from_micros(self.posted.micros().saturating_sub(self.held.micros()).saturating_sub(self.bonus.micros()))
    }

    fn uninvoiced(&self) -> Money {
        Money::from_micros(self.posted.micros().saturating_add(self.outstanding().micros()))
    }

    /// The same amounts, if all of them can be represented.
    ///
    /// # Errors
    /// `BALANCE_OVERFLOW` when one of them, or `available`, would leave ±9,000,000,000,000.
    pub fn checked(self) -> Result<Self, Refusal> {
        let available = [self.posted, self.held.negated(), self.credit_limit, self.promised, self.not_due];
        let fits = |amount: i128| amount.unsigned_abs() <= u128::from(Money::MAX.micros().unsigned_abs());
        let sum = available.iter().map(|amount| i128::from(amount.micros())).sum();
        let parts = [self.posted, self.held, self.bonus, self.credit_limit, self.promised, self.not_due, self.overdue];
        if fits(sum) && parts.iter().all(|amount| fits(i128::from(amount.micros()))) {
            Ok(self)
        } else {
            Err(Refusal::new(
                Reason::BalanceOverflow,
                "The balance would leave the range of ±9,000,000,000,000; nothing was written.",
            ))
        }
    }

    /// These amounts after an entry of `amount` (signed): each debit takes from bonus money first, and a bonus that
    /// fills a debt is spent by it.
    ///
    /// # Errors
    /// `BALANCE_OVERFLOW`.
    pub fn after_entry(self, amount: Money, is_bonus: bool) -> Result<Self, Refusal> {
        let overflow =
            || Refusal::new(Reason::BalanceOverflow, "The balance would leave its range of ±9,000,000,000,000.");
        let posted = self.posted.checked_add(amount).ok_or_else(overflow)?;
        let bonus = match (is_bonus, amount.is_negative()) {
            (true, _) | (false, true) => self.bonus.checked_add(amount).ok_or_else(overflow)?,
            (false, false) => self.bonus,
        };
        let bonus = bonus.min(posted).max(Money::ZERO);
        Self { posted, bonus, ..self }.checked()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(units: i64) -> Money {
        Money::from_micros(units * 1_000_000)
    }

    #[test]
    fn available_adds_every_term_of_the_formula() {
        let amounts = Amounts {
            posted: money(100),
            held: money(30),
            bonus: money(10),
            credit_limit: money(50),
            promised: money(5),
            not_due: money(20),
            overdue: money(7),
        };
        assert_eq!(amounts.available(), money(145));
        assert_eq!(amounts.outstanding(), money(27));
        assert_eq!(amounts.free(), money(127));
        assert_eq!(amounts.direct_debt(), Money::ZERO);
        assert_eq!(amounts.own(), money(60));
    }

    #[test]
    fn a_debit_takes_bonus_money_first() {
        let cases = [
            // posted, bonus, amount, is bonus → posted, bonus
            (0, 0, 100, true, 100, 100),
            (100, 100, -30, false, 70, 70),
            (150, 50, -70, false, 80, 0),
            (-40, 0, 100, true, 60, 60),
            (-40, 0, 30, true, -10, 0),
            (50, 50, 20, false, 70, 50),
        ];
        for (posted, bonus, amount, is_bonus, posted_after, bonus_after) in cases {
            let before = Amounts { posted: money(posted), bonus: money(bonus), ..Amounts::default() };
            let after = before.after_entry(money(amount), is_bonus);
            let expected = Amounts { posted: money(posted_after), bonus: money(bonus_after), ..Amounts::default() };
            assert_eq!(after, Ok(expected));
        }
    }

    #[test]
    fn a_balance_beyond_the_range_is_refused() {
        let full = Amounts { posted: Money::MAX, ..Amounts::default() };
        assert_eq!(
            full.after_entry(Money::ONE_MICRO, false).map_err(|refusal| refusal.reason),
            Err(Reason::BalanceOverflow)
        );
        let limit = Amounts { posted: Money::MAX, credit_limit: Money::ONE_MICRO, ..Amounts::default() };
        assert_eq!(limit.checked().map_err(|refusal| refusal.reason), Err(Reason::BalanceOverflow));
    }
}
