//! Logs: to the standard error, for people or for machines.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::config::LogFormat;

/// Why there are no logs.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("`--log {filter}` is no filter such as `info` or `warn,billing_server=debug`: {cause}")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        cause: ParseError,
    },
}

/// Sends the logs of this process to its standard error. Where that was done before, as in tests, it stays as it is.
///
/// # Errors
/// When `filter` cannot be read.
pub fn start(filter: &str, format: LogFormat) -> Result<(), TelemetryError> {
    let parsed = EnvFilter::builder().parse(filter);
    let parsed = parsed.map_err(|cause| TelemetryError::Filter { filter: filter.to_owned(), cause })?;
    let logs = tracing_subscriber::fmt().with_env_filter(parsed).with_writer(std::io::stderr);
    // An error here says that the process has its logs already.
    let _ = match format {
        LogFormat::Human => logs.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => logs.json().flatten_event(true).with_current_span(false).try_init(),
    };
    Ok(())
}
