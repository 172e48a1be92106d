//! `billing-server config`: the settings in force and where each comes from.

use std::process::ExitCode;

use serde_json::Value;

use super::say;
use crate::config::{Config, Loaded};

/// Prints the settings as lines of a settings file, each with its origin behind it. Secrets are not shown.
///
/// # Errors
/// When the standard output is closed.
pub fn run(loaded: &Loaded) -> anyhow::Result<ExitCode> {
    for line in lines(loaded)? {
        say(&line)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn lines(loaded: &Loaded) -> anyhow::Result<Vec<String>> {
    let config = Config { database_url: loaded.config.database_name(), ..loaded.config.clone() };
    let json = serde_json::to_value(&config)?;
    let line = |name: &str| match json.get(name) {
        Some(Value::Null) => format!("# {name} is not set"),
        // Strings, numbers and truth values are written in TOML as in JSON.
        Some(value) => format!("{name} = {value}"),
        None if config.bearer_key.is_some() => format!("# {name} = (set)"),
        None => format!("# {name} is not set"),
    };
    let lines: Vec<_> = loaded.origins.iter().map(|(name, origin)| (line(name), origin)).collect();
    let width = lines.iter().map(|(line, _)| line.len()).max().unwrap_or_default();
    Ok(lines.into_iter().map(|(line, origin)| format!("{line:width$}  # {origin}")).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::load;

    #[test]
    fn settings_are_shown_as_a_file_and_secrets_are_not() {
        let command = <Config as clap::Args>::augment_args(clap::Command::new("test").no_binary_name(true));
        let matches = command.try_get_matches_from(["--listen", "127.0.0.1:7"]).unwrap();
        let environment = [
            ("BILLING_BEARER_KEY".to_owned(), "hunter2".to_owned()),
            ("BILLING_DATABASE_URL".to_owned(), "postgres://me:hunter3@db/billing".to_owned()),
        ];
        let lines = lines(&load(&matches, None, environment).unwrap()).unwrap();
        let text = lines.join("\n");
        assert!(!text.contains("hunter"), "{text}");
        let has = |start: &str, end: &str| lines.iter().any(|line| line.starts_with(start) && line.ends_with(end));
        assert!(has("listen = \"127.0.0.1:7\" ", "# --listen"), "{text}");
        assert!(has("# bearer_key = (set) ", "# BILLING_BEARER_KEY"), "{text}");
        assert!(has("database_url = \"postgres://me:***@db/billing\" ", "# BILLING_DATABASE_URL"), "{text}");
        assert!(has("max_batch = 1000 ", "# default"), "{text}");
        assert!(has("# partitions is not set ", "# default"), "{text}");
        assert!(text.parse::<serde_json::Value>().is_err());
    }
}
