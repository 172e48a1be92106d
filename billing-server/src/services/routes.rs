//! All services of the server, and what is told of their health.

use std::sync::Arc;

use anyhow::Context as _;
use billing_proto::v1;
use tokio::sync::watch;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tonic_reflection::server::Builder;
use v1::account_service_server::{AccountServiceServer, SERVICE_NAME as ACCOUNTS};
use v1::balance_service_server::{BalanceServiceServer, SERVICE_NAME as BALANCES};
use v1::event_service_server::{EventServiceServer, SERVICE_NAME as EVENTS};
use v1::ledger_service_server::{LedgerServiceServer, SERVICE_NAME as LEDGER};

use super::Drain;
use super::account::Accounts;
use super::balance::Balances;
use super::events::Events;
use super::ledger::Ledger;
use super::worded::Worded;
use crate::engine::Engine;
use crate::feed::Hub;
use crate::server::Settings;

/// The services of the contract, and reflection with the descriptors of the error details, so that `grpcurl` shows them.
///
/// # Errors
/// When the descriptors are damaged.
pub fn routes(
    engine: &Engine,
    hub: &Arc<Hub>,
    stopping: watch::Receiver<bool>,
    settings: &Settings,
) -> anyhow::Result<Routes> {
    let drain = Drain::new(stopping, settings.feed.stream_age);
    let (most, batch) = (settings.max_message_bytes, settings.max_batch_message_bytes);
    let gzip = CompressionEncoding::Gzip;
    let accounts = AccountServiceServer::new(Accounts::new(engine.clone()));
    let balances = BalanceServiceServer::new(Balances::new(engine.clone()));
    let ledger = LedgerServiceServer::new(Ledger::new(engine.clone(), drain));
    let events = EventServiceServer::new(Events::new(Arc::clone(hub)));
    let described = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(billing_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    Ok(Routes::new(Worded(accounts.accept_compressed(gzip).max_decoding_message_size(most)))
        .add_service(Worded(balances.accept_compressed(gzip).max_decoding_message_size(most)))
        .add_service(Worded(ledger.accept_compressed(gzip).max_decoding_message_size(batch)))
        .add_service(Worded(events.accept_compressed(gzip).max_decoding_message_size(most)))
        .add_service(described().build_v1().context("the descriptors are damaged")?)
        .add_service(described().build_v1alpha().context("the descriptors are damaged")?))
}

/// Tells whether the server and each of its services serve.
pub async fn report(reporter: &HealthReporter, is_serving: bool) {
    let status = if is_serving { ServingStatus::Serving } else { ServingStatus::NotServing };
    // The empty name stands for the server as a whole.
    for name in ["", ACCOUNTS, BALANCES, LEDGER, EVENTS] {
        reporter.set_service_status(name, status).await;
    }
}
