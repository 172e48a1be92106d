//! How a client is configured.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Endpoint;
#[cfg(feature = "tls")]
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::client::{Client, Shared};
use crate::connections::Connections;
use crate::error::Error;
use crate::retry::RetryPolicy;

/// The deadline of a call unless another one is set: that of the service.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);
/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection with open streams is probed so often, so that a half-open one is noticed.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// A connection whose probe is not answered within this time is given up.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Configures a [`Client`]; begin with [`Client::builder`].
#[derive(Clone)]
#[must_use = "a builder does nothing until it connects"]
pub struct ClientBuilder {
    endpoints: Vec<String>,
    connections: usize,
    bearer_token: Option<String>,
    user_agent: Option<String>,
    deadline: Duration,
    retry: RetryPolicy,
    #[cfg(feature = "tls")]
    tls: Option<ClientTlsConfig>,
}

impl ClientBuilder {
    pub(crate) fn new(endpoint: String) -> Self {
        Self {
            endpoints: vec![endpoint],
            connections: 1,
            bearer_token: None,
            user_agent: None,
            deadline: DEFAULT_DEADLINE,
            retry: RetryPolicy::default(),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Adds another instance of the service. Calls take turns, and pass over an instance that does not answer.
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoints.push(endpoint.into());
        self
    }

    /// How many connections to open to each endpoint. One (the default) is enough unless it is the bottleneck.
    pub fn connections(mut self, count: usize) -> Self {
        self.connections = count.max(1);
        self
    }

    /// The API key or token that every call carries.
    pub fn bearer_token(mut self, token: impl Into<String>) -> Self {
        self.bearer_token = Some(token.into());
        self
    }

    /// The name of your program, put before the one of the client library.
    pub fn user_agent(mut self, name: impl Into<String>) -> Self {
        self.user_agent = Some(name.into());
        self
    }

    /// The time a call may take, all of its attempts together. Default: 10 seconds. The service is told what is left
    /// of it, and the client gives up when it is over.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How often and how soon failed calls are repeated.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Trusts this certificate authority (PEM) instead of those of the operating system.
    #[cfg(feature = "tls")]
    pub fn ca_certificate(mut self, pem: impl AsRef<[u8]>) -> Self {
        let tls = self.tls.take().unwrap_or_default();
        self.tls = Some(tls.ca_certificate(Certificate::from_pem(pem)));
        self
    }

    /// Shows this client certificate (PEM), and trusts the authorities named by
    /// [`ca_certificate`](Self::ca_certificate), or those of the operating system.
    #[cfg(feature = "tls")]
    pub fn client_certificate(mut self, certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        let tls = self.tls.take().unwrap_or_else(|| ClientTlsConfig::new().with_native_roots());
        self.tls = Some(tls.identity(Identity::from_pem(certificate, key)));
        self
    }

    /// The TLS settings as a whole, for what the other methods do not offer.
    #[cfg(feature = "tls")]
    pub fn tls_config(mut self, tls: ClientTlsConfig) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Connects now. Fails when no endpoint can be reached.
    pub async fn connect(self) -> Result<Client, Error> {
        let (endpoints, shared) = self.prepare()?;
        let connections = Connections::open(&endpoints).await?;
        Ok(Client::new(shared, connections))
    }

    /// Connects with the first call. Must be called within a tokio runtime.
    pub fn connect_lazy(self) -> Result<Client, Error> {
        let (endpoints, shared) = self.prepare()?;
        let connections = Connections::lazy(&endpoints);
        Ok(Client::new(shared, connections))
    }

    fn prepare(&self) -> Result<(Vec<Endpoint>, Shared), Error> {
        let mut endpoints = Vec::with_capacity(self.endpoints.len() * self.connections);
        // Endpoint by endpoint, and again for each connection: so that turns go from instance to instance.
        for _ in 0..self.connections {
            for uri in &self.endpoints {
                endpoints.push(self.prepare_endpoint(uri)?);
            }
        }
        let authorization = self.bearer_token.as_deref().map(authorization).transpose()?;
        Ok((endpoints, Shared { authorization, deadline: self.deadline, retry: Arc::new(self.retry.clone()) }))
    }

    fn prepare_endpoint(&self, uri: &str) -> Result<Endpoint, Error> {
        let problem = |error: tonic::transport::Error| Error::Configuration(format!("endpoint `{uri}`: {error}"));
        let own_name = concat!("billing-client/", env!("CARGO_PKG_VERSION"));
        let user_agent = match &self.user_agent {
            Some(name) => format!("{name} {own_name}"),
            None => own_name.to_owned(),
        };
        let endpoint = Endpoint::from_shared(uri.to_owned())
            .map_err(problem)?
            .user_agent(user_agent)
            .map_err(problem)?
            .connect_timeout(CONNECT_TIMEOUT.min(self.deadline))
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
        match endpoint.uri().scheme_str() {
            Some("http") => Ok(endpoint),
            #[cfg(feature = "tls")]
            Some("https") => {
                let tls = self.tls.clone().unwrap_or_else(|| ClientTlsConfig::new().with_native_roots());
                endpoint.tls_config(tls).map_err(problem)
            }
            #[cfg(not(feature = "tls"))]
            Some("https") => Err(Error::Configuration(format!("endpoint `{uri}` needs the feature `tls`"))),
            _ => Err(Error::Configuration(format!("endpoint `{uri}` must begin with http:// or https://"))),
        }
    }
}

impl fmt::Debug for ClientBuilder {
    /// Shows no token and no key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("endpoints", &self.endpoints)
            .field("connections", &self.connections)
            .field("has_bearer_token", &self.bearer_token.is_some())
            .field("user_agent", &self.user_agent)
            .field("deadline", &self.deadline)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

fn authorization(token: &str) -> Result<MetadataValue<Ascii>, Error> {
    let mut value: MetadataValue<Ascii> = format!("Bearer {token}")
        .parse()
        .map_err(|_| Error::Configuration("the bearer token holds characters that no header may hold".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use crate::{Client, Error};

    #[tokio::test]
    async fn what_is_configured_wrongly_is_named() {
        for builder in [
            Client::builder("ftp://localhost"),
            Client::builder("no uri at all"),
            Client::builder("http://localhost:1").bearer_token("new\nline"),
            Client::builder("http://localhost:1").user_agent("new\nline"),
        ] {
            assert!(matches!(builder.connect_lazy(), Err(Error::Configuration(_))));
        }
    }

    #[tokio::test]
    async fn a_service_that_is_away_refuses_to_connect() {
        let result = Client::builder("http://127.0.0.1:1").connect().await;
        assert!(matches!(result, Err(Error::Transport { sent: false, .. })));
    }

    #[test]
    fn the_token_is_not_shown() {
        let shown = format!("{:?}", Client::builder("http://localhost:1").bearer_token("secret-123"));
        assert!(!shown.contains("secret-123"));
    }
}
