//! A gateway between the service and the cabinets of the users who are on line: it follows their accounts and prints
//! what changes. Lines of standard input say who comes and goes: `+acme-1` follows an account, `-acme-1` no longer.
//!
//!     cargo run -p billing-client --example cabinet_gateway -- http://127.0.0.1:50051 acme-1 acme-2

#![allow(clippy::print_stdout, reason = "an example talks to a person")]

use std::io::BufRead as _;

use billing_client::{Client, Error, Event, FollowHandle, Followed, Following, Payload};
use futures_util::StreamExt as _;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let endpoint = arguments.next().unwrap_or_else(|| "http://127.0.0.1:50051".to_owned());
    let mut builder = Client::builder(endpoint).user_agent("cabinet-gateway");
    if let Ok(token) = std::env::var("BILLING_TOKEN") {
        builder = builder.bearer_token(token);
    }
    let client = builder.connect_lazy()?;

    let mut stream = client.follow(Following::accounts(arguments).with_snapshot().conflate_balances());
    let handle = stream.handle();
    std::thread::spawn(move || read_commands(&handle));
    while let Some(item) = stream.next().await {
        match item? {
            Followed::Event(event) => print_event(&event),
            Followed::AccountsChanged { added, removed, missing } => {
                println!("followed: +{added:?} -{removed:?}, not found: {missing:?}");
            }
            _ => {}
        }
    }
    Ok(())
}

fn read_commands(handle: &FollowHandle) {
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let outcome = match line.trim().split_at_checked(1) {
            Some(("+", account)) => handle.add([account]),
            Some(("-", account)) => handle.remove([account]),
            _ => {
                println!("write +ACCOUNT or -ACCOUNT");
                continue;
            }
        };
        if let Err(error) = outcome {
            println!("{error}");
        }
    }
}

fn print_event(event: &Event) {
    let account = &event.account_id;
    match &event.payload {
        Payload::BalanceSnapshot(balance) => {
            println!(
                "{account}: {} {} available, access {}",
                balance.available, balance.currency, balance.access.state
            );
        }
        Payload::BalanceChanged(changed) => {
            println!("{account}: {} → {} available", changed.before.available, changed.after.available);
        }
        Payload::HoldChanged { kind, hold } => println!("{account}: hold {} {kind}, {} left", hold.hold_id, hold.rest),
        Payload::AccountChanged { kind, changed_fields, .. } => println!("{account}: {kind} {changed_fields:?}"),
        _ => {}
    }
}
