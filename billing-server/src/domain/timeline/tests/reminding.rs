use super::*;

fn reminded(now: &str) -> Facts {
    let mut facts = account(BillingMode::Postpaid, now);
    facts.policy.remind_before_days = [7, 3, 1].into();
    facts.policy.remind_after_days = [1, 3].into();
    facts.policy.suspend_after_overdue_days = None;
    facts
}

#[test]
fn an_invoice_is_reminded_of_before_and_after_its_due_date() {
    let facts = reminded("2026-08-01").with_invoice("a", "2026-09-01", "10");
    assert_eq!(
        facts.told(),
        [
            "2026-08-25T10:00:00Z due in 7 invoice:a",
            "2026-08-29T10:00:00Z due in 3 invoice:a",
            "2026-08-31T10:00:00Z due in 1 invoice:a",
            "2026-09-02T00:00:00Z overdue invoice:a",
            "2026-09-02T10:00:00Z overdue for 1 invoice:a",
            "2026-09-04T10:00:00Z overdue for 3 invoice:a",
        ]
    );
    assert_eq!(next_step(&facts).map(|step| step.at), Some(at("2026-08-25T10:00:00Z")));
}

#[test]
fn after_an_outage_only_the_most_recent_stage_is_sent() {
    let mut facts = reminded("2026-08-01").with_invoice("a", "2026-09-01", "10");
    // Down from August 25 to September 3: three reminders and the first of being overdue were missed.
    facts.now = at("2026-09-03T12:00:00Z");
    let done: Vec<_> = run_at(&mut facts, at("2026-09-03T12:00:00Z"), true).iter().map(tell).collect();
    assert_eq!(done, ["2026-09-02T00:00:00Z overdue invoice:a", "2026-09-03T12:00:00Z overdue for 1 invoice:a"]);
    assert_eq!(facts.told(), ["2026-09-04T10:00:00Z overdue for 3 invoice:a"]);
}

#[test]
fn what_was_due_to_be_said_before_the_invoice_existed_is_not_missed() {
    let mut facts = reminded("2026-08-30T15:00:00Z").with_invoice("a", "2026-09-01", "10");
    facts.invoices.iter_mut().for_each(|invoice| invoice.since = at("2026-08-30T14:00:00Z"));
    assert_eq!(facts.told().first().unwrap(), "2026-08-31T10:00:00Z due in 1 invoice:a");
}

#[test]
fn an_edit_of_the_policy_repeats_nothing_and_a_moved_due_date_begins_anew() {
    let mut facts = reminded("2026-08-01").with_invoice("a", "2026-09-01", "10");
    run_at(&mut facts, at("2026-08-29T10:00:00Z"), true);
    facts.policy.remind_before_days = [5, 3, 2].into();
    assert_eq!(facts.told().first().unwrap(), "2026-08-30T10:00:00Z due in 2 invoice:a");
    facts.invoices.iter_mut().for_each(|invoice| invoice.due_date = date("2026-09-10"));
    assert_eq!(facts.told().first().unwrap(), "2026-09-05T10:00:00Z due in 5 invoice:a");
}

#[test]
fn a_reopened_invoice_counts_its_days_from_the_day_it_reopened() {
    let mut facts = reminded("2026-09-20T15:00:00Z").with_invoice("a", "2026-09-01", "10");
    facts.policy.suspend_after_overdue_days = Some(7);
    for invoice in &mut facts.invoices {
        (invoice.reopened, invoice.times_reopened) = (Some(date("2026-09-20")), 1);
        invoice.since = at("2026-09-20T14:00:00Z");
    }
    assert_eq!(
        facts.told(),
        [
            "2026-09-21T10:00:00Z overdue for 1 invoice:a",
            "2026-09-23T10:00:00Z overdue for 3 invoice:a",
            "2026-09-25T10:00:00Z warning 2 of 2026-09-27T00:00:00Z invoice:a",
            "2026-09-27T00:00:00Z suspend DEBT invoice:a",
        ]
    );
}

#[test]
fn days_and_times_are_those_of_the_zone() {
    for (zone, due, notify, overdue_at, reminder) in [
        ("Europe/Moscow", "2026-07-16", (10, 0), "2026-07-16T21:00:00Z", "2026-07-15T07:00:00Z"),
        ("Asia/Tokyo", "2026-07-16", (10, 0), "2026-07-16T15:00:00Z", "2026-07-15T01:00:00Z"),
        ("America/Lima", "2026-07-16", (10, 0), "2026-07-17T05:00:00Z", "2026-07-15T15:00:00Z"),
        // 02:30 is skipped on March 29: the first instant after the gap.
        ("Europe/Berlin", "2026-03-30", (2, 30), "2026-03-30T22:00:00Z", "2026-03-29T01:00:00Z"),
        // 02:30 comes twice on October 25: the first.
        ("Europe/Berlin", "2026-10-26", (2, 30), "2026-10-26T23:00:00Z", "2026-10-25T00:30:00Z"),
        // Midnight of November 4 is skipped: the day after the due date begins at 01:00.
        ("America/Sao_Paulo", "2018-11-03", (10, 0), "2018-11-04T03:00:00Z", "2018-11-02T13:00:00Z"),
        ("UTC", "2024-02-29", (0, 0), "2024-03-01T00:00:00Z", "2024-02-28T00:00:00Z"),
    ] {
        let mut facts = reminded("2018-01-01").with_invoice("a", due, "10");
        facts.zone = TimeZone::parse(zone).unwrap();
        facts.policy.remind_before_days = [1].into();
        facts.policy.remind_after_days.clear();
        facts.policy.notify_at = chrono::NaiveTime::from_hms_opt(notify.0, notify.1, 0).unwrap();
        let expected = [format!("{reminder} due in 1 invoice:a"), format!("{overdue_at} overdue invoice:a")];
        assert_eq!(facts.told(), expected, "{zone}");
    }
}

#[test]
fn a_rest_below_a_minor_unit_is_not_spoken_of() {
    let facts = reminded("2026-08-01").with_invoice("a", "2026-09-01", "0.009999");
    assert_eq!(facts.told(), ["2026-09-02T00:00:00Z overdue invoice:a"]);
}

#[test]
fn the_end_of_a_promise_is_announced_the_day_before() {
    let facts = reminded("2026-09-01T08:00:00Z").with_promise("2026-09-03", "5");
    assert_eq!(
        facts.told(),
        ["2026-09-02T10:00:00Z promise ending promise:p1", "2026-09-04T00:00:00Z promise Unused promise:p1"]
    );
    let today = reminded("2026-09-01T08:00:00Z").with_promise("2026-09-01", "5");
    assert_eq!(today.told(), ["2026-09-02T00:00:00Z promise Unused promise:p1"]);
}

#[test]
fn charges_invoices_and_waiting_are_steps() {
    let mut facts = account(BillingMode::Prepaid, "2026-08-01")
        .with_charge("tv", "2026-08-05T00:00:00Z", "30", false)
        .with_charge("net", "2026-08-06T00:00:00Z", "80", true)
        .with_charge("net", "2026-08-07T00:00:00Z", "1", true)
        .with_hold("h", "2026-08-08T00:00:00Z", "20");
    facts.amounts.posted = money("120");
    facts.charges.push(UpcomingCharge {
        collection: Collection::Invoice { terms_days: 5 },
        ..facts.charges.first().unwrap().clone()
    });
    facts.charges.iter_mut().last().unwrap().subscription_id = "phone".to_owned();
    assert_eq!(
        facts.told(),
        [
            "2026-08-04T10:00:00Z warning 2 of 2026-08-06T00:00:00Z period:net:2026-08-06",
            // Free money pays all of the invoice.
            "2026-08-05T00:00:00Z invoice due 2026-08-10 period:phone:2026-08-05",
            "2026-08-05T00:00:00Z charge period:tv:2026-08-05",
            "2026-08-06T00:00:00Z wait period:net:2026-08-06",
            "2026-08-08T00:00:00Z hold end hold:h",
        ]
    );
    // 20 more are enough for the first period as the hold ends; a later one of the subscription has waited with it.
    let topped_up = facts.paid(money("20"));
    assert_eq!(topped_up.told().last().unwrap(), "2026-08-08T00:00:00Z charge period:net:2026-08-06");
    // With 21 the later one follows it.
    let topped_up = facts.paid(money("21"));
    assert_eq!(topped_up.told().last().unwrap(), "2026-08-08T00:00:00Z charge period:net:2026-08-07");
}

#[test]
fn a_payment_charges_what_waits() {
    let mut facts = account(BillingMode::Prepaid, "2026-08-10").with_charge("net", "2026-08-06", "80", true);
    facts.charges.iter_mut().for_each(|charge| charge.is_waiting = true);
    facts.amounts.posted = money("79.99");
    assert_eq!(facts.told(), [""; 0]);
    assert_eq!(facts.paid(money("0.01")).told(), ["2026-08-10T00:00:00Z charge period:net:2026-08-06"]);
}
