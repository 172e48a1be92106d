//! What a stranger can find out: the services, their descriptors, and whether they serve.

use std::collections::BTreeSet;

use billing_server::server::Settings;
use prost::Message as _;
use prost_types::FileDescriptorProto;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::harness::{Service, TestDatabase, on_both, on_both_databases};

on_both![reflection_lists_the_services_in_both_versions, reflection_serves_every_descriptor, each_service_is_serving,];

on_both_databases![reflection_and_health_ask_for_no_key,];

const SERVICES: [&str; 4] =
    ["billing.v1.AccountService", "billing.v1.BalanceService", "billing.v1.EventService", "billing.v1.LedgerService"];

/// One module a version of the protocol: the messages are the same, their types are not.
macro_rules! reflection {
    ($($version:ident)+) => {$(
        mod $version {
            use tonic::transport::Channel;
            use tonic_reflection::pb::$version::server_reflection_client::ServerReflectionClient;
            use tonic_reflection::pb::$version::server_reflection_request::MessageRequest;
            use tonic_reflection::pb::$version::server_reflection_response::MessageResponse;
            use tonic_reflection::pb::$version::ServerReflectionRequest;

            async fn ask(channel: Channel, question: MessageRequest) -> MessageResponse {
                let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
                let stream = tokio_stream::iter([request]);
                let mut answers = ServerReflectionClient::new(channel).server_reflection_info(stream).await.unwrap().into_inner();
                answers.message().await.unwrap().unwrap().message_response.unwrap()
            }

            pub(super) async fn services(channel: Channel) -> Vec<String> {
                match ask(channel, MessageRequest::ListServices(String::new())).await {
                    MessageResponse::ListServicesResponse(list) => list.service.into_iter().map(|one| one.name).collect(),
                    other => panic!("{other:?}"),
                }
            }

            pub(super) async fn file_of(channel: Channel, symbol: &str) -> Vec<u8> {
                match ask(channel, MessageRequest::FileContainingSymbol(symbol.to_owned())).await {
                    MessageResponse::FileDescriptorResponse(mut files) => files.file_descriptor_proto.remove(0),
                    other => panic!("{symbol}: {other:?}"),
                }
            }

            pub(super) async fn file(channel: Channel, name: &str) -> Vec<u8> {
                match ask(channel, MessageRequest::FileByFilename(name.to_owned())).await {
                    MessageResponse::FileDescriptorResponse(mut files) => files.file_descriptor_proto.remove(0),
                    other => panic!("{name}: {other:?}"),
                }
            }
        }
    )+};
}

reflection!(v1 v1alpha);

async fn reflection_lists_the_services_in_both_versions(service: &Service) {
    for listed in [v1::services(service.channel()).await, v1alpha::services(service.channel()).await] {
        let listed: BTreeSet<String> = listed.into_iter().collect();
        for name in SERVICES.iter().chain(&["grpc.health.v1.Health"]) {
            assert!(listed.contains(*name), "{name} in {listed:?}");
        }
        assert!(listed.iter().any(|name| name.contains("ServerReflection")), "{listed:?}");
    }
}

async fn reflection_serves_every_descriptor(service: &Service) {
    for symbol in SERVICES.iter().chain(&[
        "billing.v1.Money",
        "google.rpc.Status",
        "google.rpc.ErrorInfo",
        "google.rpc.RetryInfo",
        "google.protobuf.Timestamp",
    ]) {
        for bytes in [v1::file_of(service.channel(), symbol).await, v1alpha::file_of(service.channel(), symbol).await] {
            let file = FileDescriptorProto::decode(bytes.as_slice()).unwrap();
            assert!(symbol.starts_with(file.package()), "{symbol} in {}", file.name());
            // Whatever a file imports is served too, so that a client can put the whole together.
            for import in &file.dependency {
                v1::file(service.channel(), import).await;
                v1alpha::file(service.channel(), import).await;
            }
        }
    }
}

async fn health(channel: Channel, service: &str) -> ServingStatus {
    let request = HealthCheckRequest { service: service.to_owned() };
    HealthClient::new(channel).check(request).await.unwrap().into_inner().status()
}

async fn each_service_is_serving(service: &Service) {
    for name in SERVICES.iter().chain(&[""]) {
        assert_eq!(health(service.channel(), name).await, ServingStatus::Serving, "{name:?}");
    }
    let unknown = HealthCheckRequest { service: "billing.v1.Nonsense".to_owned() };
    let status = HealthClient::new(service.channel()).check(unknown).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::NotFound);
}

async fn reflection_and_health_ask_for_no_key(database: TestDatabase) {
    let locked = |settings: &mut Settings| settings.bearer_key = Some("s3cret".to_owned());
    let service = Service::start_with(&database, locked).await;
    assert!(!v1::services(service.channel()).await.is_empty());
    assert_eq!(health(service.channel(), "").await, ServingStatus::Serving);
    service.stop_unchecked().await;
}
