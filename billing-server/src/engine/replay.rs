//! One key, one outcome: what is remembered of a key, and how a repetition is told from a reuse.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::command::{Answer, Body, Command, Outcome};
use super::record::Record;
use super::seal::keyed_digest;
use crate::domain::holds::{Expiry, HoldTexts};
use crate::domain::instant::Instant;
use crate::domain::ledger::{self, default_counter};
use crate::domain::money::Money;
use crate::domain::reason::{Reason, Refusal};
use crate::domain::record::{Details, Tax, Texts};

/// What a key has led to.
#[derive(Clone, Debug)]
pub(super) enum Remembered {
    /// It wrote these rows; its own is the first.
    Rows(Vec<Arc<Record>>),
    /// It was refused.
    Refused(Arc<(Content, Refusal)>),
}

/// What was asked: the meaning of a request, field by field; an absent field is its default and not in it.
pub(super) type Content = BTreeMap<String, String>;

/// A field of a request. What may be erased is not kept as it is.
enum Field {
    Plain(String),
    Erasable(String),
}

type Fields = Vec<(&'static str, Field)>;

/// The answer to a repetition of what is remembered, if it is one.
pub(super) fn answer(command: &Command, secret: Option<&[u8; 32]>, remembered: &Remembered) -> Answer {
    let (stored, keeps_texts) = match remembered {
        Remembered::Rows(rows) => match rows.first() {
            Some(record) => content_of_record(record),
            None => return Err(Refusal::new(Reason::Internal, "A remembered key has no row.")),
        },
        Remembered::Refused(refused) => (refused.0.clone(), false),
    };
    for (name, field) in fields(command) {
        let asked = match field {
            Field::Plain(text) => text,
            Field::Erasable(text) if text.is_empty() => text,
            Field::Erasable(text) => match secret {
                None => return Err(anonymized(&command.account_id)),
                Some(_) if keeps_texts => text,
                Some(secret) => keyed_digest(secret, &text),
            },
        };
        if stored.get(name).map_or("", String::as_str) != asked {
            return Err(reused(command, name));
        }
    }
    match remembered {
        Remembered::Rows(rows) => Ok(Outcome { rows: rows.clone(), replayed: true }),
        Remembered::Refused(refused) => Err(refused.1.clone()),
    }
}

fn anonymized(account_id: &str) -> Refusal {
    Refusal::new(
        Reason::AccountAnonymized,
        format!("Account {account_id} was anonymised: what this key was used for can no longer be compared."),
    )
    .with("account_id", account_id)
}

fn reused(command: &Command, field: &str) -> Refusal {
    let key = command.key.as_deref().unwrap_or_default();
    Refusal::new(
        Reason::IdempotencyKeyReused,
        format!("Key {key} was used before for something else: {field} differs. Use a new key for a new operation."),
    )
    .with("field", field)
    .with("idempotency_key", key)
}

/// What to store of a request, to compare repetitions with: nothing for a plain posting, whose columns tell it all.
pub(super) fn content_of_command(command: &Command, secret: Option<&[u8; 32]>) -> Content {
    let mut content = Content::new();
    for (name, field) in fields(command) {
        let value = match (field, secret) {
            (Field::Erasable(text), Some(secret)) if !text.is_empty() => keyed_digest(secret, &text),
            (Field::Erasable(_), _) => continue,
            (Field::Plain(text), _) => text,
        };
        if !value.is_empty() {
            content.insert(name.to_owned(), value);
        }
    }
    content
}

/// The first field that differs from what a row was written for, the key apart: for a repeated create without its key.
/// Of an account whose texts are erased, the account itself.
pub(super) fn difference(command: &Command, secret: Option<&[u8; 32]>, record: &Arc<Record>) -> Option<String> {
    let refusal = answer(command, secret, &Remembered::Rows(vec![Arc::clone(record)])).err()?;
    Some(refusal.metadata.get("field").cloned().unwrap_or_else(|| "account_id".to_owned()))
}

/// The content that a row was written for, and whether its texts stand in it as they are.
fn content_of_record(record: &Record) -> (Content, bool) {
    let payload = record.payload();
    if !payload.request.is_empty() {
        return (payload.request, false);
    }
    let texts = record.texts();
    let post = ledger::Post {
        kind: record.kind,
        amount: Money::from_micros(record.row.amount).abs(),
        currency: None,
        counter: record.counter.as_deref().map(str::to_owned),
        category: record.category.as_deref().map(str::to_owned),
        occurred_at: record.row.occurred_at.map(Instant::from_micros),
        invoice_id: payload.invoice_id,
        tax: payload.tax,
        texts,
        require_available: false,
        expected_sequence: None,
    };
    let mut content = Content::from([("operation".to_owned(), "post".to_owned())]);
    for (name, field) in post_fields(&post) {
        let (Field::Plain(text) | Field::Erasable(text)) = field;
        content.insert(name.to_owned(), text);
    }
    (content, true)
}

/// The fields of a request in the order in which differences are named. Guards (`require_available`,
/// `expected_sequence`, `etag`, `validate_only`) say when to write, not what: they are not part of it.
fn fields(command: &Command) -> Fields {
    let mut fields = vec![("operation", plain(command.operation()))];
    fields.extend(match &command.body {
        Body::CreateAccount(create) => create_fields(create),
        Body::UpdateAccount(update) => update_fields(update),
        Body::Post(post) => post_fields(post),
        Body::Transfer(transfer) => {
            let mut fields = vec![
                ("to_account_id", plain(&transfer.to_account_id)),
                ("amount", plain(transfer.amount)),
                ("category", optional(transfer.category.as_ref())),
                ("occurred_at", optional(transfer.occurred_at)),
            ];
            fields.extend(texts_fields(&transfer.texts));
            fields
        }
        Body::Reverse(reverse) => vec![
            ("sequence", plain(reverse.sequence)),
            ("amount", optional(reverse.amount)),
            ("cause", plain(reverse.cause)),
            ("reason", erasable(reverse.reason.as_ref())),
        ],
        Body::PlaceHold(place) => {
            let mut fields = vec![
                ("hold_id", plain(&place.hold_id)),
                ("amount", plain(place.amount)),
                ("expiry", expiry_field(place.expiry)),
                ("category", optional(place.category.as_ref())),
            ];
            fields.extend(hold_texts_fields(&place.texts));
            fields
        }
        Body::UpdateHold(update) => vec![
            ("hold_id", plain(&update.hold_id)),
            ("amount", optional(update.amount)),
            ("expiry", expiry_field(update.expiry)),
        ],
        Body::CaptureHold(capture) => {
            let mut fields = vec![
                ("hold_id", plain(&capture.hold_id)),
                ("amount", optional(capture.amount)),
                ("keep_rest", plain(if capture.keep_rest { "true" } else { "" })),
                ("counter_account", optional(capture.counter.as_ref())),
                ("category", optional(capture.category.as_ref())),
                ("occurred_at", optional(capture.occurred_at)),
                ("tax", optional(capture.tax.as_ref().map(tax_text))),
            ];
            fields.extend(texts_fields(&capture.texts));
            fields
        }
        Body::ReleaseHold { hold_id } => vec![("hold_id", plain(hold_id))],
        Body::CloseBooks { until, reason } => vec![("until_date", plain(until)), ("reason", optional(reason.as_ref()))],
        Body::CloseAccount(change) | Body::ReopenAccount(change) => vec![("reason", erasable(change.reason.as_ref()))],
        Body::AnonymizeAccount(change) => vec![("reason", optional(change.reason.as_ref()))],
        Body::Settle => Vec::new(),
    });
    fields
}

fn create_fields(create: &crate::domain::accounts::Create) -> Fields {
    let mut fields = vec![
        ("customer_id", plain(&create.customer_id)),
        ("currency_code", plain(create.currency.code())),
        ("time_zone", plain(create.time_zone.name())),
        ("locale", plain(&create.locale)),
        ("billing_mode", plain(format!("{:?}", create.billing_mode))),
        ("credit_limit", plain(create.credit_limit)),
        ("payment_terms_days", optional(create.payment_terms_days)),
        ("policy_id", optional(create.policy_id.as_ref())),
    ];
    fields.extend(details_fields(&create.details));
    fields
}

fn update_fields(update: &crate::domain::accounts::Update) -> Fields {
    let set = |text: Option<String>| text.map(|text| format!("={text}"));
    let details = Details {
        metadata: update.metadata.clone().unwrap_or_default(),
        display_name: set(update.display_name.clone().map(Option::unwrap_or_default)),
        billing_details: None,
        hold: None,
    };
    let billing = Some(&update.billing_details).filter(|change| !change.is_empty());
    let billing = billing.and_then(|change| serde_json::to_string(change).ok());
    let mut fields = vec![
        ("time_zone", optional(update.time_zone)),
        ("locale", optional(update.locale.as_ref())),
        ("billing_mode", optional(update.billing_mode.map(|mode| format!("{mode:?}")))),
        ("credit_limit", optional(update.credit_limit)),
        (
            "payment_terms_days",
            optional(set(update.payment_terms_days.map(|days| days.map_or_else(String::new, |days| days.to_string())))),
        ),
        ("policy_id", optional(set(update.policy_id.clone().map(Option::unwrap_or_default)))),
        ("metadata_set", plain(if update.metadata.is_some() { "true" } else { "" })),
        ("billing_details_set", erasable(billing.as_ref())),
    ];
    fields.extend(details_fields(&details));
    fields
}

fn post_fields(post: &ledger::Post) -> Fields {
    let counter = post.counter.clone().unwrap_or_else(|| default_counter(post.kind, post.category.as_deref()));
    let mut fields = vec![
        ("kind", plain(post.kind.name())),
        ("amount", plain(post.amount)),
        ("counter_account", plain(counter)),
        ("category", optional(post.category.as_ref())),
        ("occurred_at", optional(post.occurred_at)),
        ("invoice_id", optional(post.invoice_id.as_ref())),
        ("tax", optional(post.tax.as_ref().map(tax_text))),
    ];
    fields.extend(texts_fields(&post.texts));
    fields
}

fn texts_fields(texts: &Texts) -> Fields {
    let mut fields =
        vec![("description", erasable(texts.description.as_ref())), ("reference", erasable(texts.reference.as_ref()))];
    fields.push(("metadata", metadata_field(&texts.details.metadata)));
    fields
}

fn hold_texts_fields(texts: &HoldTexts) -> Fields {
    vec![
        ("description", erasable(texts.description.as_ref())),
        ("reference", erasable(texts.reference.as_ref())),
        ("metadata", metadata_field(&texts.metadata)),
    ]
}

fn details_fields(details: &Details) -> Fields {
    let billing = details.billing_details.as_ref().and_then(|given| serde_json::to_string(given).ok());
    vec![
        ("display_name", erasable(details.display_name.as_ref())),
        ("billing_details", erasable(billing.as_ref())),
        ("metadata", metadata_field(&details.metadata)),
    ]
}

fn metadata_field(metadata: &BTreeMap<String, String>) -> Field {
    if metadata.is_empty() {
        return Field::Erasable(String::new());
    }
    Field::Erasable(serde_json::to_string(metadata).unwrap_or_default())
}

fn tax_text(tax: &Tax) -> String {
    format!("{} {} {}", tax.code, tax.rate_percent, tax.amount)
}

fn expiry_field(expiry: Option<Expiry>) -> Field {
    optional(expiry.map(|expiry| match expiry {
        Expiry::At(at) => format!("at {at}"),
        Expiry::After(ttl) => format!("after {}.{:09}s", ttl.as_secs(), ttl.subsec_nanos()),
    }))
}

fn plain(value: impl ToString) -> Field {
    Field::Plain(value.to_string())
}

fn optional(value: Option<impl ToString>) -> Field {
    Field::Plain(value.map(|value| value.to_string()).unwrap_or_default())
}

fn erasable(text: Option<&String>) -> Field {
    Field::Erasable(text.cloned().unwrap_or_default())
}
