//! The server as a process of its own: started, killed, told to stop.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use billing_proto::v1::balance_service_client::BalanceServiceClient;
use billing_proto::v1::event_service_client::EventServiceClient;
use billing_proto::v1::ledger_service_client::LedgerServiceClient;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::TestDatabase;
use super::tools::root;

/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// A process of the server. Dropped, it is killed.
pub(crate) struct Process {
    child: Child,
    address: SocketAddr,
    database: TestDatabase,
    log: PathBuf,
}

impl Process {
    /// Starts a server on a database and waits until it serves.
    pub(crate) async fn start(database: &TestDatabase) -> Self {
        Self::start_with(database, &[]).await
    }

    /// The same with more flags.
    pub(crate) async fn start_with(database: &TestDatabase, flags: &[&str]) -> Self {
        Self::start_on(database, free_address(), flags).await
    }

    /// The same at an address of the test's choice.
    pub(crate) async fn start_on(database: &TestDatabase, address: SocketAddr, flags: &[&str]) -> Self {
        let binary = binary();
        let log = database.dir().join(format!("server-{}.log", address.port()));
        let output = File::options().create(true).append(true).open(&log).unwrap();
        let child = Command::new(binary)
            .args(["--listen", &address.to_string(), "--database-url", &database.url])
            .args(["--partitions", &database.partitions.to_string(), "--log", "info"])
            .args(flags)
            .current_dir(database.dir())
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let mut process = Self { child, address, database: database.clone(), log };
        process.wait_until_serving().await;
        process
    }

    /// Starts a server whose directory is a disk of so many megabytes, half of them taken by something else; `None`, and
    /// a note, where this machine permits no disks of one's own.
    pub(crate) async fn start_on_small_disk(database: &TestDatabase, megabytes: usize) -> Option<Self> {
        let dir = database.dir().display().to_string();
        let namespace: &[&str] = if is_root() { &["--mount"] } else { &["--user", "--map-root-user", "--mount"] };
        let mount = format!("mount -t tmpfs -o size={megabytes}m tmpfs '{dir}'");
        let possible = Command::new("unshare").args(namespace).args(["sh", "-c", &mount]).output();
        if !possible.is_ok_and(|output| output.status.success()) {
            eprintln!("NOT RUN: a server on a full disk. `unshare --mount` does not work here.");
            return None;
        }
        let ballast = format!("head -c {} /dev/zero > '{dir}/ballast'", megabytes << 19);
        let address = free_address();
        let log = std::env::temp_dir().join(format!("billing-small-disk-{}.log", address.port()));
        let output = File::create(&log).unwrap();
        let child = Command::new("unshare")
            .args(namespace)
            .args(["sh", "-c", &format!("{mount} && {ballast} && cd '{dir}' && exec \"$@\""), "sh"])
            .arg(binary())
            .args(["--listen", &address.to_string(), "--database-url", &database.url, "--log", "info"])
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let mut process = Self { child, address, database: database.clone(), log };
        process.wait_until_serving().await;
        Some(process)
    }

    /// Gives the small disk its other half back.
    pub(crate) fn free_disk(&self) {
        let inside = format!("/proc/{}/root{}/ballast", self.child.id(), self.database.dir().display());
        fs::remove_file(inside).unwrap();
    }

    /// Starts the same server again, at the same address.
    pub(crate) async fn restart(&self) -> Self {
        Self::start_on(&self.database, self.address, &[]).await
    }

    pub(crate) fn uri(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A connection that is made when it is needed, and made again when it is lost.
    pub(crate) fn channel(&self) -> Channel {
        Endpoint::from_shared(self.uri()).unwrap().connect_timeout(Duration::from_secs(5)).connect_lazy()
    }

    pub(crate) fn ledger(&self) -> LedgerServiceClient<Channel> {
        LedgerServiceClient::new(self.channel()).max_decoding_message_size(64 << 20)
    }

    pub(crate) fn balances(&self) -> BalanceServiceClient<Channel> {
        BalanceServiceClient::new(self.channel())
    }

    pub(crate) fn events(&self) -> EventServiceClient<Channel> {
        EventServiceClient::new(self.channel())
    }

    /// What health says of the whole server; absent while it cannot be asked.
    pub(crate) async fn health(&self) -> Option<ServingStatus> {
        let request = HealthCheckRequest { service: String::new() };
        let answer = HealthClient::new(self.channel()).check(request).await.ok()?;
        Some(answer.into_inner().status())
    }

    /// Waits until health says SERVING.
    pub(crate) async fn wait_until_serving(&mut self) {
        let begun = Instant::now();
        while self.health().await != Some(ServingStatus::Serving) {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the server has ended: {status}\n{}", self.log());
            }
            assert!(begun.elapsed() < PATIENCE, "the server does not serve\n{}", self.log());
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until health says anything else than SERVING.
    pub(crate) async fn wait_until_not_serving(&self) {
        let begun = Instant::now();
        while self.health().await == Some(ServingStatus::Serving) {
            assert!(begun.elapsed() < PATIENCE, "the server still serves\n{}", self.log());
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Kills it as `kill -9` does, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends it a signal, such as `TERM`, `STOP` or `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn wait(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "the server does not end\n{}", self.log());
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}

/// An address of this machine that nobody listens on.
fn free_address() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap()
}

/// The binary of this workspace, built anew if it is older than its sources: cargo builds no binary of another package
/// for a test.
pub(crate) fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        // target/<profile>/deps/e2e-<hash>
        let profile = test.ancestors().nth(2).unwrap();
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--workspace", "--bins", "--target-dir"]).arg(profile.parent().unwrap());
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        let status = cargo.current_dir(root()).stdin(Stdio::null()).status().unwrap();
        assert!(status.success(), "the server does not build");
        profile.join("billing-server")
    })
}
