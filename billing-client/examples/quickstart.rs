//! Opens an account, posts a payment, reads the balance, and shows the events of the account.
//!
//!     cargo run -p billing-client --example quickstart -- http://127.0.0.1:50051

#![allow(clippy::print_stdout, reason = "an example talks to a person")]

use billing_client::{Client, CreateAccount, Decimal, Error, Payload, Post, Subscription};
use futures_util::StreamExt as _;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:50051".to_owned());
    let mut builder = Client::builder(endpoint).user_agent("quickstart");
    if let Ok(token) = std::env::var("BILLING_TOKEN") {
        builder = builder.bearer_token(token);
    }
    let client = builder.connect().await?;

    let account = CreateAccount::new("acme", "RUB").display_name("Acme, main account").time_zone("Europe/Moscow");
    let account = client.create_account(&account).await?.account;
    println!("account {} is open", account.account_id);

    // The key is named after the payment in the bank's statement: posting it again changes nothing.
    let payment = Post::payment(&account.account_id, Decimal::new(150_050, 2)).reference("PP 77").key("bank-77-1");
    let posted = client.post(&payment).await?;
    println!("posted {} as number {}", posted.entry.amount, posted.entry.sequence);
    let again = client.post(&payment).await?;
    println!("posted again: replayed = {}", again.replayed);

    let balance = client.at_least(posted.position).get_balance(&account.account_id).await?;
    println!("available: {} {}", balance.available, balance.currency);

    let mut events = client.subscribe(Subscription::accounts([&account.account_id]).with_snapshot());
    client.post(&Post::charge(&account.account_id, Decimal::new(49_990, 2)).category("internet")).await?;
    while let Some(event) = events.next().await {
        match event?.payload {
            Payload::BalanceSnapshot(balance) => println!("snapshot: {} available", balance.available),
            Payload::BalanceChanged(changed) => {
                println!("changed: {} → {} available", changed.before.available, changed.after.available);
                break;
            }
            Payload::SnapshotCompleted { .. } => {
                // The charge may have been posted before the stream had begun; then the snapshot contains it.
                client.post(&Post::charge(&account.account_id, Decimal::ONE).category("internet")).await?;
            }
            _ => {}
        }
    }
    println!("to continue later: {}", events.resume_token().unwrap_or_default());
    Ok(())
}
