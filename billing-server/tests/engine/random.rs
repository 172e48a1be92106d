//! Random operations on the engine, answer by answer against the oracle.

use std::sync::Arc;

use billing_db::{Database, journal};
use billing_server::domain::accounts::State;
use billing_server::domain::identifier::partition_of;
use billing_server::domain::instant::Instant;
use billing_server::engine::command::{Answer, Mode};
use billing_server::engine::{Engine, Settings};
use futures_util::future::join_all;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use crate::harness::*;
use crate::model::{HoldState, Model, Op, Reply};
use crate::sketch::{ACCOUNTS, FIRST, Resolver, Sketch, Step, create, steps};
use crate::translate::{command_of, compare};
use crate::verify;

/// One random test under way.
struct Case {
    database: Database,
    settings: Settings,
    clock: Arc<TestClock>,
    now: i64,
    /// Engines on one database; they take turns.
    running: Vec<Running>,
    turn: usize,
    model: Model,
    resolver: Resolver,
    trace: Vec<String>,
}

type Verdict = Result<(), TestCaseError>;

impl Case {
    fn new(store: Store, partitions: u16, settings: Settings, engines: usize) -> Self {
        let database = fresh(store, partitions);
        let clock = TestClock::new();
        let running = (0..engines).map(|_| start(&database, &clock, &settings)).collect();
        let max_back = i64::try_from(settings.max_back.as_micros()).unwrap();
        Self {
            running,
            turn: 0,
            model: Model::new(partitions, partition_of, max_back, BEGAN),
            resolver: Resolver::default(),
            trace: Vec::new(),
            now: BEGAN.micros() + 1_000,
            database,
            settings,
            clock,
        }
    }

    fn engine(&self) -> &Engine {
        &self.running[self.turn % self.running.len()].engine
    }

    fn set_clock(&mut self, micros: i64) {
        self.now = micros;
        self.clock.set(Instant::from_micros(micros));
    }

    fn instant(&self) -> Instant {
        Instant::from_micros(self.now)
    }

    /// Whether the next decision is made at the clock's time, on a full millisecond.
    fn is_exact(&self) -> bool {
        self.now % 1_000 == 0 && self.instant() >= self.model.after_all()
    }

    async fn run(&mut self, steps: &[Step]) -> Verdict {
        for (account, limit) in FIRST {
            let op = Op {
                account: account.to_owned(),
                key: Some("create".to_owned()),
                act: create(account, limit),
                dry: false,
            };
            self.one(&op).await?;
            self.resolver.history.push(op);
        }
        for step in steps {
            self.turn += 1;
            self.step(step).await?;
        }
        for turn in 0..self.running.len() {
            self.turn = turn;
            self.check_heads().await?;
        }
        Ok(())
    }

    async fn step(&mut self, step: &Step) -> Verdict {
        match step {
            Step::Wait(milliseconds) => {
                self.trace.push(format!("wait {milliseconds} ms"));
                self.set_clock(self.now + milliseconds * 1_000);
                Ok(())
            }
            Step::One(sketch) => {
                let op = self.resolver.op(sketch, &self.model, self.instant(), self.is_exact());
                self.one(&op).await
            }
            Step::Again(index) => {
                let op = index.get(&self.resolver.history).clone();
                self.one(&op).await
            }
            Step::Anew(index) => {
                let op = self.resolver.anew(*index);
                self.one(&op).await
            }
            Step::AtExpiry(beside, sketch) => self.at_expiry(*beside, sketch).await,
            Step::Atomic(sketches) => self.atomic(sketches).await,
            Step::Crowd(sketches, in_one_call) => self.crowd(sketches, *in_one_call).await,
            Step::Restart => {
                self.trace.push("restart".to_owned());
                let turn = self.turn % self.running.len();
                self.running.remove(turn).stop();
                self.running.push(start(&self.database, &self.clock, &self.settings));
                self.check_heads().await
            }
        }
    }

    async fn one(&mut self, op: &Op) -> Verdict {
        let expected = self.model.one(self.instant(), op);
        self.trace.push(format!("{}: {op:?} → {expected:?}", self.now - BEGAN.micros()));
        let answer = self.engine().submit(command_of(op), patience()).await;
        compare(op, &expected, &answer, true).map_err(TestCaseError::fail)
    }

    async fn at_expiry(&mut self, beside: i64, sketch: &Sketch) -> Verdict {
        let accounts = ACCOUNTS.iter().filter_map(|account| self.model.account(account));
        let open = accounts.flat_map(|account| account.holds.values()).filter(|hold| hold.state == HoldState::Open);
        let Some(at) = open.map(|hold| hold.expires_at).filter(|at| *at > self.now).min() else { return Ok(()) };
        self.set_clock(at + beside);
        let op = self.resolver.op(sketch, &self.model, self.instant(), false);
        let verdict = self.one(&op).await;
        self.set_clock(next_millisecond(self.now));
        verdict
    }

    async fn atomic(&mut self, sketches: &[Sketch]) -> Verdict {
        let mut copy = self.model.clone();
        let mut ops = Vec::new();
        for sketch in sketches {
            let op = self.resolver.op(sketch, &copy, self.instant(), false);
            let _ = copy.one(self.instant(), &op);
            ops.push(op);
        }
        let expected = self.model.batch(self.instant(), &ops, true);
        self.trace.push(format!("{}: atomic {ops:?} → {expected:?}", self.now - BEGAN.micros()));
        let commands = ops.iter().map(command_of).collect();
        let answers = self.engine().submit_all(commands, Mode::Atomic, patience()).await;
        compare_all(&ops, &expected, &answers, true)
    }

    /// Many commands at once. One partition decides them in the order in which they come, whatever its batches are, so
    /// only what touches two partitions has no place here. The time of each decision is not certain, but before the next
    /// full millisecond.
    async fn crowd(&mut self, sketches: &[Sketch], in_one_call: bool) -> Verdict {
        let last = self.model.after_all().micros().max(self.now);
        self.set_clock(next_millisecond(last) + 500);
        let mut ops = Vec::new();
        let mut expected = Vec::new();
        for sketch in sketches {
            let op = self.resolver.op(sketch, &self.model, self.instant(), false);
            if self.model.partitions_of(&op).len() == 1 {
                expected.push(self.model.one(self.instant(), &op));
                ops.push(op);
            }
        }
        self.trace.push(format!("{}: at once {ops:?} → {expected:?}", self.now - BEGAN.micros()));
        let commands: Vec<_> = ops.iter().map(command_of).collect();
        let answers = if in_one_call {
            self.engine().submit_all(commands, Mode::Independent, patience()).await
        } else {
            join_all(commands.into_iter().map(|command| self.engine().submit(command, patience()))).await
        };
        compare_all(&ops, &expected, &answers, false)?;
        self.set_clock(next_millisecond(self.now));
        // How many batches it took, and so when the last row was written, only the journal knows.
        for partition in 0..self.engine().partitions() {
            let number = i16::try_from(partition).unwrap();
            let tail = self.database.read(|conn| journal::tail(conn, number)).unwrap().unwrap();
            self.model.set_last(partition, tail.recorded_at);
        }
        Ok(())
    }

    /// The engine's heads are the oracle's accounts.
    async fn check_heads(&self) -> Verdict {
        let ids: Vec<String> = ACCOUNTS.iter().map(|account| (*account).to_owned()).collect();
        let heads = self.engine().heads(&ids).await.unwrap();
        for (id, head) in ids.iter().zip(heads) {
            let wanted = self.model.account(id).map(|account| {
                let holds = account.holds.iter().filter(|(_, hold)| hold.state == HoldState::Open);
                let mut holds: Vec<_> =
                    holds.map(|(id, hold)| (hold.expires_at, id.clone(), hold.amount, hold.captured)).collect();
                holds.sort();
                let amounts = [account.posted, account.held(), account.bonus, account.credit_limit];
                (account.sequence, account.entry_sequence, account.version, account.closed, amounts, holds)
            });
            let found = head.as_ref().map(|head| {
                let holds = head.open_holds.iter().map(|hold| {
                    let (amount, captured) = (hold.amount.micros().into(), hold.captured.micros().into());
                    (hold.expires_at.micros(), hold.hold_id.clone(), amount, captured)
                });
                let amounts = [head.amounts.posted, head.amounts.held, head.amounts.bonus, head.amounts.credit_limit];
                let amounts = amounts.map(|amount| i128::from(amount.micros()));
                let is_closed = head.state == State::Closed;
                (head.sequence, head.entry_sequence, head.version, is_closed, amounts, holds.collect::<Vec<_>>())
            });
            if found != wanted {
                return Err(TestCaseError::fail(format!("{id} is {found:?}, not {wanted:?}")));
            }
            let view = self.model.view(id, self.instant());
            let available = head.map(|head| i128::from(head.amounts_at(self.instant()).available().micros()));
            if self.is_exact() && available != view.map(|view| view.available) {
                return Err(TestCaseError::fail(format!("{id} has {available:?} available")));
            }
        }
        Ok(())
    }
}

fn compare_all(ops: &[Op], expected: &[Reply], answers: &[Answer], exact_time: bool) -> Verdict {
    if answers.len() != ops.len() {
        return Err(TestCaseError::fail(format!("{} answers to {} commands", answers.len(), ops.len())));
    }
    for (index, op) in ops.iter().enumerate() {
        compare(op, &expected[index], &answers[index], exact_time)
            .map_err(|difference| TestCaseError::fail(format!("item {index}: {difference}")))?;
    }
    Ok(())
}

fn next_millisecond(micros: i64) -> i64 {
    (micros.div_euclid(1_000) + 1) * 1_000
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Runs random tests.
fn check(store: Store, partitions: u16, settings: &Settings, cases: u32) {
    check_engines(store, partitions, settings, cases, 1);
}

/// The same with several engines that take turns.
fn check_engines(store: Store, partitions: u16, settings: &Settings, cases: u32, engines: usize) {
    let seed = number("BILLING_TEST_SEED").unwrap_or(20_270_115);
    let cases = cases * u32::try_from(number("BILLING_TEST_CASES").unwrap_or(1)).unwrap();
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    let config = Config { cases, max_shrink_iters: 150, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let runtime = runtime();
    let result = runner.run(&steps(40..80), |steps| {
        let mut case = Case::new(store, partitions, settings.clone(), engines);
        let verdict = runtime.block_on(case.run(&steps));
        case.running.drain(..).for_each(Running::stop);
        verdict.map_err(|error| match error {
            TestCaseError::Fail(reason) => TestCaseError::fail(format!("{reason}\nafter:\n{}", case.trace.join("\n"))),
            other @ TestCaseError::Reject(_) => other,
        })?;
        verify::sound(&case.database);
        Ok(())
    });
    if let Err(error) = result {
        panic!("BILLING_TEST_SEED={seed}: {error}");
    }
}

#[test]
fn sqlite_answers_as_the_oracle_says() {
    check(Store::Sqlite, 1, &settings(), 20);
}

#[test]
fn sqlite_with_three_partitions_answers_as_the_oracle_says() {
    check(Store::Sqlite, 3, &settings(), 20);
}

#[test]
fn postgres_answers_as_the_oracle_says() {
    check(Store::Postgres, 1, &settings(), 16);
}

#[test]
fn postgres_with_three_partitions_answers_as_the_oracle_says() {
    check(Store::Postgres, 3, &settings(), 16);
}

#[test]
fn a_cache_of_four_heads_changes_no_answer() {
    check(Store::Sqlite, 1, &cramped(true), 16);
    check(Store::Postgres, 3, &cramped(true), 12);
}

#[test]
fn deciding_ahead_changes_no_answer() {
    check(Store::Postgres, 1, &cramped(false), 8);
    check(Store::Sqlite, 3, &cramped(false), 8);
}

#[test]
fn two_engines_that_take_turns_answer_as_the_oracle_says() {
    check_engines(Store::Postgres, 1, &settings(), 8, 2);
    check_engines(Store::Postgres, 2, &cramped(true), 8, 2);
}
