//! What happens to the accounts in a year, day by day. Everything follows from the seed and the first day, so that a
//! second run says the same and changes nothing.

use chrono::{Datelike as _, NaiveDate, NaiveTime, TimeDelta};

use super::company::{Account, Paying, minor};
use super::random::Random;
use crate::domain::accounts::{BillingMode, StateChange};
use crate::domain::calendar::instant_at;
use crate::domain::holds::{Capture, Expiry, HoldTexts, Place};
use crate::domain::instant::Instant;
use crate::domain::ledger::{Post, Reverse, Transfer};
use crate::domain::record::{Kind, Tax, Texts};
use crate::domain::rounding::Rounding;
use crate::engine::command::{Body, Command};

/// How many days the year has.
pub(super) const DAYS: i64 = 365;
/// Holds placed in the last days are still open at the end.
const OPEN_HOLDS_DAYS: i64 = 4;
/// `REVERSAL_CAUSE_DUPLICATE` of the contract.
const DUPLICATE: i32 = 2;

/// Something to do.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// As it is.
    Do(Command),
    /// Take back the entry that the account's key has posted.
    Reverse { command: Command, key: String },
}

/// The year of all accounts.
#[derive(Debug)]
pub(super) struct Year {
    pub(super) accounts: Vec<Account>,
    begins: NaiveDate,
    random: Random,
}

/// One account on one day.
struct Day<'a> {
    account: &'a mut Account,
    random: &'a mut Random,
    number: i64,
    date: NaiveDate,
    steps: Vec<Step>,
}

impl Year {
    /// The year before `ends`.
    pub(super) fn new(accounts: Vec<Account>, ends: NaiveDate, random: Random) -> Self {
        Self { accounts, begins: ends - TimeDelta::days(DAYS), random }
    }

    /// The commands that open the accounts.
    pub(super) fn openings(&self) -> Vec<Step> {
        let open = |account: &Account| {
            Step::Do(command(account, "demo-open".to_owned(), Body::CreateAccount(Box::new(account.create.clone()))))
        };
        self.accounts.iter().map(open).collect()
    }

    /// What happens on a day, in order.
    pub(super) fn day(&mut self, number: i64) -> anyhow::Result<Vec<Step>> {
        let date = self.begins + TimeDelta::days(number);
        let mut steps = Vec::new();
        for account in &mut self.accounts {
            if account.opens > number || account.closes.is_some_and(|closes| closes < number) {
                continue;
            }
            let mut day = Day { account, random: &mut self.random, number, date, steps: Vec::new() };
            day.live()?;
            steps.append(&mut day.steps);
        }
        for to in 1..self.accounts.len() {
            if self.random.chance(10) {
                steps.extend(self.transfer((to - 1, to), number, date)?);
            }
        }
        Ok(steps)
    }

    /// Money that an owner moves from one account, where there is plenty, to another one of the same currency.
    fn transfer(&mut self, (from, to): (usize, usize), number: i64, date: NaiveDate) -> anyhow::Result<Option<Step>> {
        let (giver, taker) = (&self.accounts[from], &self.accounts[to]);
        let is_open = |account: &Account| account.opens <= number && account.closes.is_none();
        let is_same = giver.create.customer_id == taker.create.customer_id;
        let amount = giver.market.round;
        // What is held in the last days cannot be moved.
        let own = if number < DAYS - OPEN_HOLDS_DAYS { giver.posted - giver.bonuses } else { 0 };
        if !is_same || !is_open(giver) || !is_open(taker) || own < amount * 2 {
            return Ok(None);
        }
        let transfer = Transfer {
            to_account_id: taker.account_id.clone(),
            amount: minor(amount)?,
            currency: None,
            category: None,
            occurred_at: at(giver, date, 20, 0),
            texts: described(giver.market.texts.transfer, None),
            expected_sequence: None,
        };
        let step = Step::Do(command(giver, format!("demo-transfer-{date}"), Body::Transfer(Box::new(transfer))));
        self.accounts[from].posted -= amount;
        self.accounts[to].posted += amount;
        Ok(Some(step))
    }
}

impl Day<'_> {
    fn live(&mut self) -> anyhow::Result<()> {
        if self.account.closes == Some(self.number) {
            return self.close();
        }
        self.charge_month()?;
        self.charge_calls()?;
        self.order_domain()?;
        self.pay()?;
        self.make_good()
    }

    fn charge_month(&mut self) -> anyhow::Result<()> {
        if self.date.day() != self.account.billing_day {
            return Ok(());
        }
        let month = self.date.format("%Y-%m");
        for service in self.account.services.clone() {
            let text = format!("{}, {month}", service.name);
            let key = format!("demo-{}-{month}", service.category);
            self.charge(service.category, service.price, text.clone(), key.clone(), 3)?;
            if self.random.chance(8) {
                // A mistake: charged once more, and taken back.
                let again = format!("{key}-again");
                self.charge(service.category, service.price, text, again.clone(), 4)?;
                self.reverse(again, service.price);
            }
        }
        Ok(())
    }

    fn charge_calls(&mut self) -> anyhow::Result<()> {
        if !self.account.has_phone || self.date.weekday() != chrono::Weekday::Sun {
            return Ok(());
        }
        let (low, high) = self.account.market.calls;
        let price = self.random.between(low, high);
        let text = self.account.market.texts.calls.to_owned();
        self.charge("telephony", price, text, format!("demo-calls-{}", self.date), 23)
    }

    /// A domain is reserved first and charged when the registry has answered: in full, or less.
    fn order_domain(&mut self) -> anyhow::Result<()> {
        let (low, high) = self.account.market.extras;
        let has_hosting = self.account.services.iter().any(|service| service.category == "hosting");
        let amount = self.random.between(low, high);
        // In the last days more of them: so that some are seen while they are open.
        let permille = if self.number < DAYS - OPEN_HOLDS_DAYS { 12 } else { 60 };
        if !has_hosting || !self.random.chance(permille) || self.account.posted + self.account.credit_limit < amount {
            return Ok(());
        }
        let hold_id = format!("domain-{}", self.date);
        let description = Some(self.account.market.texts.domain.to_owned());
        let place = Place {
            hold_id: hold_id.clone(),
            amount: minor(amount)?,
            currency: None,
            expiry: Some(Expiry::After(std::time::Duration::from_secs(30 * 86_400))),
            category: Some("domains".to_owned()),
            texts: HoldTexts { description: description.clone(), ..HoldTexts::default() },
        };
        self.push(format!("demo-hold-{}", self.date), Body::PlaceHold(Box::new(place)));
        if self.number >= DAYS - OPEN_HOLDS_DAYS {
            // Still open at the end; what is held is not there for other holds.
            self.account.credit_limit -= amount;
        } else if self.random.chance(120) {
            self.push(format!("demo-release-{}", self.date), Body::ReleaseHold { hold_id });
        } else {
            let charged = if self.random.chance(700) { amount } else { amount * 9 / 10 };
            let capture = Capture {
                hold_id,
                amount: Some(minor(charged)?),
                currency: None,
                keep_rest: false,
                counter: None,
                category: None,
                occurred_at: at(self.account, self.date, 12, 0),
                tax: self.tax(charged)?,
                texts: Texts { description, ..Texts::default() },
            };
            self.account.posted -= charged;
            self.push(format!("demo-capture-{}", self.date), Body::CaptureHold(Box::new(capture)));
        }
        Ok(())
    }

    fn pay(&mut self) -> anyhow::Result<()> {
        let account = &*self.account;
        let monthly: i64 = account.services.iter().map(|service| service.price).sum();
        let owed = -account.posted;
        let is_postpaid = account.create.billing_mode == BillingMode::Postpaid;
        let amount = match account.paying {
            Paying::NoLongerFrom(day) if day <= self.number => return Ok(()),
            // Around the due date, two weeks after the charges; the late ones some time later.
            Paying::InTime | Paying::NoLongerFrom(_) if is_postpaid && !(12..=18).contains(&self.date.day()) => {
                return Ok(());
            }
            Paying::Late if is_postpaid && self.date.day() < 22 => return Ok(()),
            _ if is_postpaid => owed,
            // Before money runs out; the late ones when it has run out.
            Paying::Late if account.posted >= 0 => return Ok(()),
            _ if account.posted > monthly / 3 => return Ok(()),
            _ => round_up(owed.max(0) + monthly, account.market.round),
        };
        if amount <= 0 || !self.random.chance(350) {
            return Ok(());
        }
        let counter = self.random.pick(account.market.pays_by);
        let reference = format!("PP {}", self.random.between(1_000, 99_999));
        self.account.posted += amount;
        let texts = described(self.account.market.texts.payment, Some(reference));
        let post = Post { counter: Some(counter.to_owned()), ..self.entry(Kind::Payment, amount, 14, texts)? };
        self.push(format!("demo-payment-{}", self.date), Body::Post(Box::new(post)));
        Ok(())
    }

    /// Refunds for outages, and bonuses now and then; an account that will be closed gets none, which could not be paid
    /// out.
    fn make_good(&mut self) -> anyhow::Result<()> {
        let texts = self.account.market.texts;
        if self.random.chance(2) {
            let service = self.random.pick(&self.account.services);
            let amount = service.price / self.random.between(5, 30);
            let entry = self.entry(Kind::ChargeRefund, amount, 16, described(texts.refund, None))?;
            let post = Post { category: Some(service.category.to_owned()), ..entry };
            self.account.posted += amount;
            self.push(format!("demo-refund-{}", self.date), Body::Post(Box::new(post)));
        }
        if self.account.closes.is_none() && self.random.chance(2) {
            let amount = self.account.market.round / 5;
            let post = self.entry(Kind::Bonus, amount, 17, described(texts.bonus, None))?;
            self.account.posted += amount;
            self.account.bonuses += amount;
            self.push(format!("demo-bonus-{}", self.date), Body::Post(Box::new(post)));
        }
        Ok(())
    }

    /// The last payment or payout, and the end.
    fn close(&mut self) -> anyhow::Result<()> {
        let texts = self.account.market.texts;
        let rest = self.account.posted;
        if rest != 0 {
            let (kind, text) = if rest > 0 { (Kind::Payout, texts.payout) } else { (Kind::Payment, texts.payment) };
            let post = self.entry(kind, rest.abs(), 11, described(text, None))?;
            self.account.posted = 0;
            self.push("demo-last".to_owned(), Body::Post(Box::new(post)));
        }
        self.push("demo-close".to_owned(), Body::CloseAccount(StateChange::default()));
        Ok(())
    }

    fn charge(&mut self, category: &str, price: i64, text: String, key: String, hour: u32) -> anyhow::Result<()> {
        let texts = Texts { description: Some(text), ..Texts::default() };
        let entry = self.entry(Kind::Charge, price, hour, texts)?;
        let post = Post { category: Some(category.to_owned()), tax: self.tax(price)?, ..entry };
        self.account.posted -= price;
        self.push(key, Body::Post(Box::new(post)));
        Ok(())
    }

    fn reverse(&mut self, key: String, amount: i64) {
        let reverse = Reverse {
            // Put in when the entry has been posted and has a number.
            sequence: 0,
            amount: None,
            currency: None,
            cause: DUPLICATE,
            reason: Some(self.account.market.texts.again.to_owned()),
            peer_account_id: None,
        };
        self.account.posted += amount;
        let command = command(self.account, format!("{key}-reversed"), Body::Reverse(Box::new(reverse)));
        self.steps.push(Step::Reverse { command, key });
    }

    fn entry(&mut self, kind: Kind, amount: i64, hour: u32, texts: Texts) -> anyhow::Result<Post> {
        let minute = u32::try_from(self.random.between(0, 59))?;
        Ok(Post {
            kind,
            amount: minor(amount)?,
            currency: None,
            counter: None,
            category: None,
            occurred_at: at(self.account, self.date, hour, minute),
            invoice_id: None,
            tax: None,
            texts,
            require_available: false,
            expected_sequence: None,
        })
    }

    /// The tax contained in a price.
    fn tax(&self, price: i64) -> anyhow::Result<Option<Tax>> {
        let Some((code, percent)) = self.account.market.tax else { return Ok(None) };
        let amount = minor(price)?.times_ratio(percent.into(), (100 + percent).into(), 2, Rounding::HalfUp);
        Ok(amount.map(|amount| Tax { code: code.to_owned(), rate_percent: percent.to_string(), amount }))
    }

    fn push(&mut self, key: String, body: Body) {
        let command = command(self.account, key, body);
        self.steps.push(Step::Do(command));
    }
}

fn command(account: &Account, key: String, body: Body) -> Command {
    let principal = Some(super::PRINCIPAL.into());
    Command { account_id: account.account_id.clone(), key: Some(key), principal, body, validate_only: false }
}

fn described(text: &str, reference: Option<String>) -> Texts {
    Texts { description: Some(text.to_owned()), reference, ..Texts::default() }
}

fn at(account: &Account, date: NaiveDate, hour: u32, minute: u32) -> Option<Instant> {
    let time = NaiveTime::from_hms_opt(hour, minute, 0)?;
    Some(instant_at(date, time, account.create.time_zone))
}

fn round_up(amount: i64, step: i64) -> i64 {
    (amount + step - 1) / step * step
}
