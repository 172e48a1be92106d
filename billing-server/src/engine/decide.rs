//! Decides commands one after the other, in memory: a repetition is answered, a rule refuses, or rows are written.

use std::sync::Arc;
use std::time::Duration;

use super::command::{Answer, Body, Command, Job, Mode, Outcome};
use super::found::{account_number, found, head_of, hold, not_found, placed};
use super::record::Record;
use super::replay::{self, Remembered, content_of_command};
use super::seal::key_hash;
use super::work::{Stamp, Work};
use super::works::Works;
use crate::domain::accounts;
use crate::domain::head::Head;
use crate::domain::holds::{self};
use crate::domain::instant::Instant;
use crate::domain::ledger::{self, Context, Original};
use crate::domain::money::Money;
use crate::domain::reason::{Reason, Refusal};
use crate::domain::record::{Draft, Kind, Leg};
use crate::time::World;

/// Decides the jobs of a batch.
pub(super) struct Decider<'a> {
    pub(super) works: &'a mut Works,
    pub(super) world: &'a World,
    /// How far back an entry may have occurred.
    pub(super) max_back: Duration,
}

impl Decider<'_> {
    /// The answers to a job's commands, in their order.
    pub(super) fn job(&mut self, job: &Job) -> Vec<Answer> {
        let before = job.trial.then(|| self.works.clone());
        let answers = match job.mode {
            Mode::Independent => job.commands.iter().map(|command| self.command(command)).collect(),
            Mode::Atomic => self.atomic(&job.commands),
        };
        if let Some(before) = before {
            *self.works = before;
        }
        answers
    }

    /// All or nothing: at the first refusal everything is taken back, and only the refusal is remembered.
    fn atomic(&mut self, commands: &[Command]) -> Vec<Answer> {
        let before = self.works.clone();
        let mut answers = Vec::with_capacity(commands.len());
        for (index, command) in commands.iter().enumerate() {
            match self.command(command) {
                Ok(outcome) => answers.push(Ok(outcome)),
                Err(refusal) => {
                    *self.works = before;
                    self.remember_refusal(command, &refusal);
                    let linked = Refusal::new(
                        Reason::LinkedItemFailed,
                        format!("Operation {index} of the batch was refused; nothing was written."),
                    )
                    .with("index", index);
                    let mut answers: Vec<Answer> = commands.iter().map(|_| Err(linked.clone())).collect();
                    answers[index] = Err(refusal);
                    return answers;
                }
            }
        }
        answers
    }

    fn command(&mut self, command: &Command) -> Answer {
        let key = command.key.as_deref().map(|key| (key, key_hash(&command.account_id, key)));
        let work = self.works.home(command);
        if let Some((_, hash)) = key
            && let Some(remembered) = work.keys.get(&hash)
        {
            let secret = work.head(&command.account_id).and_then(|head| head.secret);
            return replay::answer(command, secret.as_ref(), remembered);
        }
        let last = work.at.position;
        // An account or a hold that is made once more is found: its row is an earlier one.
        let outcome = |rows: Vec<Arc<Record>>| {
            let replayed = rows.first().is_some_and(|row| row.row.position <= last);
            Outcome { rows, replayed }
        };
        if command.validate_only {
            let before = self.works.clone();
            let answer = self.apply(command, Stamp::default());
            *self.works = before;
            return answer.map(outcome);
        }
        let principal = command.principal.clone();
        let rows = self.apply(command, Stamp { key, principal: principal.as_ref() });
        match rows {
            Ok(rows) => {
                // What is found uses no key up.
                let is_keyed =
                    |hash: [u8; 16]| rows.first().is_some_and(|row| row.row.key_hash.as_deref() == Some(&hash[..]));
                if let Some((_, hash)) = key.filter(|(_, hash)| is_keyed(*hash)) {
                    self.works.home(command).keys.insert(hash, Remembered::Rows(rows.clone()));
                }
                Ok(outcome(rows))
            }
            Err(refusal) => {
                self.remember_refusal(command, &refusal);
                Err(refusal)
            }
        }
    }

    fn remember_refusal(&mut self, command: &Command, refusal: &Refusal) {
        let Some(key) = command.key.as_deref().filter(|_| refusal.reason.is_remembered() && !command.validate_only)
        else {
            return;
        };
        let clock = self.world.clock.now();
        let work = self.works.home(command);
        let hash = key_hash(&command.account_id, key);
        let (account, secret) = match work.head(&command.account_id) {
            Some(head) => (head.identity.account, head.secret),
            None if command.account_id.is_empty() => (0, None),
            None => return,
        };
        if work.keys.contains_key(&hash) {
            return;
        }
        let now = work.now(clock);
        work.refuse(account, hash, content_of_command(command, secret.as_ref()), refusal, now);
    }

    fn context(&mut self, command: &Command) -> Context {
        let clock = self.world.clock.now();
        let max_back = self.max_back;
        let parts = &self.works.parts;
        let now = parts.iter().map(|work| work.now(clock)).max().unwrap_or(clock);
        let work = self.works.home(command);
        Context { now, closed_until: work.closed_until, max_back }
    }

    fn apply(&mut self, command: &Command, stamp: Stamp<'_>) -> Result<Vec<Arc<Record>>, Refusal> {
        let context = self.context(command);
        match &command.body {
            Body::CreateAccount(create) => self.create(command, create, &context, stamp),
            Body::CloseBooks { until, reason } => self.close_books(command, (*until, reason.as_ref()), &context, stamp),
            Body::Transfer(transfer) => self.transfer(command, transfer, &context, stamp),
            Body::Reverse(reverse) => self.reverse(command, reverse, &context, stamp),
            _ => self.single(command, &context, stamp),
        }
    }

    /// A command that concerns one account and writes one row, or none.
    fn single(&mut self, command: &Command, context: &Context, stamp: Stamp<'_>) -> Result<Vec<Arc<Record>>, Refusal> {
        let now = context.now;
        let work = self.works.home(command);
        let account = account_number(work, &command.account_id)?;
        if let Body::PlaceHold(place) = &command.body
            && let Some(row) = placed(work, command, account, place)?
        {
            return Ok(vec![row]);
        }
        settle(work, account, now);
        let head = head_of(work, account, &command.account_id)?;
        let full = || work.accounts.get(&account).ok_or_else(|| not_found(&command.account_id));
        let mut drafts = match &command.body {
            Body::Post(post) => vec![ledger::post(head, post, context)?],
            Body::PlaceHold(place) => vec![holds::place(head, place, context)?],
            Body::UpdateHold(update) => {
                vec![holds::update(head, &*hold(work, head, &update.hold_id)?, update, context)?]
            }
            Body::CaptureHold(capture) => {
                vec![holds::capture(head, &*hold(work, head, &capture.hold_id)?, capture, context)?]
            }
            Body::ReleaseHold { hold_id } => vec![holds::release(head, &*hold(work, head, hold_id)?, context)?],
            Body::UpdateAccount(update) => vec![accounts::update(head, full()?, update, now)?],
            Body::CloseAccount(change) => accounts::close(head, full()?, change, context)?,
            Body::ReopenAccount(change) => vec![accounts::reopen(head, full()?, change, now)?],
            Body::AnonymizeAccount(change) => vec![accounts::anonymize(head, full()?, change, now)?],
            _ => Vec::new(),
        };
        let secret = head.secret;
        let Some(mut last) = drafts.pop() else { return Ok(Vec::new()) };
        if !matches!(command.body, Body::Post(_)) {
            last.payload.request = content_of_command(command, secret.as_ref());
        }
        for draft in drafts {
            work.write(account, draft, now, Stamp { key: None, ..stamp });
        }
        written([work.write(account, last, now, stamp)])
    }

    fn create(
        &mut self,
        command: &Command,
        create: &accounts::Create,
        context: &Context,
        stamp: Stamp<'_>,
    ) -> Result<Vec<Arc<Record>>, Refusal> {
        let secret = self.world.secret();
        let work = self.works.home(command);
        if let Some(head) = work.head(&command.account_id) {
            let taken = Refusal::new(
                Reason::ResourceAlreadyExists,
                format!("Account {} exists already and is another one; choose another id.", command.account_id),
            )
            .with("id", &command.account_id)
            .with("resource_type", "billing.v1.Account");
            return found(work, command, head, 1, taken).map(|row| vec![row]);
        }
        let named = |refusal: Refusal| refusal.with("account_id", &command.account_id);
        let mut draft = accounts::create(create, context.now).map_err(named)?;
        draft.payload.request = content_of_command(command, Some(&secret));
        written([work.open(&command.account_id, draft, secret, context.now, stamp)])
    }

    /// Every partition keeps its copy of a service-wide thing; the key stands on the first one's row, which is the answer.
    fn close_books(
        &mut self,
        command: &Command,
        (until, reason): (chrono::NaiveDate, Option<&String>),
        context: &Context,
        stamp: Stamp<'_>,
    ) -> Result<Vec<Arc<Record>>, Refusal> {
        let days = crate::domain::calendar::days_from_epoch(until);
        if context.closed_until == Some(days) {
            return Ok(Vec::new());
        }
        if let Some(closed) = context.closed_until.filter(|closed| *closed > days) {
            let closed =
                crate::domain::calendar::date_from_days(closed).map(|date| date.to_string()).unwrap_or_default();
            let description =
                format!("The books are closed until {closed} already; a closed period is not opened again.");
            return Err(Refusal::field(Reason::DateRangeInvalid, "until_date", description)
                .with("from", closed)
                .with("to", until));
        }
        let mut draft = Draft::of(Kind::BooksClosed, crate::domain::amounts::Amounts::default());
        draft.payload.closed_until = Some(days);
        draft.payload.reason = reason.cloned();
        draft.payload.request = content_of_command(command, None);
        let mut stamp = stamp;
        let mut first = None;
        for work in &mut self.works.parts {
            let row = work.write_system(&draft, context.now, stamp);
            first.get_or_insert(row);
            stamp.key = None;
        }
        written([first])
    }

    fn transfer(
        &mut self,
        command: &Command,
        transfer: &ledger::Transfer,
        context: &Context,
        stamp: Stamp<'_>,
    ) -> Result<Vec<Arc<Record>>, Refusal> {
        let (from_home, to_home) = (
            self.works.spread.partition_of(&command.account_id),
            self.works.spread.partition_of(&transfer.to_account_id),
        );
        let from = self.settled(from_home, &command.account_id, context.now)?;
        let to = self.settled(to_home, &transfer.to_account_id, context.now)?;
        let (mut out, incoming) = ledger::transfer(&from, &to, transfer, context)?;
        out.payload.request = content_of_command(command, from.secret.as_ref());
        self.write_legs([(&from, out), (&to, incoming)], context.now, stamp)
    }

    fn reverse(
        &mut self,
        command: &Command,
        reverse: &ledger::Reverse,
        context: &Context,
        stamp: Stamp<'_>,
    ) -> Result<Vec<Arc<Record>>, Refusal> {
        let home = self.works.spread.partition_of(&command.account_id);
        let head = self.settled(home, &command.account_id, context.now)?;
        let (original, leg) = self.original(home, &head, reverse.sequence)?;
        let peer = match &leg {
            Some(leg) => {
                let home = self.works.spread.partition_of(&leg.account_id);
                let peer = self.settled(home, &leg.account_id, context.now)?;
                let (original, _) = self.original(home, &peer, leg.sequence)?;
                Some((peer, original, leg.sequence))
            }
            None => None,
        };
        head.check_currency(reverse.currency, "amount.currency_code")?;
        // The state of both accounts comes before that of the entry.
        for head in [Some(&head), peer.as_ref().map(|(peer, ..)| peer)].into_iter().flatten() {
            head.check_open()?;
            ledger::booking_date(head, None, context)?;
        }
        let amount = ledger::reversal_amount(&head, &original, reverse)?;
        let mut own = ledger::reverse(&head, reverse.sequence, &original, amount, reverse, context)?;
        own.payload.request = content_of_command(command, head.secret.as_ref());
        let Some((peer, original, sequence)) = peer else {
            let work = self.works.home(command);
            return written([work.write(head.identity.account, own, context.now, stamp)]);
        };
        let other = ledger::Reverse { currency: None, ..reverse.clone() };
        let incoming = ledger::reverse(&peer, sequence, &original, amount, &other, context)?;
        self.write_legs([(&head, own), (&peer, incoming)], context.now, stamp)
    }

    fn original(&mut self, home: u16, head: &Head, sequence: i64) -> Result<(Original, Option<Leg>), Refusal> {
        let account = head.identity.account;
        let missing = || {
            Refusal::new(
                Reason::EntryNotFound,
                format!("Account {} has no entry {sequence}.", head.identity.account_id),
            )
            .with("account_id", &head.identity.account_id)
            .with("sequence", sequence)
        };
        let work = self.works.part(home).ok_or_else(missing)?;
        let in_batch = work.row_of(account, sequence);
        let record = in_batch.or_else(|| work.originals.get(&(account, sequence)).and_then(Option::as_ref));
        let record = record.filter(|record| record.kind.is_entry()).ok_or_else(missing)?;
        let payload = record.payload();
        let original = Original {
            kind: record.kind,
            amount: Money::from_micros(record.row.amount),
            reversed: work.reversed.get(&(account, sequence)).copied().unwrap_or(Money::ZERO),
            counter: record.counter.as_deref().unwrap_or_default().to_owned(),
            category: record.category.as_deref().map(str::to_owned),
            tax: payload.tax,
            invoice_id: payload.invoice_id,
        };
        let is_leg = matches!(record.kind, Kind::TransferIn | Kind::TransferOut);
        Ok((original, payload.peer.filter(|_| is_leg)))
    }

    /// Writes two entries of one transaction, each naming the other; the first carries the key.
    fn write_legs(
        &mut self,
        legs: [(&Head, Draft); 2],
        now: Instant,
        stamp: Stamp<'_>,
    ) -> Result<Vec<Arc<Record>>, Refusal> {
        let [(first, mut first_draft), (second, mut second_draft)] = legs;
        let leg = |works: &mut Works, head: &Head, ahead: i64| {
            let work = works.part(head.identity.partition)?;
            Some(Leg {
                account_id: head.identity.account_id.clone(),
                sequence: work.heads.get(&head.identity.account)?.sequence + 1,
                partition: work.partition.db_number(),
                position: work.at.position + 1 + ahead,
            })
        };
        let ahead = i64::from(first.identity.partition == second.identity.partition);
        let internal = || Refusal::new(Reason::Internal, "A leg of a transaction has no partition.");
        let first_leg = leg(self.works, first, 0).ok_or_else(internal)?;
        let second_leg = leg(self.works, second, ahead).ok_or_else(internal)?;
        let transaction_id = format!("{}-{}", first_leg.partition, first_leg.position);
        first_draft.payload.transaction_id = Some(transaction_id.clone());
        second_draft.payload.transaction_id = Some(transaction_id);
        first_draft.payload.peer = Some(second_leg);
        second_draft.payload.peer = Some(first_leg);
        let mut write = |head: &Head, draft: Draft, stamp: Stamp<'_>| {
            self.works
                .part(head.identity.partition)
                .and_then(|work| work.write(head.identity.account, draft, now, stamp))
        };
        let first = write(first, first_draft, stamp);
        let second = write(second, second_draft, Stamp { key: None, ..stamp });
        written([first, second])
    }

    /// The head of an account after what time has ended of it.
    fn settled(&mut self, home: u16, account_id: &str, now: Instant) -> Result<Head, Refusal> {
        let work = self.works.part(home).ok_or_else(|| not_found(account_id))?;
        let account = account_number(work, account_id)?;
        settle(work, account, now);
        head_of(work, account, account_id).cloned()
    }
}

/// Writes what time has made true of an account.
fn settle(work: &mut Work, account: i64, now: Instant) {
    let ended = work.heads.get(&account).map(|head| head.ended_by(now)).unwrap_or_default();
    for draft in ended {
        work.write(account, draft, now, Stamp::default());
    }
}

fn written<const N: usize>(rows: [Option<Arc<Record>>; N]) -> Result<Vec<Arc<Record>>, Refusal> {
    let internal = || Refusal::new(Reason::Internal, "A row was decided for an account that is not at hand.");
    rows.into_iter().map(|row| row.ok_or_else(internal)).collect()
}
