//! `billing-server serve`: serves the API until it is told to stop.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;

use super::{explain, runtime, say};
use crate::config::Config;
use crate::server::Server;
use crate::time::World;

/// What still runs on other threads once everything is drained gets so long to end.
const THREADS_END: Duration = Duration::from_secs(1);

/// Serves until SIGTERM or Ctrl-C.
///
/// # Errors
/// When the address is not allowed or taken, or the database cannot be used.
pub fn run(config: &Config) -> anyhow::Result<ExitCode> {
    let runtime = runtime(config)?;
    let result = runtime.block_on(async {
        let (server, listener) = start(config).await?;
        say(&welcome(config, &listener, &FIRST_STEPS)?)?;
        say("A ledger with a year of entries to look at: billing-server demo --live --database-url sqlite:demo.db")?;
        server.serve(listener, told_to_stop()?).await
    });
    runtime.shutdown_timeout(THREADS_END);
    result.map(|()| ExitCode::SUCCESS)
}

/// Takes the address, then the database: whoever finds the address taken has not touched the database.
pub(super) async fn start(config: &Config) -> anyhow::Result<(Server, TcpListener)> {
    config.check_listen()?;
    let listener = TcpListener::bind(config.listen).await;
    let listener = listener.with_context(|| format!("cannot listen on {}", config.listen))?;
    let server = Server::start(&config.server_settings(), World::default()).await;
    let server = server.map_err(|error| explain(error, &config.database_url))?;
    Ok((server, listener))
}

/// Done at the first SIGTERM or Ctrl-C. The signals are watched from the call on.
pub(super) fn told_to_stop() -> anyhow::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
        Ok(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            // Nobody can tell us to stop; go on.
            std::future::pending::<()>().await;
        }
    })
}

/// A call to try, with what it is for: the request as JSON, if it has one, and the method.
pub(super) type Try<'a> = (&'a str, &'a str, &'a str);

const FIRST_STEPS: [Try<'_>; 4] = [
    ("What there is", "", "list"),
    (
        "Open an account",
        r#"{"account_id":"acme-1","customer_id":"acme","currency_code":"EUR","time_zone":"Europe/Berlin"}"#,
        "billing.v1.AccountService/CreateAccount",
    ),
    (
        "Watch what happens on it; leave this running",
        r#"{"account_ids":["acme-1"],"include_snapshot":true}"#,
        "billing.v1.EventService/Subscribe",
    ),
    (
        "Post a payment; the same key again changes nothing",
        r#"{"account_id":"acme-1","kind":"ENTRY_KIND_PAYMENT","amount":{"value":"1500.50"},"idempotency_key":"bank-77-1"}"#,
        "billing.v1.LedgerService/Post",
    ),
];

/// Tells where the server is and what to type next.
pub(super) fn welcome(config: &Config, listener: &TcpListener, steps: &[Try<'_>]) -> anyhow::Result<String> {
    let address = listener.local_addr()?;
    let key = if config.bearer_key.is_some() { "-H \"authorization: Bearer $BILLING_BEARER_KEY\" " } else { "" };
    let mut lines = vec![format!("Serving {} on {address}. In another terminal:\n", config.database_name())];
    for (what, request, method) in steps {
        let request = if request.is_empty() { String::new() } else { format!("-d '{request}' ") };
        lines.push(format!("# {what}\n  grpcurl -plaintext {key}{request}{address} {method}"));
    }
    lines.push("\nCtrl-C stops the server.".to_owned());
    Ok(lines.join("\n"))
}
