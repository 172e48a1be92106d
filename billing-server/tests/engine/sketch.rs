//! Random operations: sketched without knowledge of the ledger, so that they shrink well, and made concrete on the oracle.

use std::ops::Range;

use billing_server::domain::instant::Instant;
use billing_server::domain::money::Money;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::model::{Act, Expiry, HoldState, Model, Op, Post, PostKind, View};

/// The accounts that random operations are about; the last one has another currency.
pub(crate) const ACCOUNTS: [&str; 7] = ["alice", "bob", "carol", "dave", "erin", "nobody", "yuki"];
/// The accounts that exist from the beginning, with their credit limits.
pub(crate) const FIRST: [(&str, i64); 4] = [("alice", 0), ("bob", 50), ("carol", 0), ("yuki", 0)];

const UNIT: i64 = 1_000_000;
const DAY: i64 = 86_400_000_000;

/// An amount, told by what is there.
#[derive(Clone, Debug)]
pub(crate) enum Size {
    Units(i64),
    Micros(i64),
    /// All that is available, and so many millionths more.
    Available(i64),
    /// All own money, and so many millionths more.
    Own(i64),
    /// The balance or the debt, and so many millionths more.
    Posted(i64),
    Huge,
}

/// A value that a guard names.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Guard {
    None,
    Right,
    Wrong,
}

#[derive(Clone, Debug)]
pub(crate) enum Doing {
    Create(i64),
    Limit(Size, bool, Guard),
    Close(Guard),
    Reopen(Guard),
    Post { kind: PostKind, size: Size, require: bool, guard: Guard, seconds_ago: Option<i64>, more: u8 },
    Transfer(usize, Size),
    Reverse(Index, Option<Size>),
    Place(u8, Size, Option<i64>),
    Change(Index, Option<Size>, Option<i64>),
    Capture(Index, Option<Size>, bool),
    Release(Index),
    CloseBooks(i64),
    Settle,
}

#[derive(Clone, Debug)]
pub(crate) enum Key {
    Fresh,
    None,
    /// That of an earlier operation, whatever it was.
    Earlier(Index),
}

#[derive(Clone, Debug)]
pub(crate) struct Sketch {
    pub(crate) account: usize,
    pub(crate) doing: Doing,
    key: Key,
    dry: bool,
}

/// One step of a random test.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// The clock moves by milliseconds; it may go back.
    Wait(i64),
    One(Sketch),
    /// An earlier operation once more, word for word.
    Again(Index),
    /// The same under a key of its own.
    Anew(Index),
    /// At the moment when the next hold ends, or so many microseconds beside it.
    AtExpiry(i64, Sketch),
    Atomic(Vec<Sketch>),
    /// All at once: a call each, or all in one call.
    Crowd(Vec<Sketch>, bool),
    /// The engine stops and another one starts.
    Restart,
}

fn size() -> impl Strategy<Value = Size> {
    prop_oneof![
        8 => (1..30_i64).prop_map(Size::Units),
        2 => (1..20_000_i64).prop_map(Size::Micros),
        3 => (-1..=1_i64).prop_map(Size::Available),
        2 => (-1..=1_i64).prop_map(Size::Own),
        2 => prop_oneof![Just(0), Just(1), Just(-3_000)].prop_map(Size::Posted),
        1 => Just(Size::Huge),
    ]
}

/// Mostly on the edges: what is in use of a limit, and what it is.
fn limit_size() -> impl Strategy<Value = Size> {
    prop_oneof![size(), (-1..=1_i64).prop_map(Size::Available), (-1..=1_i64).prop_map(Size::Own)]
}

fn guard() -> impl Strategy<Value = Guard> {
    prop_oneof![8 => Just(Guard::None), 2 => Just(Guard::Right), 1 => Just(Guard::Wrong)]
}

fn ttl() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![
        1 => Just(None),
        1 => Just(Some(0)),
        1 => Just(Some(367 * DAY)),
        8 => prop_oneof![Just(1_000), Just(10_000), Just(1_000_000), Just(60_000_000), Just(DAY)].prop_map(Some),
    ]
}

fn kind() -> impl Strategy<Value = PostKind> {
    prop_oneof![
        6 => Just(PostKind::Payment),
        1 => Just(PostKind::ChargeRefund),
        2 => Just(PostKind::Bonus),
        1 => Just(PostKind::AdjustmentCredit),
        1 => Just(PostKind::WriteOff),
        6 => Just(PostKind::Charge),
        2 => Just(PostKind::Payout),
        1 => Just(PostKind::AdjustmentDebit),
    ]
}

fn post() -> impl Strategy<Value = Doing> {
    let ago = prop_oneof![
        12 => Just(None),
        2 => (-299..100_000_i64).prop_map(Some),
        1 => prop_oneof![Just(-301), Just(30 * 86_400), Just(30 * 86_400 + 1), Just(2 * 86_400)].prop_map(Some),
    ];
    (kind(), size(), proptest::bool::weighted(0.3), guard(), ago, 0..16_u8).prop_map(
        |(kind, size, require, guard, seconds_ago, more)| Doing::Post { kind, size, require, guard, seconds_ago, more },
    )
}

fn doing() -> impl Strategy<Value = Doing> {
    let index = any::<Index>;
    let part = || proptest::option::weighted(0.6, size());
    prop_oneof![
        2 => (0..3_i64).prop_map(|limit| Doing::Create(limit * 25)),
        4 => (limit_size(), any::<bool>(), guard()).prop_map(|(size, allow, guard)| Doing::Limit(size, allow, guard)),
        2 => guard().prop_map(Doing::Close),
        2 => guard().prop_map(Doing::Reopen),
        20 => post(),
        6 => (0..ACCOUNTS.len(), size()).prop_map(|(to, size)| Doing::Transfer(to, size)),
        7 => (index(), part()).prop_map(|(entry, size)| Doing::Reverse(entry, size)),
        7 => (0..24_u8, size(), ttl()).prop_map(|(hold, size, ttl)| Doing::Place(hold, size, ttl)),
        3 => (index(), part(), proptest::option::of(ttl()))
            .prop_map(|(hold, size, ttl)| Doing::Change(hold, size, ttl.flatten())),
        5 => (index(), part(), any::<bool>()).prop_map(|(hold, size, keeps)| Doing::Capture(hold, size, keeps)),
        3 => index().prop_map(Doing::Release),
        1 => prop_oneof![6 => 20..40_i64, 2 => 1..4_i64, 1 => Just(0)].prop_map(Doing::CloseBooks),
        1 => Just(Doing::Settle),
    ]
}

fn sketch() -> impl Strategy<Value = Sketch> {
    let account = prop_oneof![12 => 0..4_usize, 2 => Just(4), 1 => Just(5), 2 => Just(6)];
    let key = prop_oneof![16 => Just(Key::Fresh), 1 => Just(Key::None), 2 => any::<Index>().prop_map(Key::Earlier)];
    (account, doing(), key, proptest::bool::weighted(0.06)).prop_map(|(account, doing, key, dry)| Sketch {
        account,
        doing,
        key,
        dry,
    })
}

/// A random test of so many steps.
pub(crate) fn steps(count: Range<usize>) -> impl Strategy<Value = Vec<Step>> {
    let wait = prop_oneof![
        6 => prop_oneof![Just(1_i64), Just(10), Just(999), Just(1_000), Just(60_000)],
        1 => Just(86_400_000),
        1 => prop_oneof![Just(-1_i64), Just(-5_000), Just(-100_000)],
    ];
    let step = prop_oneof![
        6 => wait.prop_map(Step::Wait),
        30 => sketch().prop_map(Step::One),
        4 => any::<Index>().prop_map(Step::Again),
        2 => any::<Index>().prop_map(Step::Anew),
        3 => (-1..=1_i64, sketch()).prop_map(|(beside, sketch)| Step::AtExpiry(beside, sketch)),
        4 => proptest::collection::vec(sketch(), 1..5).prop_map(Step::Atomic),
        4 => (proptest::collection::vec(sketch(), 2..16), any::<bool>()).prop_map(|(crowd, one)| Step::Crowd(crowd, one)),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, count)
}

/// Makes sketches concrete.
#[derive(Debug, Default)]
pub(crate) struct Resolver {
    /// Every operation so far.
    pub(crate) history: Vec<Op>,
    keys: usize,
}

impl Resolver {
    /// The operation that a sketch is about on the ledger as it is at `clock`. A hold's life is told as an instant where
    /// the time of the decision is not certain to the microsecond.
    pub(crate) fn op(&mut self, sketch: &Sketch, model: &Model, clock: Instant, is_exact: bool) -> Op {
        let account = ACCOUNTS[sketch.account];
        let view = model.view(account, clock);
        let amount = |size: &Size| money(size, view.as_ref());
        let expiry = |ttl: &Option<i64>| ttl.map(|ttl| expiry(ttl, clock, is_exact));
        // Not on the very edge of what is allowed, where the time is not certain.
        let beside = if is_exact { 0 } else { 1_000 };
        let version = view.as_ref().map_or(0, |view| view.version);
        let entry_sequence = view.as_ref().map_or(0, |view| view.entry_sequence);
        let act = match &sketch.doing {
            Doing::Create(limit) => create(account, *limit),
            Doing::Limit(size, allow_below_use, guard) => {
                let credit_limit = limit(size, view.as_ref());
                Act::Limit { credit_limit, allow_below_use: *allow_below_use, etag: guarded(*guard, version) }
            }
            Doing::Close(guard) => Act::Close { etag: guarded(*guard, version) },
            Doing::Reopen(guard) => Act::Reopen { etag: guarded(*guard, version) },
            Doing::Post { kind, size, require, guard, seconds_ago, more } => Act::Post(Post {
                kind: *kind,
                amount: amount(size),
                currency: (more % 16 == 15).then_some("EUR"),
                counter: (more % 4 == 1).then(|| "revenue:other".to_owned()),
                category: (more % 4 == 2).then(|| format!("category-{more}")),
                occurred_at: seconds_ago.map(|ago| Instant::from_micros(clock.micros() - ago * 1_000_000 + beside)),
                description: (more % 2 == 1).then(|| format!("text {more}")),
                require_available: *require,
                expected_sequence: guarded(*guard, entry_sequence),
            }),
            Doing::Transfer(to, size) => {
                Act::Transfer { to: other(sketch.account, *to).to_owned(), amount: amount(size) }
            }
            Doing::Reverse(entry, size) => reverse(model, account, view.as_ref(), *entry, size.as_ref()),
            Doing::Place(hold, size, ttl) => {
                let ttl = ttl.or_else(|| (!is_exact).then_some(7 * DAY));
                Act::Place { hold: format!("hold-{hold}"), amount: amount(size), expiry: expiry(&ttl) }
            }
            Doing::Change(hold, size, ttl) => Act::Change {
                hold: hold_id(view.as_ref(), *hold),
                amount: size.as_ref().map(amount),
                expiry: expiry(ttl),
            },
            Doing::Capture(hold, size, keep_rest) => Act::Capture {
                hold: hold_id(view.as_ref(), *hold),
                amount: size.as_ref().map(amount),
                keep_rest: *keep_rest,
            },
            Doing::Release(hold) => Act::Release { hold: hold_id(view.as_ref(), *hold) },
            Doing::CloseBooks(days_ago) => Act::CloseBooks { until: clock.micros().div_euclid(DAY) - days_ago },
            Doing::Settle => Act::Settle,
        };
        let account = if matches!(act, Act::CloseBooks { .. }) { "" } else { account };
        let is_silent = matches!(act, Act::Settle);
        let op = Op { account: account.to_owned(), key: self.key(&sketch.key, is_silent), act, dry: sketch.dry };
        self.history.push(op.clone());
        op
    }

    /// An earlier operation under a key of its own; mostly one that makes something, since that is found again.
    pub(crate) fn anew(&mut self, index: Index) -> Op {
        let makes = |op: &&Op| matches!(op.act, Act::Create { .. } | Act::Place { .. });
        let making: Vec<&Op> = self.history.iter().filter(makes).collect();
        let earlier = if index.index(4) == 0 { index.get(&self.history) } else { index.get(&making) };
        let op = Op { key: None, ..earlier.clone() };
        let key = self.key(&Key::Fresh, matches!(op.act, Act::Settle));
        let op = Op { key, ..op };
        self.history.push(op.clone());
        op
    }

    fn key(&mut self, key: &Key, is_silent: bool) -> Option<String> {
        match key {
            _ if is_silent => None,
            Key::None => None,
            Key::Earlier(index) if !self.history.is_empty() => index.get(&self.history).key.clone(),
            _ => {
                self.keys += 1;
                Some(format!("key-{}", self.keys))
            }
        }
    }
}

/// The operation that creates an account.
pub(crate) fn create(account: &str, limit: i64) -> Act {
    let currency = if account == "yuki" { "JPY" } else { "EUR" };
    Act::Create { credit_limit: Money::from_micros(limit * UNIT), currency }
}

fn guarded(guard: Guard, right: i64) -> Option<i64> {
    match guard {
        Guard::None => None,
        Guard::Right => Some(right),
        Guard::Wrong => Some(right + 1),
    }
}

fn other(from: usize, to: usize) -> &'static str {
    ACCOUNTS[if from == to { (to + 1) % 4 } else { to }]
}

/// A positive amount.
fn money(size: &Size, view: Option<&View>) -> Money {
    let of = |amount: fn(&View) -> i128| view.map_or(0, amount);
    let micros = match size {
        Size::Units(units) => i128::from(units * UNIT),
        Size::Micros(micros) => i128::from(*micros),
        Size::Available(more) => of(|view| view.available) + i128::from(*more),
        Size::Own(more) => of(|view| view.own) + i128::from(*more),
        Size::Posted(more) => of(|view| view.posted.abs()) + i128::from(*more),
        Size::Huge => 6_000_000_000_000_000_000,
    };
    Money::from_micros(i64::try_from(micros.clamp(1, i128::from(Money::MAX.micros()))).unwrap())
}

/// A credit limit; what is in use of the present one is the case on the edge.
fn limit(size: &Size, view: Option<&View>) -> Money {
    let used = view.map_or(0, |view| view.held - view.posted);
    let present = view.map_or(0, |view| view.credit_limit);
    match size {
        Size::Available(more) | Size::Own(more) | Size::Posted(more) => {
            let beside = if matches!(size, Size::Own(_)) { present } else { used };
            let micros = (beside + i128::from(*more)).clamp(0, i128::from(Money::MAX.micros()));
            Money::from_micros(i64::try_from(micros).unwrap())
        }
        Size::Units(1) => Money::ZERO,
        other => money(other, view),
    }
}

fn reverse(model: &Model, account: &str, view: Option<&View>, entry: Index, size: Option<&Size>) -> Act {
    let entries = view.map(|view| view.entries.as_slice()).unwrap_or_default();
    // One beyond the last is an entry that does not exist.
    let chosen = entries.get(entry.index(entries.len() + 1));
    let sequence = chosen.map_or(999, |(sequence, _)| *sequence);
    let amount = size.map(|size| match (size, chosen) {
        (Size::Own(more) | Size::Posted(more) | Size::Available(more), Some((_, amount))) => {
            let micros = (amount.abs() / 2 + i128::from(*more)).max(1);
            Money::from_micros(i64::try_from(micros).unwrap())
        }
        _ => money(size, view),
    });
    Act::Reverse { sequence, amount, peer: model.peer(account, sequence) }
}

/// Mostly one of the open holds.
fn hold_id(view: Option<&View>, index: Index) -> String {
    let holds = view.map(|view| view.holds.as_slice()).unwrap_or_default();
    let open: Vec<&String> = holds.iter().filter(|(_, hold)| hold.state == HoldState::Open).map(|(id, _)| id).collect();
    if holds.is_empty() {
        "no-hold".to_owned()
    } else if open.is_empty() || index.index(5) == 0 {
        index.get(holds).0.clone()
    } else {
        (*index.get(&open)).clone()
    }
}

fn expiry(ttl: i64, clock: Instant, is_exact: bool) -> Expiry {
    if is_exact { Expiry::After(ttl) } else { Expiry::At(Instant::from_micros(clock.micros() + ttl)) }
}
