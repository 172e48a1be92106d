//! The commands as the oracle knows them.

use billing_server::domain::instant::Instant;
use billing_server::domain::money::Money;

/// A command about an account; about no account when its id is empty.
#[derive(Clone, Debug)]
pub(crate) struct Op {
    pub(crate) account: String,
    pub(crate) key: Option<String>,
    pub(crate) act: Act,
    /// Only say what would happen.
    pub(crate) dry: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PostKind {
    Payment,
    ChargeRefund,
    Bonus,
    AdjustmentCredit,
    WriteOff,
    Charge,
    Payout,
    AdjustmentDebit,
}

impl PostKind {
    pub(crate) const fn raises(self) -> bool {
        !matches!(self, Self::Charge | Self::Payout | Self::AdjustmentDebit)
    }

    pub(crate) const fn number(self) -> i16 {
        match self {
            Self::Payment => 1,
            Self::ChargeRefund => 2,
            Self::Bonus => 3,
            Self::AdjustmentCredit => 4,
            Self::WriteOff => 5,
            Self::Charge => 6,
            Self::Payout => 7,
            Self::AdjustmentDebit => 8,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) kind: PostKind,
    pub(crate) amount: Money,
    pub(crate) currency: Option<&'static str>,
    pub(crate) counter: Option<String>,
    pub(crate) category: Option<String>,
    pub(crate) occurred_at: Option<Instant>,
    pub(crate) description: Option<String>,
    pub(crate) require_available: bool,
    pub(crate) expected_sequence: Option<i64>,
}

/// When a hold ends; the time it lives is in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expiry {
    At(Instant),
    After(i64),
}

#[derive(Clone, Debug)]
pub(crate) enum Act {
    Create {
        credit_limit: Money,
        currency: &'static str,
    },
    Limit {
        credit_limit: Money,
        allow_below_use: bool,
        etag: Option<i64>,
    },
    Close {
        etag: Option<i64>,
    },
    Reopen {
        etag: Option<i64>,
    },
    Post(Post),
    Transfer {
        to: String,
        amount: Money,
    },
    Reverse {
        sequence: i64,
        amount: Option<Money>,
        peer: Option<String>,
    },
    Place {
        hold: String,
        amount: Money,
        expiry: Option<Expiry>,
    },
    Change {
        hold: String,
        amount: Option<Money>,
        expiry: Option<Expiry>,
    },
    Capture {
        hold: String,
        amount: Option<Money>,
        keep_rest: bool,
    },
    Release {
        hold: String,
    },
    /// Up to and with a day, counted from 1970-01-01.
    CloseBooks {
        until: i64,
    },
    /// Write down what time has made true.
    Settle,
}

impl Op {
    /// The accounts it touches, its own first.
    pub(crate) fn accounts(&self) -> Vec<&str> {
        let other = match &self.act {
            Act::Transfer { to, .. } => Some(to.as_str()),
            Act::Reverse { peer, .. } => peer.as_deref(),
            _ => None,
        };
        [Some(self.account.as_str()), other].into_iter().flatten().filter(|id| !id.is_empty()).collect()
    }

    pub(super) fn scoped_key(&self) -> Option<(String, String)> {
        self.key.clone().map(|key| (self.account.clone(), key))
    }
}

impl Act {
    /// What a repetition is told from a reuse by: what is asked for, without the conditions it is asked under.
    pub(super) fn content(&self) -> String {
        match self {
            Self::Create { credit_limit, currency } => format!("create {credit_limit} {currency}"),
            Self::Limit { credit_limit, .. } => format!("limit {credit_limit}"),
            Self::Close { .. } => "close".to_owned(),
            Self::Reopen { .. } => "reopen".to_owned(),
            Self::Post(post) => post.content(),
            Self::Reverse { sequence, amount, .. } => format!("reverse {sequence} {amount:?}"),
            other => format!("{other:?}"),
        }
    }
}

impl Post {
    fn content(&self) -> String {
        let category = self.category.as_deref();
        let counter = self.counter.clone().unwrap_or_else(|| match self.kind {
            PostKind::Payment | PostKind::Payout => "cash:unspecified".to_owned(),
            PostKind::Bonus => "expense:bonus".to_owned(),
            PostKind::WriteOff => "expense:bad_debt".to_owned(),
            PostKind::AdjustmentCredit | PostKind::AdjustmentDebit => "adjustment".to_owned(),
            PostKind::Charge | PostKind::ChargeRefund => format!("revenue:{}", category.unwrap_or("other")),
        });
        let Self { kind, amount, occurred_at, description, .. } = self;
        format!("post {kind:?} {amount} {counter} {category:?} {occurred_at:?} {description:?}")
    }
}
