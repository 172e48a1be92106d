//! Starts what is measured: a PostgreSQL cluster with durable commits, and the server as a process of its own.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use billing_db::test_support::{ClusterOptions, TestCluster};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::Plan;
use crate::report::Report;

pub struct Bench {
    pub cluster: TestCluster,
    pgbench_url: String,
}

impl Bench {
    pub fn start() -> Result<Self> {
        let cluster = TestCluster::start(ClusterOptions { fsync: true })?;
        let pgbench_url = cluster.create_database()?;
        run_pgbench(&pgbench_url, &["-i", "-q", "-s", "10"])?;
        Ok(Self { cluster, pgbench_url })
    }

    /// Transactions a second of `pgbench` TPC-B with 8 clients. Measured next to what is held against it: the speed of a
    /// virtual machine is not the same all the time.
    pub fn pgbench(&self, plan: &Plan, report: &mut Report) -> Result<f64> {
        let seconds = plan.seconds.to_string();
        let arguments = ["-M", "prepared", "-j", "2", "-c", "8", "-T", &seconds, "-n"];
        let rate = rate_of(&run_pgbench(&self.pgbench_url, &arguments)?)?;
        report.baseline("pgbench TPC-B", "transactions/s", rate);
        Ok(rate)
    }

    /// A server on a database of its own.
    pub fn server(&self, flags: &[&str]) -> Result<Server> {
        Server::start(&self.cluster.create_database()?, flags)
    }
}

fn run_pgbench(url: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(postgres_binary("pgbench")).args(arguments).arg(url).output()?;
    if !output.status.success() {
        bail!("pgbench: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn rate_of(output: &str) -> Result<f64> {
    let line = output.lines().find(|line| line.starts_with("tps = ")).context("pgbench told no rate")?;
    Ok(line.trim_start_matches("tps = ").split_whitespace().next().unwrap_or_default().parse()?)
}

fn postgres_binary(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> =
        versions.map(|entry| entry.path().join("bin").join(name)).filter(|path| path.exists()).collect();
    found.sort();
    found.pop().unwrap_or_else(|| PathBuf::from(name))
}

/// A running server process, killed when dropped.
pub struct Server {
    child: Child,
    pub endpoint: String,
    pub url: String,
}

impl Server {
    pub fn start(url: &str, flags: &[&str]) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let listen = format!("127.0.0.1:{port}");
        // The benchmark's own program lies in target/release/deps.
        let own = std::env::current_exe()?;
        let program = own.ancestors().nth(2).context("no target directory")?.join("billing-server");
        if !program.exists() {
            bail!("build the server first: cargo build --release -p billing-server");
        }
        let child = Command::new(program)
            .args(["--listen", &listen, "--database-url", url, "--log", "warn"])
            .args(flags)
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self { child, endpoint: format!("http://{listen}"), url: url.to_owned() })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Connections to the server, once it serves.
    pub async fn channels(&self, count: usize) -> Result<Vec<Channel>> {
        let endpoint = Endpoint::from_shared(self.endpoint.clone())?
            .tcp_nodelay(true)
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20);
        let began = Instant::now();
        loop {
            if let Ok(channel) = endpoint.connect().await {
                let request = HealthCheckRequest { service: String::new() };
                if HealthClient::new(channel).check(request).await.is_ok() {
                    break;
                }
            }
            if began.elapsed() > Duration::from_secs(20) {
                bail!("the server did not start");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let mut channels = Vec::new();
        for _ in 0..count {
            channels.push(endpoint.connect().await?);
        }
        Ok(channels)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
