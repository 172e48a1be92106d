//! Opening, describing, finding, closing and erasing accounts.

use std::collections::HashMap;

use billing_proto::v1;
use billing_proto::v1::ErrorReason;
use tonic::Status;

use crate::harness::clock::hours;
use crate::harness::ledger::{all_entries, figures, value, verify};
use crate::harness::requests::{
    account, anonymize, bonus, charge, close, hold, key, limit, money, money_in, payment, reopen, update,
};
use crate::harness::service::answer;
use crate::harness::{Refused as _, Service, on_both};

on_both![
    an_account_is_read_back_as_it_was_created,
    a_new_account_has_the_documented_defaults,
    a_repeated_create_finds_its_account,
    an_id_that_is_taken_is_refused_with_the_field_that_differs,
    without_an_id_the_key_makes_the_account,
    all_faults_of_a_create_are_told_at_once,
    an_account_that_does_not_exist_is_not_found,
    an_update_changes_the_fields_of_its_mask_and_no_others,
    an_update_without_a_mask_changes_what_is_set,
    an_update_can_reach_into_billing_details,
    an_update_names_fields_that_exist_and_may_change,
    an_update_of_another_version_is_refused,
    a_repeated_update_is_a_replay,
    entries_leave_the_version_of_an_account_alone,
    a_limit_is_not_lowered_below_its_use_unless_it_is_meant,
    accounts_are_listed_by_id_over_all_partitions,
    accounts_are_found_by_what_they_are,
    accounts_are_found_by_their_debt,
    a_page_token_leads_on_in_its_own_list_only,
    pages_stay_stable_while_accounts_are_opened,
    a_closed_account_can_be_read_and_nothing_else,
    everything_that_stands_against_closing_is_told_at_once,
    a_residue_below_the_minor_unit_is_posted_away,
    a_closed_account_can_be_reopened,
    erased_texts_are_gone_and_the_chain_still_holds,
    an_erased_account_takes_nothing_any_more,
];

fn details() -> v1::BillingDetails {
    v1::BillingDetails {
        legal_name: "ООО «Ромашка»".to_owned(),
        tax_id: "7707083893".to_owned(),
        registration_code: "770701001".to_owned(),
        vat_id: "RU7707083893".to_owned(),
        address: "Москва\nТверская, 1".to_owned(),
        country: "RU".to_owned(),
        email: "billing@romashka.example".to_owned(),
    }
}

fn full_request() -> v1::CreateAccountRequest {
    v1::CreateAccountRequest {
        display_name: "Ромашка".to_owned(),
        time_zone: "Europe/Moscow".to_owned(),
        locale: "ru-RU".to_owned(),
        billing_mode: v1::BillingMode::Postpaid.into(),
        credit_limit: money_in("1500.5", "RUB"),
        payment_terms_days: Some(14),
        billing_details: Some(details()),
        metadata: HashMap::from([("crm".to_owned(), "42".to_owned()), ("segment".to_owned(), "b2b".to_owned())]),
        idempotency_key: key(),
        ..account("acme-1")
    }
}

async fn list(service: &Service, request: v1::ListAccountsRequest) -> Result<v1::ListAccountsResponse, Status> {
    answer(service.accounts().list_accounts(request).await)
}

async fn ids(service: &Service, request: v1::ListAccountsRequest) -> Vec<String> {
    let page = list(service, request).await.unwrap();
    assert_eq!(page.next_page_token, "");
    page.accounts.into_iter().map(|account| account.account_id).collect()
}

async fn an_account_is_read_back_as_it_was_created(service: &Service) {
    let created = service.create(full_request()).await.unwrap();
    assert!(!created.replayed);
    let position = created.position.unwrap();
    assert!(position.position > 0);
    let made = created.account.unwrap();
    let expected = v1::Account {
        account_id: "acme-1".to_owned(),
        customer_id: "customer-1".to_owned(),
        display_name: "Ромашка".to_owned(),
        currency_code: "RUB".to_owned(),
        time_zone: "Europe/Moscow".to_owned(),
        locale: "ru-RU".to_owned(),
        state: v1::AccountState::Active.into(),
        billing_mode: v1::BillingMode::Postpaid.into(),
        credit_limit: money_in("1500.50", "RUB"),
        payment_terms_days: Some(14),
        policy_id: String::new(),
        billing_details: Some(details()),
        metadata: full_request().metadata,
        create_time: made.create_time,
        update_time: made.create_time,
        etag: made.etag.clone(),
        anonymize_time: None,
    };
    assert_eq!(made, expected);
    assert!(!made.etag.is_empty());
    let request = v1::GetAccountRequest { account_id: "acme-1".to_owned(), min_position: Some(position) };
    let read = answer(service.accounts().get_account(request).await).unwrap();
    assert_eq!(read.account, Some(expected));
}

async fn a_new_account_has_the_documented_defaults(service: &Service) {
    let made = service.open("acme-1").await;
    assert_eq!((made.time_zone.as_str(), made.locale.as_str()), ("UTC", "en"));
    assert_eq!(made.billing_mode(), v1::BillingMode::Prepaid);
    assert_eq!(made.credit_limit, money_in("0.00", "RUB"));
    assert_eq!((made.payment_terms_days, made.billing_details), (None, None));
    let yen = v1::CreateAccountRequest { currency_code: "JPY".to_owned(), ..account("acme-2") };
    let made = service.create(yen).await.unwrap().account.unwrap();
    assert_eq!(made.credit_limit, money_in("0", "JPY"));
    let balance = service.balance("acme-1").await;
    assert_eq!(figures(&balance), ["0.00", "0.00", "0.00"]);
    assert_eq!((balance.sequence, balance.entry_sequence), (1, 0));
    assert_eq!(balance.access.unwrap().state(), v1::AccessState::Allowed);
}

async fn a_repeated_create_finds_its_account(service: &Service) {
    let keyed = full_request();
    let first = service.create(keyed.clone()).await.unwrap();
    service.update(update("acme-1", &["display_name"], v1::Account::default())).await.unwrap();
    // By key, by id, and by both, whatever has happened since.
    for request in [keyed.clone(), v1::CreateAccountRequest { idempotency_key: String::new(), ..keyed }] {
        let again = service.create(request).await.unwrap();
        assert!(again.replayed);
        assert_eq!((&again.account, &again.position), (&first.account, &first.position));
    }
    assert_eq!(service.account("acme-1").await.unwrap().display_name, "");
}

async fn an_id_that_is_taken_is_refused_with_the_field_that_differs(service: &Service) {
    service.open("acme-1").await;
    let other = |change: fn(&mut v1::CreateAccountRequest)| {
        let mut request = account("acme-1");
        change(&mut request);
        request
    };
    for (request, field) in [
        (other(|request| request.customer_id = "customer-2".to_owned()), "customer_id"),
        (other(|request| request.currency_code = "EUR".to_owned()), "currency_code"),
        (other(|request| request.time_zone = "Europe/Moscow".to_owned()), "time_zone"),
        (other(|request| request.display_name = "Other".to_owned()), "display_name"),
    ] {
        let refusal = service.create(request).await.refused(ErrorReason::ResourceAlreadyExists);
        assert_eq!((refusal.detail("id"), refusal.detail("field")), ("acme-1", field));
    }
    let spelled_out = other(|request| {
        request.time_zone = "UTC".to_owned();
        request.locale = "en".to_owned();
        request.credit_limit = money_in("0", "RUB");
    });
    assert!(service.create(spelled_out).await.unwrap().replayed, "a default that is said is the default");
}

async fn without_an_id_the_key_makes_the_account(service: &Service) {
    let nameless = || v1::CreateAccountRequest { idempotency_key: "signup-7".to_owned(), ..account("") };
    let first = service.create(nameless()).await.unwrap();
    let id = first.account.as_ref().unwrap().account_id.clone();
    assert!((1..=64).contains(&id.len()), "{id}");
    let again = service.create(nameless()).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.account, first.account);
    let other = v1::CreateAccountRequest { customer_id: "customer-2".to_owned(), ..nameless() };
    let refusal = service.create(other).await.refused(ErrorReason::IdempotencyKeyReused);
    assert_eq!((refusal.detail("idempotency_key"), refusal.detail("field")), ("signup-7", "customer_id"));
    let refusal = service.create(account("")).await.refused(ErrorReason::FieldRequired);
    assert_eq!(refusal.field(), "idempotency_key");
}

async fn all_faults_of_a_create_are_told_at_once(service: &Service) {
    let request = v1::CreateAccountRequest {
        account_id: "a b".to_owned(),
        customer_id: String::new(),
        display_name: "x".repeat(201),
        currency_code: "XXY".to_owned(),
        time_zone: "Europe/Moskau".to_owned(),
        locale: "not a locale".to_owned(),
        billing_mode: 7,
        credit_limit: money("-1"),
        payment_terms_days: Some(366),
        metadata: (0..65).map(|n| (n.to_string(), String::new())).collect(),
        idempotency_key: "with space".to_owned(),
        billing_details: Some(v1::BillingDetails { country: "Russia".to_owned(), ..v1::BillingDetails::default() }),
        ..v1::CreateAccountRequest::default()
    };
    let refusal = service.create(request).await.refused(ErrorReason::IdMalformed);
    let expected = [
        ("account_id", "ID_MALFORMED"),
        ("customer_id", "FIELD_REQUIRED"),
        ("display_name", "FIELD_TOO_LONG"),
        ("currency_code", "CURRENCY_UNKNOWN"),
        ("time_zone", "TIME_ZONE_UNKNOWN"),
        ("locale", "LOCALE_UNKNOWN"),
        ("billing_mode", "ENUM_VALUE_UNKNOWN"),
        ("credit_limit.value", "FIELD_OUT_OF_RANGE"),
        ("payment_terms_days", "FIELD_OUT_OF_RANGE"),
        ("billing_details.country", "FIELD_MALFORMED"),
        ("metadata", "METADATA_TOO_LARGE"),
        ("idempotency_key", "IDEMPOTENCY_KEY_MALFORMED"),
    ];
    assert_eq!(refusal.fields(), expected);
}

async fn an_account_that_does_not_exist_is_not_found(service: &Service) {
    let refusal = service.account("nobody").await.refused(ErrorReason::AccountNotFound);
    assert_eq!(refusal.detail("account_id"), "nobody");
    assert_eq!(refusal.details.resource_info().unwrap().resource_type, "billing.v1.Account");
    service.update(limit("nobody", "1")).await.refused(ErrorReason::AccountNotFound);
    service.close("nobody").await.refused(ErrorReason::AccountNotFound);
    service.account("no body").await.refused(ErrorReason::IdMalformed);
    service.account("").await.refused(ErrorReason::FieldRequired);
}

async fn an_update_changes_the_fields_of_its_mask_and_no_others(service: &Service) {
    let before = service.create(full_request()).await.unwrap().account.unwrap();
    service.clock.advance(hours(1));
    let wishes = v1::Account {
        display_name: "New".to_owned(),
        time_zone: "Asia/Tokyo".to_owned(),
        locale: "ja".to_owned(),
        metadata: HashMap::from([("crm".to_owned(), "43".to_owned())]),
        ..v1::Account::default()
    };
    let changed = service.update(update("acme-1", &["display_name", "metadata", "payment_terms_days"], wishes)).await;
    let changed = changed.unwrap();
    assert!(!changed.replayed);
    let after = changed.account.unwrap();
    let expected = v1::Account {
        display_name: "New".to_owned(),
        metadata: HashMap::from([("crm".to_owned(), "43".to_owned())]),
        payment_terms_days: None,
        update_time: after.update_time,
        etag: after.etag.clone(),
        ..before.clone()
    };
    assert_eq!(after, expected);
    assert_ne!(after.etag, before.etag);
    assert!(after.update_time.unwrap().seconds > before.update_time.unwrap().seconds);
    assert_eq!(service.account("acme-1").await.unwrap(), after);
}

async fn an_update_without_a_mask_changes_what_is_set(service: &Service) {
    service.create(full_request()).await.unwrap();
    let wishes = v1::Account { locale: "en".to_owned(), credit_limit: money("2000"), ..v1::Account::default() };
    let request = v1::UpdateAccountRequest { update_mask: None, ..update("acme-1", &[], wishes) };
    let after = service.update(request).await.unwrap().account.unwrap();
    assert_eq!((after.locale.as_str(), value(&after.credit_limit)), ("en", "2000.00"));
    assert_eq!((after.display_name.as_str(), after.payment_terms_days), ("Ромашка", Some(14)));
}

async fn an_update_can_reach_into_billing_details(service: &Service) {
    service.create(full_request()).await.unwrap();
    let wishes = |details: v1::BillingDetails| v1::Account { billing_details: Some(details), ..v1::Account::default() };
    let email = v1::BillingDetails { email: "new@romashka.example".to_owned(), ..v1::BillingDetails::default() };
    let request = v1::UpdateAccountRequest {
        idempotency_key: "new-email".to_owned(),
        ..update("acme-1", &["billing_details.email"], wishes(email.clone()))
    };
    let after = service.update(request.clone()).await.unwrap().account.unwrap();
    assert_eq!(after.billing_details, Some(v1::BillingDetails { email: email.email.clone(), ..details() }));
    let whole = update("acme-1", &["billing_details"], wishes(email.clone()));
    let after = service.update(whole).await.unwrap().account.unwrap();
    assert_eq!(after.billing_details, Some(email));
    let nothing = update("acme-1", &["billing_details"], v1::Account::default());
    let after = service.update(nothing).await.unwrap().account.unwrap();
    assert_eq!(after.billing_details, None);
    // What was asked for is the e-mail alone, whatever the other details are by now.
    assert!(service.update(request).await.unwrap().replayed);
}

async fn an_update_names_fields_that_exist_and_may_change(service: &Service) {
    service.open("acme-1").await;
    for path in ["colour", "billing_details.colour", "display_name.x", ""] {
        let refusal = service.update(update("acme-1", &[path], v1::Account::default())).await;
        assert_eq!(refusal.refused(ErrorReason::UpdateMaskInvalid).detail("path"), path);
    }
    for path in ["account_id", "customer_id", "currency_code", "state", "create_time", "etag"] {
        let refusal = service.update(update("acme-1", &[path], v1::Account::default())).await;
        refusal.refused(ErrorReason::FieldImmutable);
    }
    let other_id = v1::Account { account_id: "acme-2".to_owned(), ..v1::Account::default() };
    let refusal = service.update(update("acme-1", &["display_name"], other_id)).await;
    let refusal = refusal.refused(ErrorReason::FieldConflict);
    assert_eq!(refusal.detail("field"), "account.account_id");
    let dear = v1::Account { credit_limit: money_in("1", "EUR"), ..v1::Account::default() };
    let refusal = service.update(update("acme-1", &["credit_limit"], dear)).await;
    let refusal = refusal.refused(ErrorReason::CurrencyMismatch);
    assert_eq!((refusal.detail("expected"), refusal.detail("found")), ("RUB", "EUR"));
}

async fn an_update_of_another_version_is_refused(service: &Service) {
    let first = service.open("acme-1").await.etag;
    let guarded =
        |etag: &str, value: &str| v1::UpdateAccountRequest { etag: etag.to_owned(), ..limit("acme-1", value) };
    let second = service.update(guarded(&first, "10")).await.unwrap().account.unwrap().etag;
    let refusal = service.update(guarded(&first, "20")).await.refused(ErrorReason::EtagMismatch);
    assert_eq!(refusal.detail("etag"), second);
    service.update(guarded(&second, "30")).await.unwrap();
    assert_eq!(value(&service.account("acme-1").await.unwrap().credit_limit), "30.00");
}

async fn a_repeated_update_is_a_replay(service: &Service) {
    service.open("acme-1").await;
    let keyed = |value: &str| v1::UpdateAccountRequest { idempotency_key: "up-1".to_owned(), ..limit("acme-1", value) };
    let first = service.update(keyed("10")).await.unwrap();
    service.update(limit("acme-1", "99")).await.unwrap();
    let again = service.update(keyed("10.00")).await.unwrap();
    assert!(again.replayed);
    assert_eq!((again.account, again.position), (first.account, first.position));
    let refusal = service.update(keyed("11")).await.refused(ErrorReason::IdempotencyKeyReused);
    assert_eq!((refusal.detail("idempotency_key"), refusal.detail("field")), ("up-1", "credit_limit"));
    assert_eq!(value(&service.account("acme-1").await.unwrap().credit_limit), "99.00");
}

async fn entries_leave_the_version_of_an_account_alone(service: &Service) {
    let before = service.open("acme-1").await;
    service.post(payment("acme-1", "100")).await.unwrap();
    service.hold(hold("acme-1", "h", "10")).await.unwrap();
    assert_eq!(service.account("acme-1").await.unwrap(), before);
}

async fn a_limit_is_not_lowered_below_its_use_unless_it_is_meant(service: &Service) {
    service.open("acme-1").await;
    service.update(limit("acme-1", "100")).await.unwrap();
    service.post(charge("acme-1", "60")).await.unwrap();
    let refusal = service.update(limit("acme-1", "59.99")).await.refused(ErrorReason::LimitBelowUse);
    assert_eq!(refusal.detail("used"), "60.00");
    service.update(limit("acme-1", "60")).await.unwrap();
    assert_eq!(figures(&service.balance("acme-1").await), ["-60.00", "0.00", "0.00"]);
    service.update(v1::UpdateAccountRequest { allow_below_use: true, ..limit("acme-1", "10") }).await.unwrap();
    assert_eq!(figures(&service.balance("acme-1").await), ["-60.00", "0.00", "-50.00"]);
    service.update(limit("acme-1", "20")).await.expect("raising a limit is never refused");
}

async fn accounts_are_listed_by_id_over_all_partitions(service: &Service) {
    let mut expected: Vec<String> = (0..25).map(|n| format!("acme-{n:02}")).collect();
    for id in expected.iter().rev() {
        service.open(id).await;
    }
    service.open("Acme").await;
    service.open("acme-").await;
    expected.splice(0..0, ["Acme".to_owned(), "acme-".to_owned()]);
    let mut listed = Vec::new();
    let mut page_token = String::new();
    loop {
        let page = list(service, v1::ListAccountsRequest { page_size: 4, page_token, ..Default::default() }).await;
        let page = page.unwrap();
        assert!(page.accounts.len() <= 4);
        listed.extend(page.accounts.into_iter().map(|account| account.account_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(listed, expected, "in the order of bytes, whatever the locale of the database");
    assert_eq!(ids(service, v1::ListAccountsRequest::default()).await, expected);
    for size in [-1, 1001] {
        let refusal = list(service, v1::ListAccountsRequest { page_size: size, ..Default::default() }).await;
        assert_eq!(refusal.refused(ErrorReason::FieldOutOfRange).field(), "page_size");
    }
}

async fn accounts_are_found_by_what_they_are(service: &Service) {
    service.create(full_request()).await.unwrap();
    service
        .create(v1::CreateAccountRequest { customer_id: "customer-2".to_owned(), ..account("beta-1") })
        .await
        .unwrap();
    service
        .create(v1::CreateAccountRequest { display_name: "50% off_er".to_owned(), ..account("beta-2") })
        .await
        .unwrap();
    service.close("beta-2").await.unwrap();
    let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let text = |text: &str| v1::ListAccountsRequest { text: text.to_owned(), ..Default::default() };
    for (request, expected) in [
        (v1::ListAccountsRequest { customer_id: "customer-1".to_owned(), ..Default::default() }, "acme-1 beta-2"),
        (v1::ListAccountsRequest { state: v1::AccountState::Closed.into(), ..Default::default() }, "beta-2"),
        (v1::ListAccountsRequest { state: v1::AccountState::Active.into(), ..Default::default() }, "acme-1 beta-1"),
        (v1::ListAccountsRequest { metadata: pairs(&[("crm", "42")]), ..Default::default() }, "acme-1"),
        (v1::ListAccountsRequest { metadata: pairs(&[("crm", "42"), ("segment", "b2c")]), ..Default::default() }, ""),
        (
            v1::ListAccountsRequest { access_state: v1::AccessState::Allowed.into(), ..Default::default() },
            "acme-1 beta-1 beta-2",
        ),
        (v1::ListAccountsRequest { access_state: v1::AccessState::Suspended.into(), ..Default::default() }, ""),
        (v1::ListAccountsRequest { policy_id: "gold".to_owned(), ..Default::default() }, ""),
        (text("BETA"), "beta-1 beta-2"),
        (text("ромашка"), "acme-1"),
        (text("ООО"), "acme-1"),
        (text("50% off_"), "beta-2"),
        (text("%"), "beta-2"),
        (text("_"), "beta-2"),
    ] {
        assert_eq!(ids(service, request.clone()).await.join(" "), expected, "{request:?}");
    }
}

async fn accounts_are_found_by_their_debt(service: &Service) {
    service.open("debtor").await;
    service.post(charge("debtor", "5")).await.unwrap();
    service.open_with("payer", "5").await;
    service
        .create(v1::CreateAccountRequest { billing_mode: v1::BillingMode::Postpaid.into(), ..account("later") })
        .await
        .unwrap();
    service.post(charge("later", "5")).await.unwrap();
    let with = |has_debt: bool| v1::ListAccountsRequest { has_debt: Some(has_debt), ..Default::default() };
    assert_eq!(ids(service, with(true)).await, ["debtor"]);
    assert_eq!(ids(service, with(false)).await, ["later", "payer"]);
}

async fn a_page_token_leads_on_in_its_own_list_only(service: &Service) {
    for id in ["a", "b", "c"] {
        service.open(id).await;
    }
    let first = v1::ListAccountsRequest { page_size: 1, ..Default::default() };
    let page_token = list(service, first.clone()).await.unwrap().next_page_token;
    let other_size = v1::ListAccountsRequest { page_size: 2, page_token: page_token.clone(), ..Default::default() };
    assert_eq!(ids(service, other_size).await, ["b", "c"]);
    let other_filter = v1::ListAccountsRequest {
        customer_id: "customer-1".to_owned(),
        page_token: page_token.clone(),
        ..first.clone()
    };
    let damaged = v1::ListAccountsRequest { page_token: format!("x{page_token}"), ..first.clone() };
    let made_up = v1::ListAccountsRequest { page_token: "2".to_owned(), ..first };
    for request in [other_filter, damaged, made_up] {
        list(service, request).await.refused(ErrorReason::PageTokenInvalid);
    }
}

async fn pages_stay_stable_while_accounts_are_opened(service: &Service) {
    for id in ["b", "d", "f", "h"] {
        service.open(id).await;
    }
    let page = list(service, v1::ListAccountsRequest { page_size: 2, ..Default::default() }).await.unwrap();
    for id in ["a", "e", "z"] {
        service.open(id).await;
    }
    let rest = v1::ListAccountsRequest { page_token: page.next_page_token, ..Default::default() };
    assert_eq!(ids(service, rest).await, ["e", "f", "h", "z"], "nothing twice, and nothing left out");
}

async fn a_closed_account_can_be_read_and_nothing_else(service: &Service) {
    service.open_with("acme-1", "10").await;
    service.post(charge("acme-1", "10")).await.unwrap();
    let request = close("acme-1");
    let closed = answer(service.accounts().close_account(request.clone()).await).unwrap();
    assert_eq!(closed.account.as_ref().unwrap().state(), v1::AccountState::Closed);
    let again = answer(service.accounts().close_account(request).await).unwrap();
    assert!(again.replayed);
    assert_eq!((&again.account, &again.position), (&closed.account, &closed.position));

    let refusal = service.close("acme-1").await.refused(ErrorReason::AccountClosed);
    assert_eq!(refusal.detail("account_id"), "acme-1");
    service.post(payment("acme-1", "1")).await.refused(ErrorReason::AccountClosed);
    service.hold(hold("acme-1", "h", "1")).await.refused(ErrorReason::AccountClosed);
    service.update(limit("acme-1", "1")).await.refused(ErrorReason::AccountClosed);
    assert_eq!(service.account("acme-1").await.unwrap(), closed.account.unwrap());
    assert_eq!(figures(&service.balance("acme-1").await), ["0.00", "0.00", "0.00"]);
    assert_eq!(all_entries(&mut service.ledger(), "acme-1").await.len(), 2);
}

async fn everything_that_stands_against_closing_is_told_at_once(service: &Service) {
    service.open_with("acme-1", "10").await;
    service.hold(hold("acme-1", "h", "4")).await.unwrap();
    let refusal = service.close("acme-1").await.refused(ErrorReason::AccountNotClosable);
    assert_eq!(refusal.detail("account_id"), "acme-1");
    let failure = refusal.details.precondition_failure().unwrap();
    let obstacles: Vec<_> = failure.violations.iter().map(|one| one.r#type.as_str()).collect();
    assert_eq!(obstacles, ["BALANCE_NOT_ZERO", "HOLDS_OPEN"]);
    assert_eq!(service.account("acme-1").await.unwrap().state(), v1::AccountState::Active);
    // The hold ends by its time alone; then the balance alone is in the way.
    service.clock.advance(hours(2));
    let refusal = service.close("acme-1").await.refused(ErrorReason::AccountNotClosable);
    let failure = refusal.details.precondition_failure().unwrap();
    let obstacles: Vec<_> = failure.violations.iter().map(|one| one.r#type.as_str()).collect();
    assert_eq!(obstacles, ["BALANCE_NOT_ZERO"]);
}

async fn a_residue_below_the_minor_unit_is_posted_away(service: &Service) {
    service.open_with("acme-1", "10").await;
    service.post(charge("acme-1", "9.990001")).await.unwrap();
    let closed = service.close("acme-1").await.unwrap();
    assert!(!closed.replayed);
    let entries = all_entries(&mut service.ledger(), "acme-1").await;
    let last = entries.last().unwrap();
    assert_eq!((last.kind(), value(&last.amount)), (v1::EntryKind::AdjustmentDebit, "-0.009999"));
    assert_eq!((last.category.as_str(), last.counter_account.as_str()), ("rounding", "adjustment"));
    assert_eq!(last.idempotency_key, "", "the service itself posted it");
    assert_eq!(figures(&service.balance("acme-1").await), ["0.00", "0.00", "0.00"]);
    service.open_with("acme-2", "0.01").await;
    service.close("acme-2").await.refused(ErrorReason::AccountNotClosable);
    service.post(charge("acme-2", "0.01")).await.unwrap();
    service.post(charge("acme-2", "0.000001")).await.unwrap();
    service.close("acme-2").await.unwrap();
}

async fn a_closed_account_can_be_reopened(service: &Service) {
    service.open("acme-1").await;
    let refusal = answer(service.accounts().reopen_account(reopen("acme-1")).await);
    assert_eq!(refusal.refused(ErrorReason::AccountNotClosed).detail("account_id"), "acme-1");
    let etag = service.close("acme-1").await.unwrap().account.unwrap().etag;
    let stale = v1::ReopenAccountRequest { etag: "v999".to_owned(), ..reopen("acme-1") };
    answer(service.accounts().reopen_account(stale).await).refused(ErrorReason::EtagMismatch);
    let request = v1::ReopenAccountRequest { etag, ..reopen("acme-1") };
    let opened = answer(service.accounts().reopen_account(request.clone()).await).unwrap();
    assert_eq!(opened.account.unwrap().state(), v1::AccountState::Active);
    service.post(payment("acme-1", "1")).await.unwrap();
    assert!(answer(service.accounts().reopen_account(request.clone()).await).unwrap().replayed);
    let other = v1::ReopenAccountRequest { reason: "another one".to_owned(), ..request };
    let reused = answer(service.accounts().reopen_account(other).await).refused(ErrorReason::IdempotencyKeyReused);
    assert_eq!(reused.detail("field"), "reason");
}

async fn erased_texts_are_gone_and_the_chain_still_holds(service: &Service) {
    service.create(full_request()).await.unwrap();
    let text = v1::PostRequest {
        description: "Ivan Petrov".to_owned(),
        reference: "passport 4509".to_owned(),
        metadata: HashMap::from([("phone".to_owned(), "+7 900".to_owned())]),
        category: "internet".to_owned(),
        ..bonus("acme-1", "10")
    };
    service.post(text).await.unwrap();
    let spoken = v1::PlaceHoldRequest { description: "for Ivan".to_owned(), ..hold("acme-1", "h", "5") };
    service.hold(spoken).await.unwrap();
    service.clock.advance(hours(2));
    service.post(charge("acme-1", "10")).await.unwrap();
    answer(service.accounts().anonymize_account(anonymize("acme-1")).await).refused(ErrorReason::AccountNotClosed);
    service.close("acme-1").await.unwrap();
    let stale = v1::AnonymizeAccountRequest { etag: "v999".to_owned(), ..anonymize("acme-1") };
    answer(service.accounts().anonymize_account(stale).await).refused(ErrorReason::EtagMismatch);
    let request = v1::AnonymizeAccountRequest { reason: "asked for in letter 7".to_owned(), ..anonymize("acme-1") };
    let erased = answer(service.accounts().anonymize_account(request.clone()).await).unwrap();
    let account = erased.account.unwrap();
    assert!(account.anonymize_time.is_some());
    assert_eq!((account.display_name.as_str(), account.billing_details.clone()), ("", None));
    assert!(account.metadata.is_empty());
    assert_eq!(account.customer_id, "customer-1");
    assert_eq!(service.account("acme-1").await.unwrap(), account);
    assert!(answer(service.accounts().anonymize_account(request).await).unwrap().replayed);

    let entries = all_entries(&mut service.ledger(), "acme-1").await;
    let first = entries.first().unwrap();
    assert!(first.texts_erased);
    assert_eq!((first.description.as_str(), first.reference.as_str(), first.metadata.len()), ("", "", 0));
    assert_eq!((first.category.as_str(), value(&first.amount)), ("internet", "10.00"));
    assert_eq!(service.read_hold("acme-1", "h").await.unwrap().description, "");
    let (violations, summary) = verify(&mut service.ledger(), "").await;
    assert_eq!(violations, []);
    assert!(summary.erased_rows > 0, "{summary:?}");
    assert_eq!(
        ids(service, v1::ListAccountsRequest { text: "ромашка".to_owned(), ..Default::default() }).await,
        [""; 0]
    );
}

async fn an_erased_account_takes_nothing_any_more(service: &Service) {
    service.open("acme-1").await;
    let spoken = v1::PostRequest { description: "Ivan Petrov".to_owned(), ..payment("acme-1", "10") };
    service.post(spoken.clone()).await.unwrap();
    let plain = charge("acme-1", "10");
    service.post(plain.clone()).await.unwrap();
    service.close("acme-1").await.unwrap();
    answer(service.accounts().anonymize_account(anonymize("acme-1")).await).unwrap();
    let refusal = service.post(payment("acme-1", "1")).await.refused(ErrorReason::AccountAnonymized);
    assert_eq!(refusal.detail("account_id"), "acme-1");
    answer(service.accounts().anonymize_account(anonymize("acme-1")).await).refused(ErrorReason::AccountAnonymized);
    answer(service.accounts().reopen_account(reopen("acme-1")).await).refused(ErrorReason::AccountAnonymized);
    service.update(limit("acme-1", "1")).await.refused(ErrorReason::AccountAnonymized);
    assert!(service.post(plain).await.unwrap().replayed, "what has no texts can still be compared");
    service.post(spoken).await.refused(ErrorReason::AccountAnonymized);
}
