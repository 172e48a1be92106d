//! Reading entries: one, the list of an account, and those of all accounts.

use std::collections::BTreeSet;

use billing_proto::v1;
use billing_proto::v1::{EntryKind, EntryOrder, ErrorReason};
use tonic::Status;

use crate::harness::clock::{at, days, hours};
use crate::harness::requests::{
    account, bonus, capture, charge, entries, hold, money, money_in, payment, reversal, transfer,
};
use crate::harness::service::answer;
use crate::harness::{Refused as _, Service, on_both};

on_both![
    an_entry_is_read_by_its_sequence,
    what_is_no_entry_is_not_found,
    entries_are_listed_in_either_order,
    pages_hold_every_entry_once_while_others_are_added,
    a_page_token_leads_on_in_its_own_list_only,
    entries_are_filtered_by_what_they_are,
    texts_are_found_whatever_their_case,
    ranges_of_time_are_half_open_and_ranges_of_days_are_not,
    a_filter_is_checked,
    entries_of_all_accounts_are_found,
    finding_asks_for_at_most_a_month,
    found_pages_hold_every_entry_once,
];

fn filtered(filter: v1::EntryFilter) -> v1::ListEntriesRequest {
    v1::ListEntriesRequest { filter: Some(filter), ..entries("acme-1") }
}

async fn sequences(service: &Service, request: v1::ListEntriesRequest) -> Vec<i64> {
    let page = service.entries(request).await.unwrap();
    assert_eq!(page.next_page_token, "");
    page.entries.into_iter().map(|entry| entry.sequence).collect()
}

async fn find(service: &Service, request: v1::FindEntriesRequest) -> Result<v1::FindEntriesResponse, Status> {
    answer(service.ledger().find_entries(request).await)
}

fn booked(from: &str, to: &str) -> v1::EntryFilter {
    v1::EntryFilter { from_date: from.to_owned(), to_date: to.to_owned(), ..v1::EntryFilter::default() }
}

async fn an_entry_is_read_by_its_sequence(service: &Service) {
    service.open("acme-1").await;
    let posted = service.post(payment("acme-1", "5")).await.unwrap();
    let request = v1::GetEntryRequest { account_id: "acme-1".to_owned(), sequence: 2, min_position: posted.position };
    let read = answer(service.ledger().get_entry(request).await).unwrap();
    assert_eq!(read.entry, posted.entry);
}

async fn what_is_no_entry_is_not_found(service: &Service) {
    service.open_with("acme-1", "5").await;
    service.hold(hold("acme-1", "h", "1")).await.unwrap();
    for sequence in [1, 3, 4] {
        let refusal = service.entry("acme-1", sequence).await.refused(ErrorReason::EntryNotFound);
        assert_eq!((refusal.detail("account_id"), refusal.detail("sequence")), ("acme-1", &*sequence.to_string()));
    }
    service.entry("nobody", 1).await.refused(ErrorReason::AccountNotFound);
    service.entry("acme-1", 0).await.refused(ErrorReason::FieldRequired);
    service.entry("acme-1", -1).await.refused(ErrorReason::FieldOutOfRange);
}

async fn entries_are_listed_in_either_order(service: &Service) {
    service.open("acme-1").await;
    for n in 1..=5 {
        service.post(payment("acme-1", &n.to_string())).await.unwrap();
    }
    assert_eq!(sequences(service, entries("acme-1")).await, [2, 3, 4, 5, 6]);
    let newest = v1::ListEntriesRequest { order: EntryOrder::NewestFirst.into(), ..entries("acme-1") };
    assert_eq!(sequences(service, newest).await, [6, 5, 4, 3, 2]);
    let unspecified = v1::ListEntriesRequest { order: 0, ..entries("acme-1") };
    assert_eq!(sequences(service, unspecified).await, [6, 5, 4, 3, 2]);
    service.open("empty").await;
    assert_eq!(sequences(service, entries("empty")).await, [0; 0]);
    service.entries(entries("nobody")).await.refused(ErrorReason::AccountNotFound);
    let unknown = v1::ListEntriesRequest { order: 7, ..entries("acme-1") };
    assert_eq!(service.entries(unknown).await.refused(ErrorReason::EnumValueUnknown).field(), "order");
}

async fn pages_hold_every_entry_once_while_others_are_added(service: &Service) {
    service.open("acme-1").await;
    for n in 1..=30 {
        service.post(payment("acme-1", &n.to_string())).await.unwrap();
        if n % 3 == 0 {
            service.hold(hold("acme-1", &format!("h{n}"), "1")).await.unwrap();
        }
    }
    for order in [EntryOrder::OldestFirst, EntryOrder::NewestFirst] {
        let before: BTreeSet<i64> = crate::harness::ledger::all_entries(&mut service.ledger(), "acme-1")
            .await
            .into_iter()
            .map(|entry| entry.sequence)
            .collect();
        let mut seen = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = v1::ListEntriesRequest { order: order.into(), page_size: 7, page_token, ..entries("acme-1") };
            let page = service.entries(request).await.unwrap();
            assert!(page.entries.len() <= 7);
            seen.extend(page.entries.into_iter().map(|entry| entry.sequence));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
            // Only while there is an end to reach: each page is followed by one new entry.
            service.post(payment("acme-1", "1")).await.unwrap();
        }
        let unique: BTreeSet<i64> = seen.iter().copied().collect();
        assert_eq!(unique.len(), seen.len(), "nothing twice");
        assert!(unique.is_superset(&before), "and nothing left out");
        let sorted = if order == EntryOrder::OldestFirst { seen.is_sorted() } else { seen.iter().rev().is_sorted() };
        assert!(sorted);
    }
}

async fn a_page_token_leads_on_in_its_own_list_only(service: &Service) {
    service.open("acme-1").await;
    service.open("acme-2").await;
    for _ in 0..3 {
        service.post(payment("acme-1", "1")).await.unwrap();
        service.post(payment("acme-2", "1")).await.unwrap();
    }
    let first = v1::ListEntriesRequest { page_size: 1, ..entries("acme-1") };
    let page_token = service.entries(first.clone()).await.unwrap().next_page_token;
    let next = v1::ListEntriesRequest { page_token: page_token.clone(), ..first.clone() };
    service.entries(next.clone()).await.unwrap();
    for wrong in [
        v1::ListEntriesRequest { account_id: "acme-2".to_owned(), ..next.clone() },
        v1::ListEntriesRequest { order: EntryOrder::NewestFirst.into(), ..next.clone() },
        v1::ListEntriesRequest {
            filter: Some(v1::EntryFilter { text: "x".to_owned(), ..Default::default() }),
            ..next.clone()
        },
        v1::ListEntriesRequest { page_token: "AAAA".to_owned(), ..next },
    ] {
        service.entries(wrong).await.refused(ErrorReason::PageTokenInvalid);
    }
    for page_size in [-1, 1001] {
        let refusal = service.entries(v1::ListEntriesRequest { page_size, ..first.clone() }).await;
        let refusal = refusal.refused(ErrorReason::FieldOutOfRange);
        assert_eq!((refusal.field(), refusal.detail("max")), ("page_size", "1000"));
    }
}

async fn entries_are_filtered_by_what_they_are(service: &Service) {
    service.open("acme-1").await;
    service.open("acme-2").await;
    service.post(payment("acme-1", "100")).await.unwrap(); // 2
    service.post(v1::PostRequest { category: "internet".to_owned(), ..charge("acme-1", "30") }).await.unwrap(); // 3
    service.post(v1::PostRequest { category: "phone".to_owned(), ..charge("acme-1", "5") }).await.unwrap(); // 4
    service.post(v1::PostRequest { invoice_id: "inv-1".to_owned(), ..payment("acme-1", "50") }).await.unwrap(); // 5
    service.hold(hold("acme-1", "h", "10")).await.unwrap(); // 6
    service.capture(capture("acme-1", "h")).await.unwrap(); // 7
    service.transfer(transfer("acme-1", "acme-2", "20")).await.unwrap(); // 8
    service.reverse(reversal("acme-1", 3)).await.unwrap(); // 9
    service
        .post(v1::PostRequest { counter_account: "cash:till".to_owned(), ..payment("acme-1", "0.5") })
        .await
        .unwrap(); // 10
    service.post(bonus("acme-1", "5")).await.unwrap(); // 11
    let filter = v1::EntryFilter::default;
    let kinds =
        |kinds: &[EntryKind]| v1::EntryFilter { kinds: kinds.iter().map(|&kind| kind.into()).collect(), ..filter() };
    let categories = |names: &[&str]| v1::EntryFilter {
        categories: names.iter().map(|&name| name.to_owned()).collect(),
        ..filter()
    };
    let counter = |name: &str| v1::EntryFilter { counter_account: name.to_owned(), ..filter() };
    let amounts = |min: &str, max: &str| v1::EntryFilter {
        min_amount: if min.is_empty() { None } else { money(min) },
        max_amount: if max.is_empty() { None } else { money(max) },
        ..filter()
    };
    for (filter, expected) in [
        (filter(), &[2, 3, 4, 5, 7, 8, 9, 10, 11][..]),
        (kinds(&[EntryKind::Payment]), &[2, 5, 10]),
        (kinds(&[EntryKind::Charge, EntryKind::Reversal]), &[3, 4, 7, 9]),
        (kinds(&[EntryKind::Invoice]), &[]),
        (categories(&["internet"]), &[3, 9]),
        (categories(&["internet", "phone", "unheard-of"]), &[3, 4, 9]),
        (categories(&["unheard-of"]), &[]),
        (counter("cash:unspecified"), &[2, 5]),
        (counter("cash:till"), &[10]),
        (counter("cash:nowhere"), &[]),
        (amounts("30", ""), &[2, 3, 5, 9]),
        (amounts("", "5"), &[4, 10, 11]),
        (amounts("5", "30"), &[3, 4, 7, 8, 9, 11]),
        (v1::EntryFilter { invoice_id: "inv-1".to_owned(), ..filter() }, &[5]),
        (v1::EntryFilter { hold_id: "h".to_owned(), ..filter() }, &[7]),
        (v1::EntryFilter { hold_id: "g".to_owned(), ..filter() }, &[]),
        (v1::EntryFilter { categories: vec!["internet".to_owned()], ..kinds(&[EntryKind::Charge]) }, &[3]),
    ] {
        assert_eq!(sequences(service, filtered(filter.clone())).await, expected, "{filter:?}");
    }
}

async fn texts_are_found_whatever_their_case(service: &Service) {
    service.open("acme-1").await;
    for (description, reference) in
        [("Оплата Интернета", "PP-77"), ("100% discount", "a_b"), ("straße", ""), ("", "pp-78\\x")]
    {
        let text = v1::PostRequest {
            description: description.to_owned(),
            reference: reference.to_owned(),
            ..payment("acme-1", "1")
        };
        service.post(text).await.unwrap();
    }
    for (text, expected) in [
        ("pp-7", &[2, 5][..]),
        ("интернет", &[2]),
        ("DISCOUNT", &[3]),
        ("%", &[3]),
        ("_", &[3]),
        ("\\", &[5]),
        ("STRA", &[4]),
        ("nothing", &[]),
    ] {
        let filter = v1::EntryFilter { text: text.to_owned(), ..v1::EntryFilter::default() };
        assert_eq!(sequences(service, filtered(filter)).await, expected, "{text}");
    }
}

async fn ranges_of_time_are_half_open_and_ranges_of_days_are_not(service: &Service) {
    let tokyo = v1::CreateAccountRequest { time_zone: "Asia/Tokyo".to_owned(), ..account("acme-1") };
    service.create(tokyo).await.unwrap();
    let mut recorded = Vec::new();
    for day in 0..4 {
        let entry = service.post(payment("acme-1", "1")).await.unwrap().entry.unwrap();
        assert_eq!(entry.sequence, day + 2);
        recorded.push((entry.recorded_at.unwrap(), entry.booking_date));
        service.clock.advance(days(1) + hours(1));
    }
    let dates: Vec<&str> = recorded.iter().map(|(_, date)| date.as_str()).collect();
    assert_eq!(dates, ["2026-03-10", "2026-03-11", "2026-03-12", "2026-03-14"]);
    let times = |from: usize, to: usize| v1::EntryFilter {
        from_time: Some(recorded[from].0),
        to_time: Some(recorded[to].0),
        ..v1::EntryFilter::default()
    };
    for (filter, expected) in [
        (times(0, 3), &[2, 3, 4][..]),
        (times(1, 1), &[]),
        (booked("2026-03-11", "2026-03-12"), &[3, 4]),
        (booked("2026-03-11", ""), &[3, 4, 5]),
        (booked("", "2026-03-10"), &[2]),
        (booked("2026-03-13", "2026-03-13"), &[]),
    ] {
        assert_eq!(sequences(service, filtered(filter.clone())).await, expected, "{filter:?}");
    }
}

async fn a_filter_is_checked(service: &Service) {
    service.open("acme-1").await;
    let filter = v1::EntryFilter::default;
    for (filter, reason, field) in [
        (booked("2026-13-01", ""), ErrorReason::DateMalformed, "filter.from_date"),
        (booked("", "10.03.2026"), ErrorReason::DateMalformed, "filter.to_date"),
        (booked("2026-03-11", "2026-03-10"), ErrorReason::DateRangeInvalid, "filter.to_date"),
        (
            v1::EntryFilter {
                from_time: Some(at("2026-03-11T00:00:00Z")),
                to_time: Some(at("2026-03-10T00:00:00Z")),
                ..filter()
            },
            ErrorReason::DateRangeInvalid,
            "filter.to_time",
        ),
        (v1::EntryFilter { kinds: vec![99], ..filter() }, ErrorReason::EnumValueUnknown, "filter.kinds[0]"),
        (v1::EntryFilter { kinds: vec![0], ..filter() }, ErrorReason::EnumValueUnknown, "filter.kinds[0]"),
        (
            v1::EntryFilter { categories: (0..101).map(|n| format!("c{n}")).collect(), ..filter() },
            ErrorReason::TooManyItems,
            "filter.categories",
        ),
        (
            v1::EntryFilter { counter_account: "Ü".to_owned(), ..filter() },
            ErrorReason::FieldMalformed,
            "filter.counter_account",
        ),
        (
            v1::EntryFilter { min_amount: money("-1"), ..filter() },
            ErrorReason::FieldOutOfRange,
            "filter.min_amount.value",
        ),
        (
            v1::EntryFilter { max_amount: money("x"), ..filter() },
            ErrorReason::AmountMalformed,
            "filter.max_amount.value",
        ),
        (v1::EntryFilter { text: "x".repeat(201), ..filter() }, ErrorReason::FieldTooLong, "filter.text"),
        (v1::EntryFilter { hold_id: "a b".to_owned(), ..filter() }, ErrorReason::IdMalformed, "filter.hold_id"),
    ] {
        let refusal = service.entries(filtered(filter.clone())).await.refused(reason);
        assert_eq!(refusal.field(), field, "{filter:?}");
    }
    let foreign = v1::EntryFilter { min_amount: money_in("1", "EUR"), ..filter() };
    service.entries(filtered(foreign)).await.refused(ErrorReason::CurrencyMismatch);
}

async fn entries_of_all_accounts_are_found(service: &Service) {
    for n in 0..6 {
        service.open_with(&format!("acme-{n}"), &format!("{}", n + 1)).await;
        service.clock.advance(hours(1));
    }
    let euro = v1::CreateAccountRequest { currency_code: "EUR".to_owned(), ..account("euro") };
    service.create(euro).await.unwrap();
    service.post(payment("euro", "4")).await.unwrap();
    let month = || booked("2026-03-01", "2026-03-31");
    let found = |filter: v1::EntryFilter, order: EntryOrder| async move {
        let request = v1::FindEntriesRequest { filter: Some(filter), order: order.into(), ..Default::default() };
        let page = find(service, request).await.unwrap();
        assert_eq!(page.next_page_token, "");
        page.entries.into_iter().map(|entry| entry.account_id).collect::<Vec<_>>().join(" ")
    };
    let oldest = EntryOrder::OldestFirst;
    assert_eq!(found(month(), oldest).await, "acme-0 acme-1 acme-2 acme-3 acme-4 acme-5 euro");
    assert_eq!(found(month(), EntryOrder::Unspecified).await, "euro acme-5 acme-4 acme-3 acme-2 acme-1 acme-0");
    let range = |min: &str, max: &str, currency: &str| v1::EntryFilter {
        min_amount: money_in(min, currency),
        max_amount: money_in(max, currency),
        ..month()
    };
    assert_eq!(found(range("3", "5", "RUB"), oldest).await, "acme-2 acme-3 acme-4");
    assert_eq!(found(range("3", "5", "EUR"), oldest).await, "euro");
    assert_eq!(found(booked("2026-02-01", "2026-02-28"), oldest).await, "");
    let kinds = v1::EntryFilter { kinds: vec![EntryKind::Charge.into()], ..month() };
    assert_eq!(found(kinds, oldest).await, "");
    let nameless = v1::FindEntriesRequest { filter: Some(range("3", "5", "")), ..Default::default() };
    find(service, nameless).await.refused(ErrorReason::FieldRequired);
}

async fn finding_asks_for_at_most_a_month(service: &Service) {
    let with = |filter: Option<v1::EntryFilter>| v1::FindEntriesRequest { filter, ..Default::default() };
    find(service, with(None)).await.refused(ErrorReason::FieldRequired);
    for (from, to, field) in [("2026-03-01", "", "filter.to_date"), ("", "2026-03-01", "filter.from_date")] {
        let refusal = find(service, with(Some(booked(from, to)))).await.refused(ErrorReason::FieldRequired);
        assert_eq!(refusal.field(), field);
    }
    find(service, with(Some(booked("2026-03-01", "2026-03-31")))).await.unwrap();
    let refusal = find(service, with(Some(booked("2026-03-01", "2026-04-01")))).await;
    assert_eq!(refusal.refused(ErrorReason::DateRangeInvalid).detail("max_days"), "31");
    find(service, with(Some(booked("2026-03-02", "2026-03-01")))).await.refused(ErrorReason::DateRangeInvalid);
}

async fn found_pages_hold_every_entry_once(service: &Service) {
    let ids: Vec<String> = (0..5).map(|n| format!("acme-{n}")).collect();
    for id in &ids {
        service.open(id).await;
    }
    for n in 0..40_usize {
        service.post(payment(&ids[n % 5], "1")).await.unwrap();
    }
    for order in [EntryOrder::OldestFirst, EntryOrder::NewestFirst] {
        let mut seen = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = v1::FindEntriesRequest {
                filter: Some(booked("2026-03-10", "2026-03-10")),
                order: order.into(),
                page_size: 6,
                page_token,
                min_position: None,
            };
            let page = find(service, request).await.unwrap();
            seen.extend(
                page.entries.into_iter().map(|entry| {
                    (entry.recorded_at.map(|at| (at.seconds, at.nanos)), entry.account_id, entry.sequence)
                }),
            );
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        let unique: BTreeSet<_> = seen.iter().map(|(_, id, sequence)| (id.clone(), *sequence)).collect();
        assert_eq!((seen.len(), unique.len()), (40, 40));
        let times: Vec<_> = seen.iter().map(|(at, ..)| *at).collect();
        let in_order =
            if order == EntryOrder::OldestFirst { times.is_sorted() } else { times.iter().rev().is_sorted() };
        assert!(in_order, "in the order of recording: {times:?}");
    }
}
