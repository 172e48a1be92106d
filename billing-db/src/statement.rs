//! Statements written by hand that diesel still prepares once and keeps: it never does so for `sql_query` or raw fragments.

use std::marker::PhantomData;

use diesel::QueryResult;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::query_dsl::RunQueryDsl;
use diesel::sql_types::{Array, BigInt, Binary, Integer, Nullable, SmallInt, Text};
use diesel::sqlite::Sqlite;

/// A value of a statement. The lists are PostgreSQL arrays; SQLite gets such lists as JSON text instead.
#[derive(Clone, Debug)]
pub(crate) enum Value<'a> {
    SmallInt(i16),
    Integer(i32),
    BigInt(i64),
    Text(&'a str),
    Binary(&'a [u8]),
    OwnedText(String),
    SmallInts(&'a [i16]),
    Integers(&'a [i32]),
    BigInts(&'a [i64]),
    Texts(&'a [&'a str]),
    Binaries(&'a [&'a [u8]]),
    MaybeIntegers(&'a [Option<i32>]),
    MaybeBigInts(&'a [Option<i64>]),
    MaybeTexts(&'a [Option<&'a str>]),
    MaybeBinaries(&'a [Option<&'a [u8]>]),
}

/// Names a text, so that diesel finds its prepared statement by type instead of by comparing texts.
pub(crate) trait StatementId: 'static {
    /// Whether one type always means one text.
    const FIXED: bool = true;
}

/// The name of statements whose text is put together at run time. They are not kept: there could be any number of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ByText;

impl StatementId for ByText {
    const FIXED: bool = false;
}

/// A statement whose text holds `$1`, `$2` … in the order of its values; each may stand there again after its first time.
#[derive(Clone, Debug)]
pub(crate) struct Statement<'a, Id, Row = ()> {
    sql: &'a str,
    values: &'a [Value<'a>],
    marker: PhantomData<fn() -> (Id, Row)>,
}

impl<'a, Id: StatementId, Row> Statement<'a, Id, Row> {
    /// The statement `Id` with the text `sql`, always the same for one `Id` unless it is [`ByText`].
    pub(crate) fn new(_id: Id, sql: &'a str, values: &'a [Value<'a>]) -> Self {
        Self { sql, values, marker: PhantomData }
    }
}

impl<Id: StatementId, Row: 'static> QueryId for Statement<'_, Id, Row> {
    type QueryId = (Id, PhantomData<Row>);
    const HAS_STATIC_QUERY_ID: bool = Id::FIXED;
}

impl<Id: StatementId, Row> Query for Statement<'_, Id, Row> {
    type SqlType = Row;
}

impl<Id, Row, C> RunQueryDsl<C> for Statement<'_, Id, Row> {}

macro_rules! push_scalar {
    ($pass:ident, $value:expr, $otherwise:expr) => {
        match $value {
            Value::SmallInt(v) => $pass.push_bind_param::<SmallInt, _>(v),
            Value::Integer(v) => $pass.push_bind_param::<Integer, _>(v),
            Value::BigInt(v) => $pass.push_bind_param::<BigInt, _>(v),
            Value::Text(v) => $pass.push_bind_param::<Text, str>(v),
            Value::Binary(v) => $pass.push_bind_param::<Binary, [u8]>(v),
            Value::OwnedText(v) => $pass.push_bind_param::<Text, str>(v.as_str()),
            list => $otherwise(list),
        }
    };
}

impl<Id: StatementId, Row> QueryFragment<Pg> for Statement<'_, Id, Row> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        if !Id::FIXED {
            pass.unsafe_to_cache_prepared();
        }
        for piece in Pieces::of(self.sql) {
            match piece {
                Piece::Text(text) | Piece::Again(_, text) => pass.push_sql(text),
                Piece::Value(index) => push_scalar!(pass, self.value(index)?, |list: &'b Value<'_>| match list {
                    Value::SmallInts(v) => pass.push_bind_param::<Array<SmallInt>, [i16]>(v),
                    Value::Integers(v) => pass.push_bind_param::<Array<Integer>, [i32]>(v),
                    Value::BigInts(v) => pass.push_bind_param::<Array<BigInt>, [i64]>(v),
                    Value::Texts(v) => pass.push_bind_param::<Array<Text>, [&str]>(v),
                    Value::Binaries(v) => pass.push_bind_param::<Array<Binary>, [&[u8]]>(v),
                    Value::MaybeIntegers(v) => pass.push_bind_param::<Array<Nullable<Integer>>, [Option<i32>]>(v),
                    Value::MaybeBigInts(v) => pass.push_bind_param::<Array<Nullable<BigInt>>, [Option<i64>]>(v),
                    Value::MaybeTexts(v) => pass.push_bind_param::<Array<Nullable<Text>>, [Option<&str>]>(v),
                    Value::MaybeBinaries(v) => pass.push_bind_param::<Array<Nullable<Binary>>, [Option<&[u8]>]>(v),
                    _ => Err(mistake("a value of no known type")),
                })?,
            }
        }
        Ok(())
    }
}

impl<Id: StatementId, Row> QueryFragment<Sqlite> for Statement<'_, Id, Row> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        if !Id::FIXED {
            pass.unsafe_to_cache_prepared();
        }
        for piece in Pieces::of(self.sql) {
            match piece {
                Piece::Text(text) => pass.push_sql(text),
                Piece::Again(number, _) => pass.push_sql(&format!("?{number}")),
                Piece::Value(index) => {
                    push_scalar!(pass, self.value(index)?, |_| Err(mistake("SQLite has no arrays")))?;
                }
            }
        }
        Ok(())
    }
}

impl<Id, Row> Statement<'_, Id, Row> {
    fn value(&self, index: usize) -> QueryResult<&Value<'_>> {
        self.values.get(index).ok_or_else(|| mistake("a statement has fewer values than its text names"))
    }
}

fn mistake(what: &'static str) -> diesel::result::Error {
    diesel::result::Error::QueryBuilderError(what.into())
}

/// A statement put together condition by condition.
#[derive(Clone, Debug)]
pub(crate) struct Composed<'a> {
    sql: String,
    values: Vec<Value<'a>>,
}

impl<'a> Composed<'a> {
    /// Begins with a text whose every `?` stands for the next of `values`.
    pub(crate) fn new(sql: &str, values: impl IntoIterator<Item = Value<'a>>) -> Self {
        let mut composed = Self { sql: String::new(), values: Vec::new() };
        composed.push(sql, values);
        composed
    }

    /// Adds a text whose every `?` stands for the next of `values`.
    pub(crate) fn push(&mut self, sql: &str, values: impl IntoIterator<Item = Value<'a>>) {
        let mut values = values.into_iter();
        for (i, piece) in sql.split('?').enumerate() {
            if i > 0 {
                self.values.extend(values.next());
                self.sql.push('$');
                self.sql.push_str(&self.values.len().to_string());
            }
            self.sql.push_str(piece);
        }
    }

    /// Adds a condition, when there is a value for it.
    pub(crate) fn and(&mut self, condition: &str, value: Option<Value<'a>>) {
        if value.is_some() {
            self.push(" and ", []);
            self.push(condition, value);
        }
    }

    /// The statement, whose rows are of the type `Row`.
    pub(crate) fn statement<Row>(&self) -> Statement<'_, ByText, Row> {
        Statement::new(ByText, &self.sql, &self.values)
    }
}

/// One column of some rows.
pub(crate) fn column<'a, R, T>(rows: &[&'a R], get: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(|row| get(row)).collect()
}

/// A list of numbers as the JSON text SQLite's `json_each` reads.
pub(crate) fn json_numbers(numbers: &[i64]) -> Value<'static> {
    Value::OwnedText(serde_json::Value::from(numbers).to_string())
}

/// A list of texts as the JSON text SQLite's `json_each` reads.
pub(crate) fn json_texts(texts: &[&str]) -> Value<'static> {
    Value::OwnedText(serde_json::Value::from(texts).to_string())
}

/// A piece of a statement's text.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    /// The first mention of the value of this index.
    Value(usize),
    /// A further mention of the value of this number, with the text of that mention.
    Again(usize, &'a str),
}

/// Cuts a text at its `$n`.
struct Pieces<'a> {
    rest: &'a str,
    seen: usize,
}

impl<'a> Pieces<'a> {
    fn of(sql: &'a str) -> Self {
        Self { rest: sql, seen: 0 }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let at = mention(self.rest).unwrap_or(self.rest.len());
        if at > 0 {
            let (text, rest) = self.rest.split_at(at);
            self.rest = rest;
            return Some(Piece::Text(text));
        }
        let digits = self.rest[1..].bytes().take_while(u8::is_ascii_digit).count();
        let (text, rest) = self.rest.split_at(1 + digits);
        self.rest = rest;
        let number = text[1..].parse().unwrap_or(0);
        if number == self.seen + 1 {
            self.seen = number;
            Some(Piece::Value(number - 1))
        } else {
            Some(Piece::Again(number, text))
        }
    }
}

/// Where the next `$n` begins; JSON paths have a `$` without a digit after it.
fn mention(sql: &str) -> Option<usize> {
    let bytes = sql.as_bytes();
    (0..bytes.len()).find(|&i| bytes[i] == b'$' && bytes.get(i + 1).is_some_and(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_its_values() {
        let pieces: Vec<_> = Pieces::of("a = $1 and b ->> '$.x' = $2 or $1 is $12").collect();
        assert_eq!(
            pieces,
            [
                Piece::Text("a = "),
                Piece::Value(0),
                Piece::Text(" and b ->> '$.x' = "),
                Piece::Value(1),
                Piece::Text(" or "),
                Piece::Again(1, "$1"),
                Piece::Text(" is "),
                Piece::Again(12, "$12"),
            ]
        );
    }
}
