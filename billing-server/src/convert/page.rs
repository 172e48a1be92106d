//! Pages of lists and their tokens.
//!
//! A token is base64url of: the version of the layout, 8 bytes of the SHA-256 of what was asked for (the list, its
//! filters and order), and the place where the next page begins. Handed to another list, or to the same with other
//! filters, it is refused. It guards against mistakes, not against forgery: it opens nothing that its bearer may not list.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::violations::Violations;
use crate::domain::reason::{Reason, Refusal};

const VERSION: u8 = 1;
/// The most things on a page.
pub const MAX_SIZE: i32 = 1000;
/// How many things stand on a page when the caller does not say.
pub const DEFAULT_SIZE: usize = 50;
const HEAD: usize = 9;

/// What a list was asked for, as far as its tokens are bound to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query([u8; 8]);

impl Query {
    /// The list of that name with these filters, in a form that is the same every time.
    pub fn of(list: &str, filters: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in std::iter::once(list.as_bytes()).chain(filters.iter().copied()) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let full: [u8; 32] = hash.finalize().into();
        let mut short = [0; 8];
        short.copy_from_slice(&full[..8]);
        Self(short)
    }
}

/// Which page is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// How many things at most.
    pub size: usize,
    /// Where it begins; absent: at the beginning.
    pub cursor: Option<String>,
    query: Query,
}

impl Page {
    /// The token of a page that begins after `cursor`.
    pub fn token(&self, cursor: &str) -> String {
        let bytes = [&[VERSION], &self.query.0[..], cursor.as_bytes()].concat();
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Cuts a list that was read with one row more than the page holds, and says where the next page begins.
    pub fn cut<T>(&self, rows: &mut Vec<T>, cursor_of: impl FnOnce(&T) -> String) -> String {
        if rows.len() <= self.size {
            return String::new();
        }
        rows.truncate(self.size);
        rows.last().map(|last| self.token(&cursor_of(last))).unwrap_or_default()
    }

    /// How many rows to read: one more than the page holds, to know whether another follows.
    pub fn limit(&self) -> i64 {
        i64::try_from(self.size).unwrap_or(i64::from(MAX_SIZE)).saturating_add(1)
    }

    /// The number where it begins.
    ///
    /// # Errors
    /// `PAGE_TOKEN_INVALID`.
    pub fn number(&self) -> Result<Option<i64>, Refusal> {
        self.cursor.as_deref().map(|cursor| cursor.parse().map_err(|_| invalid())).transpose()
    }

    /// The number and the name where it begins.
    ///
    /// # Errors
    /// `PAGE_TOKEN_INVALID`.
    pub fn number_and_name(&self) -> Result<Option<(i64, String)>, Refusal> {
        let split = |cursor: &str| {
            let (number, name) = cursor.split_once('/').ok_or_else(invalid)?;
            Ok((number.parse().map_err(|_| invalid())?, name.to_owned()))
        };
        self.cursor.as_deref().map(split).transpose()
    }
}

/// The page that a request asks for.
pub fn page(violations: &mut Violations, size: i32, token: &str, query: Query) -> Page {
    let cursor = if token.is_empty() { None } else { decode(token, query) };
    if !(0..=MAX_SIZE).contains(&size) {
        violations.add_out_of_range("page_size", 1, i64::from(MAX_SIZE));
    }
    if cursor.is_none() && !token.is_empty() {
        violations.add(Reason::PageTokenInvalid, "page_token", INVALID);
    }
    let size = usize::try_from(size).ok().filter(|size| *size > 0).unwrap_or(DEFAULT_SIZE);
    Page { size, cursor, query }
}

const INVALID: &str = "page_token is the next_page_token of the same list, with the same filters and order.";

fn invalid() -> Refusal {
    Refusal::field(Reason::PageTokenInvalid, "page_token", INVALID)
}

fn decode(token: &str, query: Query) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (head, cursor) = bytes.split_at_checked(HEAD)?;
    let bound = head.split_first() == Some((&VERSION, &query.0[..]));
    bound.then(|| String::from_utf8(cursor.to_vec()).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(size: i32, token: &str, query: Query) -> Result<Page, Reason> {
        let mut violations = Violations::default();
        let page = page(&mut violations, size, token, query);
        violations.finish().map(|()| page).map_err(|refusal| refusal.reason)
    }

    #[test]
    fn a_token_leads_on_in_its_own_list_only() {
        let query = Query::of("entries", &[b"a", b"b"]);
        let token = read(0, "", query).map(|page| page.token("42")).unwrap_or_default();
        assert_eq!(read(10, &token, query).map(|page| page.number()), Ok(Ok(Some(42))));
        for other in [Query::of("entries", &[b"ab", b""]), Query::of("holds", &[b"a", b"b"])] {
            assert_eq!(read(10, &token, other), Err(Reason::PageTokenInvalid));
        }
        for bad in ["x", "!!!!", "AQ", token.get(1..).unwrap_or_default()] {
            assert_eq!(read(10, bad, query), Err(Reason::PageTokenInvalid), "{bad}");
        }
    }

    #[test]
    fn page_sizes_have_a_default_and_a_limit() {
        let query = Query::of("x", &[]);
        assert_eq!(read(0, "", query).map(|page| page.size), Ok(DEFAULT_SIZE));
        assert_eq!(read(1000, "", query).map(|page| page.size), Ok(1000));
        for size in [-1, 1001] {
            assert_eq!(read(size, "", query), Err(Reason::FieldOutOfRange));
        }
    }

    #[test]
    fn a_page_is_cut_where_the_next_begins() {
        let page = read(2, "", Query::of("x", &[]));
        let cut = |mut rows: Vec<i64>| {
            page.as_ref().map(|page| (page.cut(&mut rows, ToString::to_string) == page.token("2"), rows)).ok()
        };
        assert_eq!(cut(vec![1, 2]), Some((false, vec![1, 2])));
        assert_eq!(cut(vec![1, 2, 3]), Some((true, vec![1, 2])));
    }
}
