//! The static key: without it nothing is answered, and with it everything.

use billing_client::Client;
use billing_proto::v1;
use billing_proto::v1::ErrorReason;
use billing_server::server::Settings;
use tonic::Request;
use tonic::metadata::MetadataValue;

use crate::harness::refusal::refused;
use crate::harness::requests::{account, payment, subscription};
use crate::harness::service::answer;
use crate::harness::{Listener, Refused as _, Service, TestDatabase, on_both_databases};

on_both_databases![
    calls_without_the_key_are_refused,
    calls_with_another_key_are_refused,
    calls_with_the_key_are_answered,
    an_rpc_that_does_not_exist_is_not_implemented,
];

async fn start(database: &TestDatabase) -> Service {
    let locked = |settings: &mut Settings| settings.bearer_key = Some("s3cret-key".to_owned());
    Service::start_with(database, locked).await
}

fn with<T>(authorization: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", MetadataValue::try_from(authorization).unwrap());
    request
}

async fn calls_without_the_key_are_refused(database: TestDatabase) {
    let service = start(&database).await;
    service.create(account("acme-1")).await.refused(ErrorReason::CredentialsMissing);
    service.account("acme-1").await.refused(ErrorReason::CredentialsMissing);
    service.post(payment("acme-1", "1")).await.refused(ErrorReason::CredentialsMissing);
    // Before anything else is looked at.
    service.post(v1::PostRequest::default()).await.refused(ErrorReason::CredentialsMissing);
    service.subscribe(subscription(&["acme-1"])).await.refused(ErrorReason::CredentialsMissing);
    let requests = tokio_stream::iter([v1::PostStreamRequest::default()]);
    let status = service.ledger().post_stream(requests).await.unwrap_err();
    refused(&status, ErrorReason::CredentialsMissing);
    let status = service.events().follow(tokio_stream::iter([v1::FollowRequest::default()])).await.unwrap_err();
    refused(&status, ErrorReason::CredentialsMissing);
    service.stop_unchecked().await;
}

async fn calls_with_another_key_are_refused(database: TestDatabase) {
    let service = start(&database).await;
    for wrong in
        ["Bearer s3cret-ke", "Bearer s3cret-keyy", "Bearer ", "Basic s3cret-key", "s3cret-key", "Bearer S3CRET-KEY"]
    {
        let status = answer(service.accounts().create_account(with(wrong, account("acme-1"))).await);
        status.refused(ErrorReason::CredentialsInvalid);
    }
    service.stop_unchecked().await;
}

async fn calls_with_the_key_are_answered(database: TestDatabase) {
    let service = start(&database).await;
    let key = "Bearer s3cret-key";
    answer(service.accounts().create_account(with(key, account("acme-1"))).await).unwrap();
    let posted = answer(service.ledger().post(with(key, payment("acme-1", "5"))).await).unwrap();
    assert_eq!(posted.entry.unwrap().created_by, "static-key");
    let client = Client::builder(service.uri()).bearer_token("s3cret-key").connect().await.unwrap();
    assert_eq!(client.get_balance("acme-1").await.unwrap().posted, rust_decimal::Decimal::from(5));
    let stream = answer(
        service
            .events()
            .subscribe(with(
                key,
                v1::SubscribeRequest {
                    start: Some(v1::subscribe_request::Start::From(v1::StartFrom::Beginning.into())),
                    ..subscription(&["acme-1"])
                },
            ))
            .await,
    )
    .unwrap();
    let mut listener = Listener::new(stream);
    assert_eq!(listener.next().await.account_id, "acme-1");
    drop(listener);
    service.stop_unchecked().await;
}

async fn an_rpc_that_does_not_exist_is_not_implemented(database: TestDatabase) {
    use tonic::codegen::http::uri::PathAndQuery;
    let service = Service::start(&database).await;
    for path in ["/billing.v1.LedgerService/Nonsense", "/billing.v1.Nonsense/Post"] {
        let mut grpc = tonic::client::Grpc::new(service.channel());
        grpc.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<v1::PostRequest, v1::PostResponse>::default();
        let called = grpc.unary(Request::new(payment("a", "1")), PathAndQuery::from_static(path), codec).await;
        assert_eq!(called.unwrap_err().code(), tonic::Code::Unimplemented, "{path}");
    }
    service.stop().await;
}
