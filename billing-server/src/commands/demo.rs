//! `billing-server demo`: fills the database with a believable company, so that there is something to look at.
//!
//! Everything goes through the engine, like the calls of a client, with keys that follow from what is posted: a second
//! run finds everything done already.

mod company;
mod live;
mod random;
mod year;

use std::collections::{BTreeMap, HashMap};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant as Deadline};

use anyhow::bail;
use billing_db::{Database, accounts as account_rows};
use chrono::NaiveDate;

use self::company::Account;
use self::random::Random;
use self::year::{DAYS, Step, Year};
use super::serve::{Try, start, told_to_stop, welcome};
use super::{open, progress, runtime, say};
use crate::config::Config;
use crate::domain::calendar::{TimeZone, local_date};
use crate::domain::identifier::partition_of;
use crate::domain::instant::Instant;
use crate::domain::money::Money;
use crate::engine::command::{Answer, Body, Command};
use crate::engine::{self, Engine, Notice};
use crate::server;
use crate::time::World;

/// Who has asked for the entries, as the journal names them.
const PRINCIPAL: &str = "demo";
/// The seed of everything; another one is another company, and other entries under the same keys.
const SEED: u64 = 0x00B1_1116;
/// The account by which an earlier run is recognised: it says when the year ended.
const FIRST_ACCOUNT: &str = "demo-0001";
/// Commands submitted together.
const AT_ONCE: usize = 1_000;
/// How long one such batch may take on a slow machine.
const DEADLINE: Duration = Duration::from_secs(120);
/// The year may have ended some time before: when an earlier run was cut off.
const MAX_BACK: Duration = Duration::from_secs(5 * 366 * 86_400);

const STEPS: [Try<'_>; 4] = [
    (
        "Watch entries come, some a second",
        r#"{"all_accounts":true,"types":["EVENT_TYPE_BALANCE_CHANGED"]}"#,
        "billing.v1.EventService/Subscribe",
    ),
    ("What a client has", r#"{"account_id":"demo-0001"}"#, "billing.v1.BalanceService/GetBalance"),
    ("How it came to that", r#"{"account_id":"demo-0001","page_size":20}"#, "billing.v1.LedgerService/ListEntries"),
    ("Who is in debt", r#"{"has_debt":true,"page_size":5}"#, "billing.v1.AccountService/ListAccounts"),
];

/// What `demo` may be told.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Arguments {
    /// How many accounts there are to be; a second run must name as many
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u16).range(1..=9_999))]
    pub accounts: u16,
    /// Then serve the API and go on posting some entries a second, until Ctrl-C
    #[arg(long)]
    pub live: bool,
}

/// Fills the database and prints what is in it; with `--live` serves it after that.
///
/// # Errors
/// When the database cannot be used, or other accounts than those of the demonstration have its names.
pub fn run(config: &Config, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.live {
        config.check_listen()?;
    }
    let runtime = runtime(config)?;
    let accounts = company::accounts(arguments.accounts.into(), &mut Random::new(SEED))?;
    fill(&runtime, config, accounts.clone())?;
    if arguments.live {
        runtime.block_on(live(config, accounts))?;
    } else {
        say("To see it move: billing-server demo --live. To serve it as it is: billing-server serve.")?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn live(config: &Config, accounts: Vec<Account>) -> anyhow::Result<()> {
    let (server, listener) = start(config).await?;
    say(&welcome(config, &listener, &STEPS)?)?;
    let posting = tokio::spawn(live::post(server.engine().clone(), accounts, World::default()));
    let shutdown = told_to_stop()?;
    let stop = async move {
        shutdown.await;
        posting.abort();
    };
    server.serve(listener, stop).await
}

/// Posts the year, then tells what is in the database.
fn fill(runtime: &tokio::runtime::Runtime, config: &Config, accounts: Vec<Account>) -> anyhow::Result<()> {
    let world = World::default();
    let database = open(&config.database_url, config)?;
    let migrated = server::prepare(&database, config.partitions, &world)?;
    let ends = year_ends(&database, migrated.partitions, &world)?;
    let settings = engine::Settings { max_back: MAX_BACK, ..config.engine_settings() };
    let sink: engine::Sink = Arc::new(|_: Notice| {});
    let engine = Engine::start(&database, &world, &settings, &sink)?;
    // The company and its year draw from two sources, so that the one does not depend on the other.
    let mut filling = Filling {
        year: Year::new(accounts, ends, Random::new(!SEED)),
        sequences: HashMap::new(),
        counts: Counts::default(),
    };
    let begun = Deadline::now();
    let result = runtime.block_on(filling.run(&engine));
    let summary = result.and_then(|()| runtime.block_on(filling.summary(&engine, begun)));
    engine.stop();
    database.checkpoint()?;
    say(&summary?)
}

/// The day before which the year lies: today, or the day of an earlier run.
fn year_ends(database: &Database, partitions: u16, world: &World) -> anyhow::Result<NaiveDate> {
    let partition = i16::try_from(partition_of(FIRST_ACCOUNT, partitions))?;
    let first = database.read(|conn| account_rows::find(conn, partition, FIRST_ACCOUNT))?;
    let at = first.map_or(world.clock.now(), |account| Instant::from_micros(account.created_at));
    Ok(local_date(at, TimeZone::UTC))
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    done: u64,
    replayed: u64,
}

/// The year on its way into the ledger.
struct Filling {
    year: Year,
    /// The numbers of the entries that will be taken back, by account and key.
    sequences: HashMap<(String, String), i64>,
    counts: Counts,
}

impl Filling {
    async fn run(&mut self, engine: &Engine) -> anyhow::Result<()> {
        let bar = progress("posting a year", u64::try_from(DAYS)?);
        let openings = self.year.openings();
        self.submit(engine, openings).await?;
        let mut steps = Vec::new();
        for number in 0..DAYS {
            steps.append(&mut self.year.day(number)?);
            if steps.len() >= AT_ONCE {
                self.submit(engine, std::mem::take(&mut steps)).await?;
            }
            bar.inc(1);
        }
        self.submit(engine, steps).await?;
        bar.finish_and_clear();
        Ok(())
    }

    /// Submits steps in their order. What belongs to one partition keeps its order inside a batch; a transfer may touch
    /// two, and a reversal needs the number of an entry, so both begin a new one.
    async fn submit(&mut self, engine: &Engine, steps: Vec<Step>) -> anyhow::Result<()> {
        let mut batch: Vec<Command> = Vec::new();
        for step in steps {
            match step {
                Step::Do(command) => {
                    let is_transfer = matches!(command.body, Body::Transfer(_));
                    if is_transfer || batch.len() >= AT_ONCE {
                        self.send(engine, std::mem::take(&mut batch)).await?;
                    }
                    batch.push(command);
                    if is_transfer {
                        self.send(engine, std::mem::take(&mut batch)).await?;
                    }
                }
                Step::Reverse { mut command, key } => {
                    self.send(engine, std::mem::take(&mut batch)).await?;
                    let posted = self.sequences.get(&(command.account_id.clone(), key));
                    if let (Body::Reverse(reverse), Some(sequence)) = (&mut command.body, posted) {
                        reverse.sequence = *sequence;
                        batch.push(command);
                    }
                }
            }
        }
        self.send(engine, batch).await
    }

    async fn send(&mut self, engine: &Engine, commands: Vec<Command>) -> anyhow::Result<()> {
        if commands.is_empty() {
            return Ok(());
        }
        let keys: Vec<_> = commands.iter().map(|command| (command.account_id.clone(), command.key.clone())).collect();
        let answers = engine.submit_bulk(commands, Some(Deadline::now() + DEADLINE)).await;
        for ((account_id, key), answer) in keys.into_iter().zip(answers) {
            self.take(account_id, key.unwrap_or_default(), answer)?;
        }
        Ok(())
    }

    fn take(&mut self, account_id: String, key: String, answer: Answer) -> anyhow::Result<()> {
        match answer {
            Ok(outcome) => {
                self.counts.done += 1;
                self.counts.replayed += u64::from(outcome.replayed);
                if key.ends_with("-again")
                    && let Some(record) = outcome.rows.first()
                {
                    self.sequences.insert((account_id, key), record.row.sequence);
                }
                Ok(())
            }
            Err(refusal) => {
                bail!("{} of account {account_id}: {} ({})", key, refusal.message, refusal.reason.name())
            }
        }
    }

    async fn summary(&self, engine: &Engine, begun: Deadline) -> anyhow::Result<String> {
        let ids: Vec<String> = self.year.accounts.iter().map(|account| account.account_id.clone()).collect();
        let heads = engine.heads(&ids).await.map_err(|refusal| anyhow::anyhow!(refusal.message))?;
        let mut currencies: BTreeMap<&str, (u64, u64, Money, Money)> = BTreeMap::new();
        let (mut rows, mut holds) = (0, 0);
        for head in heads.into_iter().flatten() {
            rows += head.sequence;
            holds += head.open_holds.len();
            let sums = currencies.entry(head.identity.currency.code()).or_default();
            let posted = head.amounts.posted;
            let sum = if posted.is_negative() { &mut sums.3 } else { &mut sums.2 };
            *sum = sum.checked_add(posted.abs()).unwrap_or(Money::MAX);
            sums.0 += 1;
            sums.1 += u64::from(posted.is_negative());
        }
        let new = self.counts.done - self.counts.replayed;
        let mut lines = vec![format!(
            "{} accounts with {rows} journal rows, {holds} open holds. {new} commands were new, {} done before; {:.1} s.",
            self.year.accounts.len(),
            self.counts.replayed,
            begun.elapsed().as_secs_f64()
        )];
        for (currency, (accounts, debtors, credit, debt)) in currencies {
            lines.push(format!(
                "  {currency}: {accounts} accounts, {} to their credit; {debtors} of them owe {}",
                credit.format(2),
                debt.format(2)
            ));
        }
        Ok(lines.join("\n"))
    }
}
