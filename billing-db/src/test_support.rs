//! Throw-away PostgreSQL clusters for tests.
//!
//! A cluster is made by `initdb` in a temporary directory and listens on a free port of 127.0.0.1. A small shell waits for
//! the end of this process, whichever way it ends, and then stops the cluster and removes the directory.
//! `BILLING_TEST_POSTGRES_URL` names an existing server to use instead; what was created there is dropped in the end.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use diesel::connection::SimpleConnection;

use crate::session;

/// Why there is no cluster.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClusterError {
    /// PostgreSQL is not installed here, and no URL names one.
    #[error("PostgreSQL is not installed, and BILLING_TEST_POSTGRES_URL is not set")]
    NotInstalled,
    /// It did not work.
    #[error("the PostgreSQL cluster for tests: {0}")]
    Failed(String),
}

/// How to make a cluster.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClusterOptions {
    /// Whether commits reach the disk: only for tests that pull the plug, and for measurements.
    pub fsync: bool,
}

/// A PostgreSQL server for tests.
#[derive(Debug)]
pub struct TestCluster {
    admin_url: String,
    databases: AtomicU64,
    prefix: String,
    server: Option<Server>,
    watchdog: Mutex<ChildStdin>,
}

/// A server of our own.
#[derive(Debug)]
struct Server {
    binaries: PathBuf,
    directory: PathBuf,
}

/// Runs when the process that holds the other end of its standard input is gone.
const WATCH_SERVER: &str = r#"cat > /dev/null; cd /; "$0" "$@" > /dev/null 2>&1; rm -rf "$BILLING_CLUSTER""#;
/// Reads the names of the databases to drop, one a line, until the process is gone.
const WATCH_DATABASES: &str = r#"names=; while read name; do names="$names $name"; done
for name in $names; do psql -q "$0" -c "drop database if exists \"$name\" with (force)" > /dev/null 2>&1; done"#;

impl TestCluster {
    /// The cluster of this process, made when first asked for.
    pub fn shared() -> Result<&'static TestCluster, ClusterError> {
        static SHARED: OnceLock<Result<TestCluster, ClusterError>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| match std::env::var("BILLING_TEST_POSTGRES_URL") {
            Ok(url) if !url.is_empty() => TestCluster::existing(&url),
            _ => TestCluster::start(ClusterOptions::default()),
        });
        shared.as_ref().map_err(Clone::clone)
    }

    /// Makes a cluster of its own, stopped when the value is dropped or the process ends.
    pub fn start(options: ClusterOptions) -> Result<TestCluster, ClusterError> {
        let binaries = binaries().ok_or(ClusterError::NotInstalled)?;
        let directory = std::env::temp_dir().join(unique_name());
        fs::create_dir(&directory).map_err(|error| failed(&error))?;
        let server = Server { binaries, directory };
        let watchdog = watch(
            server.command("pg_ctl", &["stop", "-m", "immediate"]).env("BILLING_CLUSTER", &server.directory),
            WATCH_SERVER,
        )?;
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(&server.directory))?;
        }
        run(&mut server
            .command("initdb", &["-N", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale", "C.UTF-8"]))?;
        let port = server.start(options)?;
        Ok(TestCluster {
            admin_url: format!("postgres://postgres@127.0.0.1:{port}/postgres"),
            databases: AtomicU64::new(0),
            prefix: "billing_test".to_owned(),
            server: Some(server),
            watchdog: Mutex::new(watchdog),
        })
    }

    /// Uses a server that is there already, whose URL names a database and a role that may create others.
    fn existing(url: &str) -> Result<TestCluster, ClusterError> {
        let watchdog = watch(Command::new("psql").arg(url), WATCH_DATABASES)?;
        Ok(TestCluster {
            admin_url: url.to_owned(),
            databases: AtomicU64::new(0),
            prefix: unique_name().replace('-', "_"),
            server: None,
            watchdog: Mutex::new(watchdog),
        })
    }

    /// Creates an empty database and tells its URL.
    pub fn create_database(&self) -> Result<String, ClusterError> {
        self.create("template0")
    }

    /// Creates a copy of the database a URL of this cluster names, to which nobody may be connected.
    pub fn clone_database(&self, url: &str) -> Result<String, ClusterError> {
        let (_, name, _) = split(url).ok_or_else(|| ClusterError::Failed("the URL names no database".to_owned()))?;
        self.create(name)
    }

    fn create(&self, template: &str) -> Result<String, ClusterError> {
        let name = format!("{}_{}", self.prefix, self.databases.fetch_add(1, Ordering::Relaxed));
        if self.server.is_none() {
            let mut watchdog = self.watchdog.lock().unwrap_or_else(PoisonError::into_inner);
            writeln!(watchdog, "{name}").map_err(|error| failed(&error))?;
        }
        self.execute(&format!("create database \"{name}\" template \"{template}\""))?;
        let (server, _, query) =
            split(&self.admin_url).ok_or_else(|| ClusterError::Failed("the URL names no database".to_owned()))?;
        Ok(format!("{server}/{name}{query}"))
    }

    /// Runs statements as the superuser, in the database `postgres`.
    pub fn execute(&self, sql: &str) -> Result<(), ClusterError> {
        let mut c = session::open_postgres(&self.admin_url, None).map_err(|error| failed(&error))?;
        c.batch_execute(sql).map_err(|error| failed(&error))
    }

    /// Stops the server as a power failure would; nothing for a server that was there before.
    pub fn crash(&self) -> Result<(), ClusterError> {
        match &self.server {
            Some(server) => run(&mut server.command("pg_ctl", &["stop", "-m", "immediate"])),
            None => Ok(()),
        }
    }

    /// Starts the server again after a [`crash`](Self::crash), on the same port.
    pub fn restart(&self) -> Result<(), ClusterError> {
        match &self.server {
            Some(server) => run(&mut server.command("pg_ctl", &["start", "-w", "-l", &server.log()])),
            None => Ok(()),
        }
    }
}

impl Server {
    /// Starts on a port that is free now; should another process be quicker, on another one.
    fn start(&self, options: ClusterOptions) -> Result<u16, ClusterError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let port = free_port()?;
            // Durable commits are for measuring, with a database set up as for real work.
            let (fsync, memory) = if options.fsync { ("on", "2GB") } else { ("off", "128MB") };
            let settings = format!(
                "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = ''\nfsync = {fsync}\n\
                 full_page_writes = {fsync}\nmax_connections = 300\nshared_buffers = {memory}\nmax_wal_size = 8GB\n"
            );
            let file = self.directory.join("postgresql.conf");
            fs::write(file, settings).map_err(|error| failed(&error))?;
            match run(&mut self.command("pg_ctl", &["start", "-w", "-l", &self.log()])) {
                Err(_) if attempts < 3 => {}
                result => return result.map(|()| port),
            }
        }
    }

    fn log(&self) -> String {
        self.directory.join("server.log").display().to_string()
    }

    /// One of PostgreSQL's programs on this cluster. It refuses root, so root runs it as the user `postgres`.
    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let program = self.binaries.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", "postgres", "--regid", "postgres", "--init-groups"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.arg("-D").arg(&self.directory).args(arguments).current_dir("/");
        command
    }
}

/// Starts the shell that runs `script` with the words of `command` once this process is gone. It is in a process group of
/// its own, so that an interrupt from the terminal does not end it first.
fn watch(command: &mut Command, script: &str) -> Result<ChildStdin, ClusterError> {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script);
    if command.get_program() != "psql" {
        shell.arg(command.get_program());
    }
    shell.args(command.get_args()).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            shell.env(name, value);
        }
    }
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut shell, 0);
    let mut child = shell.spawn().map_err(|error| failed(&error))?;
    child.stdin.take().ok_or_else(|| ClusterError::Failed("the shell has no input".to_owned()))
}

fn run(command: &mut Command) -> Result<(), ClusterError> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| failed(&error))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(ClusterError::Failed(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))))
    }
}

fn failed(error: &dyn std::error::Error) -> ClusterError {
    ClusterError::Failed(error.to_string())
}

/// Where the newest PostgreSQL installed here has its programs.
fn binaries() -> Option<PathBuf> {
    let packaged = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = packaged
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin"))))
        .filter(|(_, path)| path.join("initdb").exists())
        .max();
    newest.map(|(_, path)| path).or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|path| has_programs(path))
    })
}

fn has_programs(path: &Path) -> bool {
    path.join("initdb").exists() && path.join("pg_ctl").exists()
}

fn is_root() -> bool {
    static ROOT: OnceLock<bool> = OnceLock::new();
    *ROOT.get_or_init(|| Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n"))
}

fn free_port() -> Result<u16, ClusterError> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|error| failed(&error))?;
    Ok(listener.local_addr().map_err(|error| failed(&error))?.port())
}

fn unique_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("billing-test-{}-{nanos}-{count}", std::process::id())
}

/// The parts of a URL: up to the database's name, that name, and the rest.
fn split(url: &str) -> Option<(&str, &str, &str)> {
    let host = url.find("://")? + 3;
    let slash = host + url.get(host..)?.find('/')?;
    let end = url.find('?').unwrap_or(url.len());
    Some((url.get(..slash)?, url.get(slash + 1..end)?, url.get(end..)?))
}
