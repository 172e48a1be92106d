//! The tower layer in front of every service: it finds out who calls, and refuses what they may not do.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::{Either, Ready, ready};
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response};
use sha2::{Digest as _, Sha256};
use tower::{Layer, Service};

use super::permissions::{self, Permission};
use super::principal::Principal;
use crate::domain::reason::{Reason, Refusal};
use crate::status;

/// Puts the [`Principal`] into the extensions of every request that may pass.
#[derive(Clone)]
pub struct AuthLayer {
    /// The digest of the static key; without one everything is permitted.
    key: Option<Arc<[u8; 32]>>,
}

impl AuthLayer {
    /// A layer that asks for this key as bearer credentials, or for none.
    pub fn new(static_key: Option<&str>) -> Self {
        Self { key: static_key.map(|key| Arc::new(digest(key))) }
    }

    /// Who calls, and whether they may call this RPC.
    ///
    /// # Errors
    /// `CREDENTIALS_MISSING`, `CREDENTIALS_INVALID`, `PERMISSION_DENIED`.
    pub fn admit(&self, path: &str, headers: &HeaderMap) -> Result<Principal, Refusal> {
        let permission = permissions::of(path);
        if permission == Some(Permission::Public) {
            return Ok(Principal::local());
        }
        let principal = match &self.key {
            None => Principal::local(),
            Some(key) => authenticate(key, headers)?,
        };
        // An RPC that does not exist is answered as such, once it is known who asks.
        if let Some(permission) = permission {
            principal.check_rpc(permission, path.trim_start_matches('/'))?;
        }
        Ok(principal)
    }
}

fn authenticate(key: &[u8; 32], headers: &HeaderMap) -> Result<Principal, Refusal> {
    let Some(given) = headers.get(AUTHORIZATION) else {
        return Err(Refusal::new(
            Reason::CredentialsMissing,
            "The call carries no credentials: send the header `authorization: Bearer <key>`.",
        ));
    };
    let bearer = given.to_str().ok().and_then(|text| text.split_once(' '));
    let token = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
    match token {
        Some(token) if is_same(&digest(token), key) => Ok(Principal::of_static_key()),
        _ => Err(Refusal::new(Reason::CredentialsInvalid, "The credentials are unknown or damaged.")),
    }
}

fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// Compares in a time that does not depend on where the first difference is.
fn is_same(given: &[u8; 32], expected: &[u8; 32]) -> bool {
    let difference = given.iter().zip(expected).fold(0_u8, |all, (given, expected)| all | (given ^ expected));
    std::hint::black_box(difference) == 0
}

/// Never shows the digest.
impl fmt::Debug for AuthLayer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AuthLayer").field("asks_for_key", &self.key.is_some()).finish()
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = AuthService<S>;

    fn layer(&self, inner: S) -> AuthService<S> {
        AuthService { layer: self.clone(), inner }
    }
}

/// A service behind the [`AuthLayer`].
#[derive(Clone, Debug)]
pub struct AuthService<S> {
    layer: AuthLayer,
    inner: S,
}

impl<S, Body, Answer> Service<Request<Body>> for AuthService<S>
where
    S: Service<Request<Body>, Response = Response<Answer>>,
    Answer: Default,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<S::Response, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        match self.layer.admit(request.uri().path(), request.headers()) {
            Ok(principal) => {
                request.extensions_mut().insert(principal);
                Either::Left(self.inner.call(request))
            }
            Err(refusal) => {
                tracing::info!(rpc = request.uri().path(), reason = refusal.reason.name(), "a call was refused");
                Either::Right(ready(Ok(status::of(&refusal).into_http())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const POST: &str = "/billing.v1.LedgerService/Post";

    fn admit(layer: &AuthLayer, path: &str, authorization: Option<&'static str>) -> Result<String, Reason> {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(AUTHORIZATION, HeaderValue::from_static(value));
        }
        layer.admit(path, &headers).map(|principal| principal.name.to_string()).map_err(|refusal| refusal.reason)
    }

    #[test]
    fn without_a_key_everybody_is_local() {
        assert_eq!(admit(&AuthLayer::new(None), POST, None), Ok("local".to_owned()));
    }

    #[test]
    fn with_a_key_the_right_bearer_passes() {
        let layer = AuthLayer::new(Some("s3cret"));
        assert_eq!(admit(&layer, POST, Some("Bearer s3cret")), Ok("static-key".to_owned()));
        assert_eq!(admit(&layer, POST, Some("bearer s3cret")), Ok("static-key".to_owned()));
        assert_eq!(admit(&layer, POST, None), Err(Reason::CredentialsMissing));
        for wrong in ["Bearer s3cre", "Bearer ", "Basic s3cret", "s3cret"] {
            assert_eq!(admit(&layer, POST, Some(wrong)), Err(Reason::CredentialsInvalid), "{wrong}");
        }
    }

    #[test]
    fn health_and_reflection_ask_for_nothing_and_unknown_rpcs_do() {
        let layer = AuthLayer::new(Some("s3cret"));
        assert!(admit(&layer, "/grpc.health.v1.Health/Check", None).is_ok());
        assert_eq!(admit(&layer, "/billing.v1.LedgerService/Nonsense", None), Err(Reason::CredentialsMissing));
    }
}
