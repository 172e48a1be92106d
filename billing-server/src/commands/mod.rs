//! The command line: which command runs, and with which settings.

pub mod serve;
pub mod migrate;
pub mod verify;
pub mod repartition;
pub mod demo;
pub mod config;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use billing_db::{Database, DbError};
use clap::{CommandFactory as _, FromArgMatches as _};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::runtime::Runtime;

use crate::config::{Config, Loaded, load, variable, without_password};
use crate::telemetry;

/// The billing service: balances in real time, warnings before a payment is due, every charge explained, over gRPC.
#[derive(Debug, clap::Parser)]
#[command(
    name = "billing-server",
    version,
    after_help = "A setting comes from its flag, else from its variable, else from the file given with --config, where its \
                  key is the flag's name with _ for -. The key that callers must send has no flag: it is \
                  BILLING_BEARER_KEY, or bearer_key in the file."
)]
struct Cli {
    /// Read settings from this TOML file
    #[arg(long = "config", value_name = "FILE")]
    config_file: Option<PathBuf>,
    #[command(flatten)]
    config: Config,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Serve the API; what is done when no command is given
    Serve,
    /// Bring the database up to date; `serve` does so too
    Migrate(migrate::Arguments),
    /// Check the whole ledger: sums, sequences, balances and the chain of hashes
    Verify,
    /// Copy the ledger into a new database with another number of partitions
    Repartition(repartition::Arguments),
    /// Fill the database with a believable company
    Demo(demo::Arguments),
    /// Print the settings in force and where each comes from
    Config,
}

/// Runs the command that `arguments` say; `environment` holds the variables. Errors are told on the standard error.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> ExitCode {
    let environment: Vec<_> = environment.into_iter().collect();
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => {
            // Where it cannot be printed there is nobody to tell.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let result = Cli::from_arg_matches(&matches).map_err(anyhow::Error::from).and_then(|cli| {
        let file = cli.config_file.or_else(|| file_in(&environment));
        let loaded = load(&matches, file.as_deref(), environment)?;
        dispatch(cli.command.unwrap_or(Command::Serve), &loaded)
    });
    result.unwrap_or_else(|error| {
        if is_closed(&error) {
            // Whoever read the output has seen enough of it.
            return ExitCode::SUCCESS;
        }
        let _ = writeln!(std::io::stderr(), "error: {error:#}");
        ExitCode::FAILURE
    })
}

fn is_closed(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn dispatch(command: Command, loaded: &Loaded) -> anyhow::Result<ExitCode> {
    let config = &loaded.config;
    telemetry::start(&config.log, config.log_format)?;
    match command {
        Command::Serve => serve::run(config),
        Command::Migrate(arguments) => migrate::run(config, &arguments),
        Command::Verify => verify::run(config),
        Command::Repartition(arguments) => repartition::run(loaded, &arguments),
        Command::Demo(arguments) => demo::run(config, &arguments),
        Command::Config => config::run(loaded),
    }
}

/// The command line, with every setting's variable named and every setting allowed behind the command too.
fn command() -> clap::Command {
    Cli::command().mut_args(|argument| {
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let variable = variable(argument.get_long().unwrap_or_default());
        argument.help(format!("{help} [variable: {variable}]")).global(true)
    })
}

fn file_in(environment: &[(String, String)]) -> Option<PathBuf> {
    let name = variable("config");
    environment.iter().find(|(known, value)| *known == name && !value.is_empty()).map(|(_, path)| PathBuf::from(path))
}

/// Opens a database as it is.
fn open(url: &str, config: &Config) -> anyhow::Result<Database> {
    Database::open(url, &config.database_options()).map_err(|error| explain(error.into(), url))
}

/// Opens the database of the settings, which must exist: a mistyped path makes no new one.
fn open_existing(config: &Config) -> anyhow::Result<Database> {
    let path = config.database_url.strip_prefix("sqlite:").map(|path| path.strip_prefix("//").unwrap_or(path));
    if path.is_some_and(|path| path != ":memory:" && !Path::new(path).exists()) {
        bail!("there is no database {}", config.database_name());
    }
    open(&config.database_url, config)
}

/// Says what to do about a database that cannot be used.
fn explain(error: anyhow::Error, url: &str) -> anyhow::Error {
    let name = without_password(url);
    match error.downcast_ref::<DbError>() {
        Some(DbError::InUse(_)) => error
            .context(format!("{name} is in use: one process owns an SQLite file, so stop the server that serves it")),
        _ => error.context(format!("cannot use {name}")),
    }
}

/// The threads that requests are served on.
fn runtime(config: &Config) -> anyhow::Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = config.threads {
        builder.worker_threads(threads.get());
    }
    builder.enable_all().thread_name("billing").build().context("cannot start the threads")
}

/// Prints lines for the person at the terminal.
fn say(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

/// A bar for work of so many steps; shown on a terminal only.
fn progress(what: &'static str, steps: u64) -> ProgressBar {
    let bar = ProgressBar::new(steps).with_message(what);
    // The template is a constant; were it wrong, the bar would look as bars do by default.
    let style = ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }
}
