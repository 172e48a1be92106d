#![allow(clippy::unwrap_used)]

use std::io::Write as _;

use clap::Args as _;

use super::*;

/// The settings of a command line, an environment and the text of a file.
fn load_from(flags: &[&str], environment: &[(&str, &str)], file: Option<&str>) -> Result<Loaded, ConfigError> {
    let command = Config::augment_args(clap::Command::new("test").no_binary_name(true));
    let matches = command.try_get_matches_from(flags).unwrap();
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let file = file.map(TemporaryFile::with);
    load(&matches, file.as_ref().map(|file| file.0.as_path()), environment)
}

struct TemporaryFile(PathBuf);

impl TemporaryFile {
    fn with(text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("billing-{}.toml", uuid::Uuid::new_v4()));
        std::fs::File::create_new(&path).unwrap().write_all(text.as_bytes()).unwrap();
        Self(path)
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn nothing_said_gives_the_defaults() {
    let loaded = load_from(&[], &[], None).unwrap();
    let config = &loaded.config;
    assert_eq!(config.listen, "127.0.0.1:50051".parse().unwrap());
    assert_eq!(config.database_url, "sqlite:billing.db");
    assert_eq!((config.partitions, config.threads, &config.bearer_key), (None, None, &None));
    assert!(config.decide_ahead && !config.insecure);
    assert_eq!((config.max_message_bytes.get(), config.max_batch_message_bytes.get()), (1 << 20, 4 << 20));
    assert_eq!(config.log_format, LogFormat::Human);
    assert!(loaded.origins.iter().all(|(_, origin)| *origin == Origin::Default));
    let engine = config.engine_settings();
    let default = engine::Settings::default();
    assert_eq!((engine.max_batch, engine.heads, engine.max_back), (default.max_batch, default.heads, default.max_back));
    assert_eq!((engine.limits.commands, engine.limits.wait), (default.limits.commands, default.limits.wait));
}

#[test]
fn a_flag_beats_a_variable_and_that_the_file() {
    let file = Some("max_batch = 1\npool_size = 1\nheads = 1\nlog_format = \"json\"\ninsecure = true");
    let environment = [("BILLING_MAX_BATCH", "2"), ("BILLING_POOL_SIZE", "2"), ("BILLING_DECIDE_AHEAD", "false")];
    let loaded = load_from(&["--max-batch", "3"], &environment, file).unwrap();
    let config = &loaded.config;
    assert_eq!((config.max_batch.get(), config.pool_size.get(), config.heads.get()), (3, 2, 1));
    assert_eq!((config.log_format, config.insecure, config.decide_ahead), (LogFormat::Json, true, false));
    let origin = |name: &str| loaded.origin(name).unwrap().to_string();
    assert_eq!(origin("max_batch"), "--max-batch");
    assert_eq!(origin("pool_size"), "BILLING_POOL_SIZE");
    assert!(matches!(loaded.origin("heads"), Some(Origin::File(_))));
    assert_eq!(origin("listen"), "default");
}

#[test]
fn every_setting_is_a_flag_a_variable_and_a_key_of_the_file() {
    let loaded = load_from(&[], &[], None).unwrap();
    let json = serde_json::to_value(&loaded.config).unwrap();
    for (name, _) in &loaded.origins {
        let value = match json.get(name) {
            _ if name == "bearer_key" => "secret".to_owned(),
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(serde_json::Value::Null) => "7".to_owned(),
            Some(other) => other.to_string(),
            None => panic!("{name} is no field"),
        };
        let by_variable = load_from(&[], &[(&variable(name), &value)], None).unwrap();
        assert_eq!(by_variable.origin(name), Some(&Origin::Variable(variable(name))));
        let by_file = load_from(&[], &[], Some(&format!("{name} = \"{value}\""))).unwrap();
        assert!(matches!(by_file.origin(name), Some(Origin::File(_))));
        assert_eq!(by_variable.config, by_file.config, "{name}");
        if name != "bearer_key" {
            let flag = format!("--{}={value}", name.replace('_', "-"));
            let by_flag = load_from(&[&flag], &[], None).unwrap();
            assert_eq!(by_flag.config, by_file.config, "{name}");
        }
    }
}

#[test]
fn a_flag_without_a_value_switches_on() {
    assert!(load_from(&["--insecure"], &[], None).unwrap().config.insecure);
    assert!(!load_from(&["--insecure=false"], &[("BILLING_INSECURE", "true")], None).unwrap().config.insecure);
}

#[test]
fn an_unknown_key_of_the_file_is_an_error_that_names_it() {
    let error = load_from(&[], &[], Some("lisen = \"127.0.0.1:1\"")).unwrap_err().to_string();
    assert!(error.contains("`lisen`") && error.contains("listen"), "{error}");
    let error = load_from(&[], &[], Some("[server]\nlisten = \"127.0.0.1:1\"")).unwrap_err().to_string();
    assert!(error.contains("`server`"), "{error}");
}

#[test]
fn unknown_variables_are_none_of_ours() {
    let environment = [("BILLING_TEST_POSTGRES_URL", "x"), ("BILLING_SERVICE_HOST", "y"), ("PATH", "z")];
    assert_eq!(load_from(&[], &environment, None).unwrap(), load_from(&[], &[], None).unwrap());
}

#[test]
fn a_value_that_does_not_fit_is_an_error_that_names_its_setting() {
    for (variable, value, name) in [
        ("BILLING_MAX_BATCH", "many", "max_batch"),
        ("BILLING_MAX_BATCH", "0", "max_batch"),
        ("BILLING_LISTEN", "here", "listen"),
        ("BILLING_LOG_FORMAT", "xml", "log_format"),
        ("BILLING_PARTITIONS", "-1", "partitions"),
    ] {
        let error = load_from(&[], &[(variable, value)], None).unwrap_err().to_string();
        assert!(error.contains(name), "{variable}={value}: {error}");
    }
    assert!(load_from(&[], &[], Some("max_batch = ")).is_err());
}

#[test]
fn the_bearer_key_is_never_printed() {
    let loaded = load_from(&[], &[("BILLING_BEARER_KEY", "hunter2")], None).unwrap();
    assert_eq!(loaded.config.bearer_key.as_ref().unwrap().expose(), "hunter2");
    let printed = format!("{loaded:?} {}", serde_json::to_string(&loaded.config).unwrap());
    assert!(!printed.contains("hunter2"), "{printed}");
}

#[test]
fn only_loopback_is_open_without_being_asked() {
    for (address, is_open) in [
        ("127.0.0.1:1", true),
        ("127.1.2.3:1", true),
        ("[::1]:1", true),
        ("[::ffff:127.0.0.1]:1", true),
        ("0.0.0.0:1", false),
        ("[::]:1", false),
        ("192.168.0.1:1", false),
    ] {
        let config = load_from(&["--listen", address], &[], None).unwrap().config;
        assert_eq!(config.check_listen().is_ok(), is_open, "{address}");
        let config = load_from(&["--listen", address, "--insecure"], &[], None).unwrap().config;
        assert!(config.check_listen().is_ok());
    }
    let config = load_from(&["--listen", "0.0.0.0:1"], &[], None).unwrap().config;
    assert!(config.check_listen().unwrap_err().to_string().contains("--insecure"));
}

#[test]
fn passwords_of_a_url_are_hidden() {
    for (url, shown) in [
        ("sqlite:billing.db", "sqlite:billing.db"),
        ("postgres://db/billing", "postgres://db/billing"),
        ("postgres://me@db/billing", "postgres://me@db/billing"),
        ("postgres://me:pw@db:5432/billing?sslmode=require", "postgres://me:***@db:5432/billing?sslmode=require"),
        ("postgres://me:p/w?@x@db/billing", "postgres://me:***@db/billing"),
        ("postgres://db/billing?user=me&password=pw", "postgres://db/billing?user=me&password=***"),
    ] {
        assert_eq!(without_password(url), shown);
    }
}
