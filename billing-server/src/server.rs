//! The server: opens the database, starts the engine, the feed and the jobs, and serves gRPC until it is told to stop.

use std::time::Duration;

use anyhow::{Context as _, Result};
use billing_db::{Database, Options, migrate, partitions};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::transport::server::TcpIncoming;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::HealthReporter;

use crate::auth::AuthLayer;
use crate::engine::{self, Engine, seal};
use crate::feed::{self, Hub};
use crate::time::World;
use crate::{jobs, services};

/// How often the health of the server is looked at.
const HEALTH_EVERY: Duration = Duration::from_millis(200);
/// Streams that one connection may have open at once.
const STREAMS_A_CONNECTION: u32 = 128;
/// A peer that answers no ping for this long is gone.
const KEEPALIVE: Duration = Duration::from_secs(30);
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// How a server works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `sqlite:<path>`, `sqlite::memory:` or `postgres://…`.
    pub database_url: String,
    /// How many partitions a new database gets; what an existing one must have, if given.
    pub partitions: Option<u16>,
    /// Connections that reads may take at once.
    pub pool_size: u32,
    /// Batches, queues and caches.
    pub engine: engine::Settings,
    /// Streams.
    pub feed: feed::Settings,
    /// The key that every call must bring, if there is one.
    pub bearer_key: Option<String>,
    /// The largest request of most RPCs.
    pub max_message_bytes: usize,
    /// The largest request of `PostBatch`.
    pub max_batch_message_bytes: usize,
    /// How long open calls may take once the server is told to stop.
    pub drain: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            database_url: "sqlite:billing.db".to_owned(),
            partitions: None,
            pool_size: 8,
            engine: engine::Settings::default(),
            feed: feed::Settings::default(),
            bearer_key: None,
            max_message_bytes: 1 << 20,
            max_batch_message_bytes: 4 << 20,
            drain: Duration::from_secs(10),
        }
    }
}

/// A server that is ready to serve: its database is migrated and its writers run.
pub struct Server {
    settings: Settings,
    engine: Engine,
    hub: std::sync::Arc<Hub>,
    drain: watch::Sender<bool>,
}

impl Server {
    /// Opens the database, brings its schema up to date and starts the engine.
    ///
    /// # Errors
    /// When the database cannot be opened, is in use, or does not fit this server.
    pub async fn start(settings: &Settings, world: World) -> Result<Self> {
        let settings = settings.clone();
        tokio::task::spawn_blocking(move || Self::start_blocking(settings, &world)).await?
    }

    fn start_blocking(settings: Settings, world: &World) -> Result<Self> {
        let options = Options { pool_size: settings.pool_size, ..Options::default() };
        let database = Database::open(&settings.database_url, &options).context("the database cannot be opened")?;
        prepare(&database, settings.partitions, world)?;
        let (secret, count) = database.read(|conn| {
            Ok((partitions::setting(conn, "token_secret")?.unwrap_or_default(), partitions::all(conn)?.len()))
        })?;
        let (drain, draining) = watch::channel(false);
        let count = u16::try_from(count).context("too many partitions")?;
        let hub = Hub::new(settings.feed.clone(), count, secret.as_bytes(), draining);
        let engine = Engine::start(&database, world, &settings.engine, &hub.sink())?;
        Ok(Self { settings, engine, hub, drain })
    }

    /// The engine, for those who run beside the server in the same process.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Serves until `shutdown` is done, then lets open calls end for at most the drain time.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> Result<()> {
        self.hub.attach(&self.engine);
        let (reporter, health) = tonic_health::server::health_reporter();
        // Said before anybody can ask.
        services::report(&reporter, self.engine.is_serving()).await;
        let mut background = jobs::start(&self.engine, &self.drain.subscribe());
        background.spawn(report_health(reporter.clone(), self.engine.clone(), self.drain.subscribe()));

        let mut draining = self.drain.subscribe();
        let stopped = async move {
            // An error says that the sender is gone, which means the same.
            let _ = draining.wait_for(|is_draining| *is_draining).await;
        };
        let serving = self.router(health)?.serve_with_incoming_shutdown(
            TcpIncoming::from(listener).with_nodelay(Some(true)).with_keepalive(Some(KEEPALIVE)),
            stopped,
        );
        tokio::pin!(serving);
        let result = tokio::select! {
            result = &mut serving => result,
            () = shutdown => {
                tracing::info!(drain_s = self.settings.drain.as_secs(), "shutting down");
                self.drain.send_replace(true);
                tokio::time::timeout(self.settings.drain, serving).await.unwrap_or_else(|_| {
                    tracing::warn!("some calls did not end in time and are cut");
                    Ok(())
                })
            }
        };
        self.drain.send_replace(true);
        let engine = self.engine.clone();
        tokio::task::spawn_blocking(move || engine.stop()).await?;
        while background.join_next().await.is_some() {}
        result.context("the gRPC server failed")
    }

    fn router<H: Health>(
        &self,
        health: HealthServer<H>,
    ) -> Result<tonic::transport::server::Router<tower::layer::util::Stack<AuthLayer, tower::layer::util::Identity>>>
    {
        let routes =
            services::routes(&self.engine, &self.hub, self.drain.subscribe(), &self.settings)?.add_service(health);
        Ok(tonic::transport::Server::builder()
            .max_concurrent_streams(Some(STREAMS_A_CONNECTION))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .http2_keepalive_interval(Some(KEEPALIVE))
            .layer(AuthLayer::new(self.settings.bearer_key.as_deref()))
            .add_routes(routes))
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("engine", &self.engine).finish_non_exhaustive()
    }
}

/// Brings a database's schema up to date; a new one gets its partitions and secrets.
///
/// # Errors
/// When the database is newer than this server, has another number of partitions, or cannot be changed.
pub fn prepare(database: &Database, partitions: Option<u16>, world: &World) -> Result<migrate::Migrated> {
    let now = world.clock.now().micros();
    let secret = seal::hex(&world.secret());
    let migrated = migrate::run(database, partitions, now, &secret, &|partition| seal::genesis(partition, now, None))?;
    for name in &migrated.applied {
        tracing::info!(migration = name, "applied a migration");
    }
    Ok(migrated)
}

/// Tells who asks whether the server serves: not while the database is away, and not while it shuts down.
async fn report_health(reporter: HealthReporter, engine: Engine, mut draining: watch::Receiver<bool>) {
    let mut was_serving = None;
    loop {
        let is_serving = engine.is_serving() && !*draining.borrow();
        if was_serving != Some(is_serving) {
            services::report(&reporter, is_serving).await;
            was_serving = Some(is_serving);
        }
        if *draining.borrow() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(HEALTH_EVERY) => {}
            _ = draining.changed() => {}
        }
    }
}
