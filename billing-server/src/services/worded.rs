//! Requests that the transport cannot read never reach a service: the answers to them are put into the words of the
//! contract here.

use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use futures_util::future::Map;
use http::{Request, Response};
use tonic::Status;
use tonic::server::NamedService;
use tower::Service;

use crate::status;

/// A service whose every refusal carries a reason.
#[derive(Clone, Debug)]
pub(super) struct Worded<S>(pub(super) S);

impl<S: NamedService> NamedService for Worded<S> {
    const NAME: &'static str = S::NAME;
}

type Outcome<Body, Error> = Result<Response<Body>, Error>;

impl<S, Body, Answer> Service<Request<Body>> for Worded<S>
where
    S: Service<Request<Body>, Response = Response<Answer>>,
    Answer: Default,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Map<S::Future, fn(Outcome<Answer, S::Error>) -> Outcome<Answer, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.0.call(request).map(|outcome| outcome.map(reword))
    }
}

/// A status stands in the headers only when nothing else is answered.
fn reword<Body: Default>(response: Response<Body>) -> Response<Body> {
    let headers = response.headers();
    if !headers.contains_key("grpc-status") || headers.contains_key("grpc-status-details-bin") {
        return response;
    }
    match Status::from_header_map(headers) {
        Some(found) if found.code() != tonic::Code::Ok => status::of_transport(found).into_http(),
        _ => response,
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt;

    use super::*;

    #[test]
    fn a_message_that_cannot_be_decoded_is_refused_with_its_reason() {
        let refused = Status::internal("failed to decode Protobuf message: invalid varint").into_http::<String>();
        let status = Status::from_header_map(reword(refused).headers());
        let info = status.as_ref().and_then(StatusExt::get_details_error_info);
        assert_eq!(info.map(|info| info.reason).as_deref(), Some("MESSAGE_MALFORMED"));
        assert_eq!(status.map(|status| status.code()), Some(tonic::Code::InvalidArgument));
    }

    #[test]
    fn other_answers_stay_as_they_are() {
        let response = Response::new("kept".to_owned());
        assert_eq!(reword(response).into_body(), "kept");
    }
}
