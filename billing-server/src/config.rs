//! The settings: one struct, a field a setting. A flag comes before an environment variable, a variable before the file,
//! the file before the default.
//!
//! Everything is read from arguments of [`load`], so that nothing depends on the environment of the process.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ArgMatches;
use clap::parser::ValueSource;
use config::{Environment, File, FileFormat, Source as _};
use serde::{Deserialize, Serialize};

use crate::{engine, feed, server};

/// Every variable is this, then the name of the setting in capitals.
pub const VARIABLE_PREFIX: &str = "BILLING";
/// The one setting that no flag gives: other users of the machine can read the flags of a process.
const SECRET_SETTING: &str = "bearer_key";
const DAY: Duration = Duration::from_secs(86_400);

/// The settings of the server, as an operator writes them.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:50051")]
    pub listen: SocketAddr,
    /// Allow an address other than loopback although nothing is encrypted: only behind what protects the traffic
    #[arg(
        long,
        value_name = "BOOL",
        action = clap::ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true"
    )]
    pub insecure: bool,
    /// What callers must send as `authorization: Bearer …`; without it everybody who can connect may call.
    #[arg(skip)]
    #[serde(skip_serializing)]
    pub bearer_key: Option<Secret>,
    /// The database: `sqlite:FILE` or `postgres://USER:PASSWORD@HOST/NAME`
    #[arg(long, value_name = "URL", default_value = "sqlite:billing.db")]
    pub database_url: String,
    /// Partitions of a new database, 1 to 64 (1 when not said); an existing one must have as many
    #[arg(long, value_name = "N")]
    pub partitions: Option<u16>,
    /// Connections to the database that reads may take at once
    #[arg(long, value_name = "N", default_value = "8")]
    pub pool_size: NonZeroU32,
    /// Threads that serve requests (as many as the machine has cores when not said)
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// Commands decided and written together, at most
    #[arg(long, value_name = "N", default_value = "1000")]
    pub max_batch: NonZeroUsize,
    /// Commands that may wait in front of a partition before callers are told OVERLOADED
    #[arg(long, value_name = "N", default_value = "2000")]
    pub queue_commands: NonZeroUsize,
    /// How long a command may expect to wait there before callers are told OVERLOADED
    #[arg(long, value_name = "MILLISECONDS", default_value = "500")]
    pub queue_wait_ms: u64,
    /// Accounts whose state is kept in memory
    #[arg(long, value_name = "N", default_value = "200000")]
    pub heads: NonZeroUsize,
    /// How many days back an entry may have occurred
    #[arg(long, value_name = "DAYS", default_value = "400")]
    pub max_back_days: u32,
    /// Decide a batch while the one before is on its way to the database
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, default_value = "true")]
    pub decide_ahead: bool,
    /// The largest request, in bytes
    #[arg(long, value_name = "BYTES", default_value = "1048576")]
    pub max_message_bytes: NonZeroUsize,
    /// The largest request that holds a batch, in bytes
    #[arg(long, value_name = "BYTES", default_value = "4194304")]
    pub max_batch_message_bytes: NonZeroUsize,
    /// How long an event stream lives, give or take a fifth, before its client has to resume it
    #[arg(long, value_name = "MINUTES", default_value = "30")]
    pub stream_age_minutes: NonZeroU32,
    /// Event streams that may be open at once
    #[arg(long, value_name = "N", default_value = "10000")]
    pub max_streams: NonZeroUsize,
    /// How long started work and open streams have to end when the server is told to stop
    #[arg(long, value_name = "SECONDS", default_value = "10")]
    pub drain_seconds: u32,
    /// What to log: a level (error, warn, info, debug, trace), or levels by module such as `info,billing_server=debug`
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub log: String,
    /// How to log: lines for people, or JSON for machines
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub log_format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum LogFormat {
    Human,
    Json,
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(set)")
    }
}

/// Where the value of a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag, written like this.
    Flag(String),
    /// An environment variable of this name.
    Variable(String),
    /// The settings file.
    File(PathBuf),
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag(name) | Origin::Variable(name) => f.write_str(name),
            Origin::File(path) => write!(f, "{}", path.display()),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// The settings in force, and where each comes from, in the order of the fields of [`Config`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Name and origin of each.
    pub origins: Vec<(String, Origin)>,
}

impl Loaded {
    /// Where a setting comes from.
    pub fn origin(&self, name: &str) -> Option<&Origin> {
        self.origins.iter().find(|(known, _)| known == name).map(|(_, origin)| origin)
    }
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file or a value cannot be read.
    #[error("{0}")]
    Unreadable(#[from] config::ConfigError),
    /// The file says something that is no setting.
    #[error("{}: there is no setting `{key}`; there are: {known}", file.display())]
    UnknownKey {
        /// The file.
        file: PathBuf,
        /// What it says.
        key: String,
        /// What it could say.
        known: String,
    },
    /// The address can be reached from other machines, and nothing is encrypted.
    #[error(
        "{address} can be reached from other machines, and the traffic would not be encrypted: listen on loopback \
         (--listen 127.0.0.1:{}), or say --insecure (BILLING_INSECURE=true) if something else protects the traffic",
        address.port()
    )]
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
}

/// The variable of a setting.
pub fn variable(name: &str) -> String {
    format!("{VARIABLE_PREFIX}_{}", name.to_uppercase().replace('-', "_"))
}

/// Reads the settings: the flags out of `matches`, whose command has the arguments of [`Config`]; the variables out of
/// `environment`; and the file, if one is named. Variables that name no setting are none of ours.
///
/// # Errors
/// When the file cannot be read or says something that is no setting, or a value does not fit its setting.
pub fn load(
    matches: &ArgMatches,
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded, ConfigError> {
    let command = <Config as clap::Args>::augment_args(clap::Command::new(""));
    let names: Vec<String> = names(&command);
    let variables: BTreeMap<String, String> = names.iter().map(|name| (variable(name), name.clone())).collect();
    let environment: config::Map<String, String> =
        environment.into_iter().filter(|(name, _)| variables.contains_key(name)).collect();
    let in_file = file.map(|path| read_file(path, &names)).transpose()?.unwrap_or_default();

    let mut builder = config::Config::builder();
    let mut origins: BTreeMap<String, Origin> = names.iter().map(|name| (name.clone(), Origin::Default)).collect();
    for argument in command.get_arguments() {
        if let [default] = argument.get_default_values() {
            builder = builder.set_default(argument.get_id().as_str(), default.to_string_lossy().into_owned())?;
        }
    }
    if let Some(path) = file {
        builder = builder.add_source(toml(path));
        origins.extend(in_file.into_iter().map(|name| (name, Origin::File(path.to_owned()))));
    }
    origins.extend(environment.keys().map(|name| (variables[name].clone(), Origin::Variable(name.clone()))));
    builder =
        builder.add_source(Environment::with_prefix(VARIABLE_PREFIX).prefix_separator("_").source(Some(environment)));
    for (name, value) in given(&command, matches) {
        origins.insert(name.clone(), Origin::Flag(format!("--{}", name.replace('_', "-"))));
        builder = builder.set_override(name, value)?;
    }
    let config = builder.build()?.try_deserialize()?;
    let origins = names.into_iter().filter_map(|name| origins.remove(&name).map(|origin| (name, origin))).collect();
    Ok(Loaded { config, origins })
}

/// The names of all settings, in the order of the fields but for the secret one, which comes last.
fn names(command: &clap::Command) -> Vec<String> {
    let flags = command.get_arguments().map(|argument| argument.get_id().to_string());
    flags.chain([SECRET_SETTING.to_owned()]).collect()
}

/// What the command line says.
fn given<'a>(command: &'a clap::Command, matches: &'a ArgMatches) -> impl Iterator<Item = (String, String)> + 'a {
    command.get_arguments().filter_map(|argument| {
        let name = argument.get_id().as_str();
        if matches.value_source(name) != Some(ValueSource::CommandLine) {
            return None;
        }
        let value = matches.get_raw(name)?.next()?;
        Some((name.to_owned(), value.to_string_lossy().into_owned()))
    })
}

fn toml(path: &Path) -> File<config::FileSourceFile, FileFormat> {
    File::from(path).format(FileFormat::Toml)
}

/// The names of the settings that a file gives.
fn read_file(path: &Path, names: &[String]) -> Result<Vec<String>, ConfigError> {
    let keys: Vec<String> = toml(path).collect()?.into_keys().collect();
    match keys.iter().find(|key| !names.contains(key)) {
        Some(key) => Err(ConfigError::UnknownKey { file: path.to_owned(), key: key.clone(), known: names.join(", ") }),
        None => Ok(keys),
    }
}

impl Config {
    /// Refuses to be reached from other machines in plain text, unless that is said to be meant.
    ///
    /// # Errors
    /// [`ConfigError::NotLoopback`].
    pub fn check_listen(&self) -> Result<(), ConfigError> {
        if self.insecure || self.listen.ip().to_canonical().is_loopback() {
            Ok(())
        } else {
            Err(ConfigError::NotLoopback { address: self.listen })
        }
    }

    /// How to use the database.
    pub fn database_options(&self) -> billing_db::Options {
        billing_db::Options { pool_size: self.pool_size.get(), ..billing_db::Options::default() }
    }

    /// How the engine works.
    pub fn engine_settings(&self) -> engine::Settings {
        engine::Settings {
            max_batch: self.max_batch.get(),
            limits: engine::Limits {
                commands: self.queue_commands.get(),
                wait: Duration::from_millis(self.queue_wait_ms),
            },
            heads: self.heads,
            max_back: DAY * self.max_back_days,
            ahead: self.decide_ahead,
        }
    }

    /// How the server works.
    pub fn server_settings(&self) -> server::Settings {
        server::Settings {
            database_url: self.database_url.clone(),
            partitions: self.partitions,
            pool_size: self.pool_size.get(),
            engine: self.engine_settings(),
            feed: feed::Settings {
                max_streams: self.max_streams.get(),
                stream_age: Duration::from_secs(60) * self.stream_age_minutes.get(),
                ..feed::Settings::default()
            },
            bearer_key: self.bearer_key.as_ref().map(|key| key.expose().to_owned()),
            max_message_bytes: self.max_message_bytes.get(),
            max_batch_message_bytes: self.max_batch_message_bytes.get(),
            drain: Duration::from_secs(self.drain_seconds.into()),
        }
    }

    /// The database without its password, for people to read.
    pub fn database_name(&self) -> String {
        without_password(&self.database_url)
    }
}

/// A URL whose passwords are hidden; rather too much of it than too little.
pub fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let shown = match rest.rsplit_once('@') {
        Some((user, host)) if user.contains(':') => {
            format!("{}:***@{host}", user.split(':').next().unwrap_or_default())
        }
        _ => rest.to_owned(),
    };
    let (address, query) =
        shown.split_once('?').map_or((shown.as_str(), None), |(address, query)| (address, Some(query)));
    let pairs = query.map(|query| {
        let hide = |pair: &str| match pair.split_once('=') {
            Some((name, _)) if name.to_lowercase().contains("password") => format!("{name}=***"),
            _ => pair.to_owned(),
        };
        query.split('&').map(hide).collect::<Vec<_>>().join("&")
    });
    pairs.map_or_else(|| format!("{scheme}://{address}"), |pairs| format!("{scheme}://{address}?{pairs}"))
}

#[cfg(test)]
mod tests;
