//! Lists: page by page, or all of them as a stream.

use std::future::Future;

use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};

use crate::error::{Error, Malformed};
use crate::wire::non_empty;

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Hand it to the same request to get the next page. Absent: this is the last one.
    pub next_page_token: Option<String>,
}

impl<T> Page<T> {
    pub(crate) fn read<W>(items: Vec<W>, next_page_token: String) -> Result<Self, Error>
    where
        T: TryFrom<W, Error = Malformed>,
    {
        let items = items.into_iter().map(T::try_from).collect::<Result<_, _>>()?;
        Ok(Self { items, next_page_token: non_empty(next_page_token) })
    }
}

/// The items of all pages; `fetch` gets the token of the page, which is absent for the first.
pub(crate) fn walk<T, F, Fut>(fetch: F) -> BoxStream<'static, Result<T, Error>>
where
    T: Send + 'static,
    F: Fn(Option<String>) -> Fut + Send + 'static,
    Fut: Future<Output = Result<Page<T>, Error>> + Send + 'static,
{
    let pages = stream::try_unfold(Some(None), move |token: Option<Option<String>>| {
        let page = token.map(&fetch);
        async move {
            let Some(page) = page else { return Ok::<_, Error>(None) };
            let Page { items, next_page_token } = page.await?;
            Ok(Some((stream::iter(items.into_iter().map(Ok)), next_page_token.map(Some))))
        }
    });
    pages.try_flatten().boxed()
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use futures_util::TryStreamExt as _;

    use super::{Page, walk};
    use crate::error::Error;

    #[tokio::test]
    async fn all_pages_are_walked_in_order() {
        let walked = walk(|token| {
            let first = token.map_or(0, |token| token.parse().unwrap_or(0));
            // The second page is empty, as pages may be.
            let items = if first == 1 { vec![] } else { vec![first * 10, first * 10 + 1] };
            let next_page_token = (first < 2).then(|| (first + 1).to_string());
            ready(Ok(Page { items, next_page_token }))
        });
        let items: Result<Vec<u32>, Error> = walked.try_collect().await;
        assert_eq!(items.ok(), Some(vec![0, 1, 20, 21]));
    }

    #[tokio::test]
    async fn a_failing_page_ends_the_walk() {
        let walked = walk(|_| ready(Err::<Page<u8>, _>(Error::transport("gone"))));
        assert!(matches!(walked.try_collect::<Vec<_>>().await, Err(Error::Transport { .. })));
    }
}
