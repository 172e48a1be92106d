//! What all typed enums and all requests have in common.

/// A typed enum of the contract. Values of later versions are kept as numbers and never fail an answer.
macro_rules! open_enum {
    ($(#[$doc:meta])* $name:ident as $prefix:literal { $($(#[$variant_doc:meta])* $variant:ident,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
            /// A value that this version of the client does not know; zero when the service said none.
            Unrecognized(i32),
        }

        impl $name {
            /// The name in the contract without its prefix. Absent for a value that is not recognized.
            pub fn name(self) -> Option<&'static str> {
                match self {
                    $($name::$variant => v1::$name::$variant.as_str_name().strip_prefix($prefix),)+
                    $name::Unrecognized(_) => None,
                }
            }

            /// The value, unless it is the zero that means "none".
            #[allow(dead_code, reason = "some enums are never optional")]
            pub(crate) fn optional(number: i32) -> Option<Self> {
                (number != 0).then(|| Self::from(number))
            }
        }

        impl From<i32> for $name {
            fn from(number: i32) -> Self {
                match v1::$name::try_from(number) {
                    $(Ok(v1::$name::$variant) => $name::$variant,)+
                    _ => $name::Unrecognized(number),
                }
            }
        }

        impl From<$name> for i32 {
            fn from(value: $name) -> i32 {
                match value {
                    $($name::$variant => v1::$name::$variant as i32,)+
                    $name::Unrecognized(number) => number,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, "UNRECOGNIZED({})", i32::from(*self)),
                }
            }
        }
    };
}

/// A request: the message of the wire, written by typed setters.
macro_rules! request {
    ($(#[$doc:meta])* $name:ident as $wire:ident { $($setter:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        #[must_use = "a request does nothing until a client sends it"]
        pub struct $name {
            pub(crate) wire: v1::$wire,
        }

        impl $name {
            $($crate::macros::setter!($setter);)*
        }

        impl From<$name> for v1::$wire {
            fn from(request: $name) -> Self {
                request.wire
            }
        }
    };
}

/// A setter that several requests have.
macro_rules! setter {
    (key) => {
        /// The idempotency key: 1 to 128 visible ASCII characters. It is kept for ever, so it must hold no personal
        /// data. A random one is made with the request, so repeating the same request (or a clone of it) is always
        /// safe; name one of your own when the wish must survive a restart of your program.
        pub fn key(mut self, key: impl Into<String>) -> Self {
            self.wire.idempotency_key = key.into();
            self
        }

        /// The idempotency key that this request carries.
        pub fn idempotency_key(&self) -> &str {
            &self.wire.idempotency_key
        }
    };
    (reason) => {
        /// Why, for the audit: at most 1000 characters.
        pub fn reason(mut self, reason: impl Into<String>) -> Self {
            self.wire.reason = reason.into();
            self
        }
    };
    (etag) => {
        /// Do it only if the account still is the version with this etag, else `ETAG_MISMATCH`.
        pub fn etag(mut self, etag: impl Into<String>) -> Self {
            self.wire.etag = etag.into();
            self
        }
    };
    (occurred_at) => {
        /// When it happened. Without it: now. At most 5 minutes ahead.
        pub fn occurred_at(mut self, instant: chrono::DateTime<chrono::Utc>) -> Self {
            self.wire.occurred_at = Some($crate::wire::to_timestamp(instant));
            self
        }
    };
    (counter_account) => {
        /// The account that takes the other side, such as `cash:bank`. Without it: the default of the kind.
        pub fn counter_account(mut self, name: impl Into<String>) -> Self {
            self.wire.counter_account = name.into();
            self
        }
    };
    (category) => {
        /// The category for analysis: at most 56 characters of `a-z 0-9 _ . : -`. It is never erased.
        pub fn category(mut self, category: impl Into<String>) -> Self {
            self.wire.category = category.into();
            self
        }
    };
    (description) => {
        /// A text for people: at most 1000 characters.
        pub fn description(mut self, description: impl Into<String>) -> Self {
            self.wire.description = description.into();
            self
        }
    };
    (reference) => {
        /// The number of an outside document, such as a payment order: at most 200 characters.
        pub fn reference(mut self, reference: impl Into<String>) -> Self {
            self.wire.reference = reference.into();
            self
        }
    };
    (tax) => {
        /// The tax that is contained in the amount.
        pub fn tax(mut self, tax: $crate::entry::Tax) -> Self {
            self.wire.tax = Some(tax.into());
            self
        }
    };
    (metadata) => {
        /// Adds one of your own pairs: at most 64, and 16 KiB of keys and values together.
        pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
            self.wire.metadata.insert(key.into(), value.into());
            self
        }
    };
    (expected_sequence) => {
        /// Do it only if the account's `entry_sequence` is this one, else `SEQUENCE_MISMATCH`.
        pub fn expected_sequence(mut self, sequence: i64) -> Self {
            self.wire.expected_sequence = Some(sequence);
            self
        }
    };
    (validate_only) => {
        /// Checks everything and answers as it would be, but writes nothing and uses up no key.
        pub fn validate_only(mut self) -> Self {
            self.wire.validate_only = true;
            self
        }
    };
    (page_size) => {
        /// The most items of a page: 1 to 1000. Without it: 50.
        pub fn page_size(mut self, size: u16) -> Self {
            self.wire.page_size = i32::from(size);
            self
        }
    };
    (page_token) => {
        /// Continues after the page that carried this token, with the same filters.
        pub fn page_token(mut self, token: impl Into<String>) -> Self {
            self.wire.page_token = token.into();
            self
        }

        /// The same list at this page; `None`: where it begins.
        pub(crate) fn at_page(self, token: Option<String>) -> Self {
            match token {
                Some(token) => self.page_token(token),
                None => self,
            }
        }
    };
}

pub(crate) use {open_enum, request, setter};
