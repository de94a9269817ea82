//! Tests of the precedence of the layers, and of every kind of mistake.

use std::{collections::BTreeSet, path::PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;
use volute_access::Role;

use super::super::AutoRegister;
use super::*;

fn env(variables: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    variables.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn flag(name: &'static str, key: &'static str, value: &str) -> Flag {
    Flag { name, key, value: value.into() }
}

fn file(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("volute.toml");
    fs::write(&path, text).expect("written");
    (folder, path)
}

fn mistakes(file: Option<&Path>, variables: &[(&str, &str)], flags: &[Flag]) -> Vec<Mistake> {
    match load(file, env(variables), flags) {
        Err(ConfigError::Mistakes(mistakes)) => mistakes,
        other => panic!("mistakes, not {other:?}"),
    }
}

#[test]
fn the_defaults_are_valid_and_complete() {
    let settings = load(None, [], &[]).expect("the defaults");
    assert_eq!(settings.config.server.listen.to_string(), "127.0.0.1:5000");
    assert_eq!(settings.config.model.dir, None);
    assert_eq!(settings.config.commissioning.running.as_secs(), 24 * 3600);
    assert!(settings.config.server.keep_alive.as_secs() >= 75, "pumps post every few seconds, some every minute");
    assert!(settings.config.server.allowed_hosts.names().is_empty());
    assert!(settings.values.iter().all(|setting| setting.origin == Origin::Default));
}

#[test]
fn the_overlay_for_production_is_valid() {
    let config = load(Some(Path::new("config/production.toml")), [], &[]).expect("the overlay").config;
    assert_eq!(config.ingest.auto_register, AutoRegister::Off);
}

#[test]
fn the_example_environment_lists_exactly_the_keys_there_are_with_their_defaults() {
    let text = include_str!("../../../.env.example");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let variables: Vec<(&str, &str)> = lines.map(|line| line.split_once('=').expect(line)).collect();
    let example = load(None, env(&variables), &[]).expect("the example");
    let defaults = load(None, [], &[]).expect("the defaults");
    assert_eq!(example.config, defaults.config);
    assert_eq!(variables.len(), defaults.values.len());
    assert!(example.values.iter().all(|setting| setting.origin != Origin::Default));
}

#[test]
fn every_default_is_commented() {
    let mut previous = "";
    for line in DEFAULTS.lines() {
        assert!(!line.contains(" = ") || line.starts_with('#') || previous.starts_with('#'), "{line}");
        previous = line;
    }
}

#[test]
fn a_key_of_an_earlier_version_is_rejected_with_its_name_now() {
    let (_folder, path) = file("[engine]\nwedged_after_s = 30\n");
    let variables = [("VOLUTE__INGEST__BACKLOG_ANSWER_S", "10"), ("VOLUTE__INGEST__BURST_READINGS_PER_PUMP", "10")];
    let found: BTreeSet<String> =
        mistakes(Some(&path), &variables, &[]).iter().map(|mistake| mistake.to_string()).collect();
    assert_eq!(found.len(), 3, "{found:?}");
    for key in ["engine.stuck_after_s", "ingest.backlog_timeout_s", "ingest.max_in_flight_readings_per_pump"] {
        assert!(found.iter().any(|text| text.contains(&format!("this key is now {key}"))), "{key}: {found:?}");
        assert!(DEFAULTS.contains(&format!("\n{} = ", key.split_once('.').expect("a section").1)), "{key}");
    }
}

#[test]
fn text_keys_take_text_that_looks_like_something_else() {
    for (variable, text, key, toml) in [
        ("VOLUTE__INGEST__DEFAULT_PUMP", "7", "ingest.default_pump", r#""7""#),
        ("VOLUTE__INGEST__DEFAULT_PUMP", "true", "ingest.default_pump", r#""true""#),
        ("VOLUTE__INGEST__DEFAULT_PUMP", "1.50", "ingest.default_pump", r#""1.50""#),
        ("VOLUTE__INGEST__DEFAULT_PUMP", "\"p\"", "ingest.default_pump", r#""p""#),
        ("VOLUTE__SERVER__LISTEN", "[::1]:5001", "server.listen", r#""[::1]:5001""#),
        ("VOLUTE__LOG__FILTER", "info,volute=debug", "log.filter", r#""info,volute=debug""#),
        ("VOLUTE__LOG__FILTER", "OFF,[request{method=GET}]=info", "log.filter", r#""OFF,[request{method=GET}]=info""#),
        ("VOLUTE__SERVER__WORKERS", "3", "server.workers", "3"),
    ] {
        let settings = load(None, env(&[(variable, text)]), &[]).expect(text);
        let setting = settings.values.iter().find(|setting| setting.key == key).expect(key);
        assert_eq!((setting.value.as_str(), &setting.origin), (toml, &Origin::Env(variable.into())));
    }
}

#[test]
fn each_kind_of_mistake_says_what_is_allowed() {
    for (text, allowed) in [
        ("[store]\nlinger_ms = 21", "a whole number from 0 to 20 (milliseconds)"),
        ("[store]\nlinger_ms = -1", "a whole number from 0 to 20 (milliseconds)"),
        ("[store]\nlinger_ms = 1.5", "a whole number from 0 to 20 (milliseconds)"),
        ("[store]\nlinger_ms = \"2\"", "a whole number from 0 to 20 (milliseconds)"),
        ("[store]\ndir = \"\"", "a folder"),
        ("[live]\nheartbeat_s = 0", "a whole number from 1 to 300 (seconds)"),
        ("[server]\nworkers = 1000", "a whole number from 0 to 256"),
        ("[server]\nlisten = \"localhost\"", "an IP address and a port"),
        ("[server]\nlisten = 5000", "an IP address and a port"),
        ("[server.listen]\nport = 5000", "an IP address and a port"),
        ("[server]\nallowed_hosts = \"http://volute.example\"", "host names separated by commas"),
        ("[server]\nallowed_hosts = \"a,,b\"", "host names separated by commas"),
        ("[server]\nallowed_hosts = \"gate:port\"", "host names separated by commas"),
        ("[server]\npublic_url = \"volute.example\"", "an address without a path"),
        ("[server]\npublic_url = \"https://volute.example/\"", "an address without a path"),
        ("[server]\npublic_url = \"ftp://volute.example\"", "an address without a path"),
        ("[access.oidc]\nissuer = \"http://id.example\"", "an https address"),
        ("[access.oidc]\nissuer = \"https://id.example?x=1\"", "an https address"),
        ("[access.oidc]\nroles = { staff = \"boss\" }", "viewer, engineer, plant-head, manager, admin"),
        ("[access.oidc]\nroles = [\"staff\"]", "a role for each group"),
        ("[access.oidc]\nscopes = \"profile groups\"", "with openid among them"),
        ("[notify]\nquiet = { low = \"22-6\" }", "a part of the day for each priority"),
        ("[notify]\nat_once = \"urgent\"", "\"low\", \"medium\", \"high\" or \"critical\""),
        ("[notify.email]\nto = { ops = \"low\" }", "the lowest priority for each address"),
        ("[notify.email]\nserver = \"smtp.example.com\"", "a name and a port"),
        ("[notify]\ntime_zone = \"Mars\"", "a time zone by its name"),
        ("[access.oidc]\nclient_secret_file = 3", "a file, or \"\" for none"),
        ("[server]\nkeep_alive_s = 0", "a whole number from 1 to 86400 (seconds)"),
        ("[ingest]\ndefault_pump = \"..\"", "1 to 64 characters"),
        ("[ingest]\nauto_register = true", "\"auto\", \"on\" or \"off\""),
        ("[ingest]\nauto_register = \"maybe\"", "\"auto\", \"on\" or \"off\""),
        ("[log]\nformat = \"xml\"", "\"text\" or \"json\""),
        ("[log]\nfilter = \"volute=loud\"", "error, warn, info"),
        ("[log]\nfilter = \"loud\"", "error, warn, info"),
        ("[log]\nfilter = \"info,volute_data\"", "error, warn, info"),
        ("[model]\nprofile = \"gear\"", "centrifugal, skab, or a path"),
        ("[model]\nprofile = \"centrifugall\"", "did you mean centrifugal?"),
        ("[model]\nprofile = \"./nowhere.toml\"", "nowhere.toml cannot be read"),
        ("[commissioning]\nhours = 0", "a number above 0, up to 720 (hours)"),
        ("[commissioning]\nhours = 720.5", "a number above 0, up to 720 (hours)"),
        ("[commissioning]\nhours = \"1\"", "a number above 0, up to 720 (hours)"),
        ("[commissioning]\ndetector = \"oracle\"", "\"conditional\", \"fused\" or \"lstm-autoencoder\""),
        ("[model]\ndir = 3", "a folder, or \"\" for none"),
    ] {
        let (_folder, path) = file(text);
        let found = mistakes(Some(&path), &[], &[]);
        let [Mistake { setting, problem: Problem::Value { allowed: said } }] = &found[..] else {
            panic!("{text}: {found:?}")
        };
        assert_eq!(setting.origin, Origin::File(path));
        assert!(said.contains(allowed), "{text}: {said}");
    }
}

#[test]
fn an_unknown_key_shows_the_keys_of_its_section_and_the_one_that_was_meant() {
    for (text, meant, allowed) in [
        (
            "[server]\nlisen = 1",
            Some("server.listen"),
            "in [server] allowed_hosts, behind_proxy, keep_alive_s, listen, max_body_bytes",
        ),
        ("[serve]\nlisten = 1", Some("server.listen"), "the sections [access], [access.oidc], [commissioning]"),
        ("[store]\nbatch = 1", None, "in [store] backlog_mib, block_cache_mib, dir"),
        ("server = 5", None, "in [server] allowed_hosts"),
        ("[access.oidc]\nisuer = \"\"", Some("access.oidc.issuer"), "in [access.oidc] ca_file, client_id"),
        ("zebra = 5", None, "the sections [access], [access.oidc], [commissioning]"),
    ] {
        let (_folder, path) = file(text);
        let found = mistakes(Some(&path), &[], &[]);
        let [Mistake { problem: Problem::Unknown { did_you_mean, allowed: said }, .. }] = &found[..] else {
            panic!("{text}: {found:?}")
        };
        assert_eq!(did_you_mean.as_deref(), meant, "{text}");
        assert!(said.starts_with(allowed), "{text}: {said}");
    }
}

#[test]
fn all_mistakes_of_all_layers_are_found_at_once_even_those_that_a_later_layer_covers() {
    let (_folder, path) = file("[store]\nlinger_ms = 99\nlinger = 1\n[zebra]\nstripes = 2");
    let variables =
        [("VOLUTE__STORE__LINGER_MS", "5"), ("VOLUTE__LISTEN", "x"), ("VOLUTE__A____B", "x"), ("VOLUTE_LONG", "1")];
    let found = mistakes(Some(&path), &variables, &[flag("--listen", "server.listen", "nowhere")]);
    let keys: Vec<String> =
        found.iter().map(|mistake| format!("{} {}", mistake.setting.key, mistake.setting.origin)).collect();
    let in_file = format!("file:{}", path.display());
    assert_eq!(
        keys,
        [
            format!("store.linger {in_file}"),
            format!("store.linger_ms {in_file}"),
            format!("zebra.stripes {in_file}"),
            "listen env:VOLUTE__LISTEN".into(),
            "a..b env:VOLUTE__A____B".into(),
            "server.listen flag:--listen".into(),
        ]
    );
    let text = ConfigError::Mistakes(found).to_string();
    assert!(text.starts_with("6 keys are wrong"), "{text}");
    assert!(text.contains(r#"server.listen = "nowhere" (flag:--listen): allowed: an IP address"#), "{text}");
}

#[test]
fn a_variable_with_other_underscores_is_reported_with_its_right_name() {
    let variables = [
        ("VOLUTE_SERVER_LISTEN", "0.0.0.0:80"),
        ("VOLUTE_STORE__LINGER_MS", "5"),
        ("volute_log_filter", "info"),
        // These variables do not belong to the configuration.
        ("VOLUTE_BIN", "x"),
        ("VOLUTE_LONG", "1"),
        ("VOLUTE_STRICT", "1"),
        ("VOLUTE_BLESS", "1"),
        ("VOLUTE_FAILPOINTS", "1"),
        ("VOLUTE", "1"),
        ("VOLUTE_SERVER", "1"),
    ];
    let found: Vec<String> = mistakes(None, &variables, &[]).iter().map(Mistake::to_string).collect();
    assert_eq!(
        found,
        [
            "server.listen = \"0.0.0.0:80\" (env:VOLUTE_SERVER_LISTEN): no such variable; did you mean VOLUTE__SERVER__LISTEN?",
            "store.linger_ms = \"5\" (env:VOLUTE_STORE__LINGER_MS): no such variable; did you mean VOLUTE__STORE__LINGER_MS?",
            "log.filter = \"info\" (env:volute_log_filter): no such variable; did you mean VOLUTE__LOG__FILTER?",
        ]
    );
    assert!(load(None, env(&variables[3..]), &[]).is_ok());
}

#[test]
fn a_table_is_the_value_of_a_key_and_a_later_layer_replaces_it() {
    let (_folder, path) = file(
        "[access.oidc]\nname = \"Plant\"\n[access.oidc.roles]\n\"plant engineers\" = \"engineer\"\nit = \"admin\"",
    );
    let settings = load(Some(&path), [], &[]).expect("valid");
    let roles = &settings.config.access.oidc.roles;
    assert_eq!((roles.len(), roles.get("plant engineers").copied()), (2, Some(Role::Engineer)));
    let settings = load(Some(&path), env(&[("VOLUTE__ACCESS__OIDC__ROLES", "{staff=viewer}")]), &[]).expect("valid");
    assert_eq!(settings.config.access.oidc.roles, [("staff".to_owned(), Role::Viewer)].into());
    assert_eq!(settings.config.access.oidc.name, "Plant");
    let setting = settings.values.iter().find(|setting| setting.key == "access.oidc.roles").expect("the key");
    assert_eq!(
        (setting.value.as_str(), &setting.origin),
        (r#"{ staff = "viewer" }"#, &Origin::Env("VOLUTE__ACCESS__OIDC__ROLES".into()))
    );
}

#[test]
fn an_issuer_needs_the_rest() {
    let found = mistakes(None, &[("VOLUTE__ACCESS__OIDC__ISSUER", "https://id.example")], &[]);
    let keys: Vec<&str> = found.iter().map(|mistake| mistake.setting.key.as_str()).collect();
    assert_eq!(keys, ["server.public_url", "access.oidc.client_id", "access.oidc.roles"]);
    let variables = [
        ("VOLUTE__ACCESS__OIDC__ISSUER", "https://id.example"),
        ("VOLUTE__SERVER__PUBLIC_URL", "https://volute.example:8443"),
        ("VOLUTE__ACCESS__OIDC__CLIENT_ID", "7"),
        ("VOLUTE__ACCESS__OIDC__ROLES", r#"{"it operations"="admin"}"#),
    ];
    let config = load(None, env(&variables), &[]).expect("complete").config;
    assert_eq!((config.access.oidc.client_id.as_str(), config.access.oidc.roles.len()), ("7", 1));
}

#[test]
fn notifications_need_the_rest_and_other_machines_encryption() {
    let found = mistakes(
        None,
        &[("VOLUTE__NOTIFY__EMAIL__SERVER", "smtp.plant.example:25"), ("VOLUTE__NOTIFY__EMAIL__TLS", "off")],
        &[],
    );
    let keys: Vec<&str> = found.iter().map(|mistake| mistake.setting.key.as_str()).collect();
    assert_eq!(keys, ["server.public_url", "notify.email.to", "notify.email.from", "notify.email.tls"]);
    let variables = [
        ("VOLUTE__SERVER__PUBLIC_URL", "https://volute.example"),
        ("VOLUTE__NOTIFY__EMAIL__SERVER", "smtp.plant.example:587"),
        ("VOLUTE__NOTIFY__EMAIL__FROM", "volute@plant.example"),
        ("VOLUTE__NOTIFY__EMAIL__TO", r#"{"ops@plant.example"="low"}"#),
        ("VOLUTE__NOTIFY__QUIET", r#"{low="22:00-06:00"}"#),
        ("VOLUTE__NOTIFY__TIME_ZONE", "Asia/Kolkata"),
    ];
    let notify = load(None, env(&variables), &[]).expect("complete").config.notify;
    assert!(notify.is_on() && notify.quiet.len() == 1 && notify.email.to.len() == 1);
    assert!(!load(None, [], &[]).expect("defaults").config.notify.is_on());
}

#[test]
fn a_secret_in_the_wrong_place_is_not_shown() {
    let found = mistakes(None, &[("VOLUTE__ACCESS__OIDC__CLIENT_SECRET", "swordfish")], &[]);
    let text = ConfigError::Mistakes(found).to_string();
    assert!(!text.contains("swordfish") && text.contains("access.oidc.client_secret_file"), "{text}");
}

#[test]
fn a_file_that_is_absent_or_no_toml_is_said_to_be() {
    assert!(matches!(load(Some(Path::new("/nowhere.toml")), [], &[]), Err(ConfigError::Unreadable { .. })));
    let (_folder, path) = file("[server\n");
    assert!(matches!(load(Some(&path), [], &[]), Err(ConfigError::NotToml { .. })));
}

#[test]
fn auto_registration_is_for_loopback() {
    for (listen, auto_register, registers) in [
        ("127.0.0.1:0", "auto", true),
        ("[::1]:0", "auto", true),
        ("0.0.0.0:0", "auto", false),
        ("0.0.0.0:0", "on", true),
        ("127.0.0.1:0", "off", false),
    ] {
        let variables = [("VOLUTE__SERVER__LISTEN", listen), ("VOLUTE__INGEST__AUTO_REGISTER", auto_register)];
        let config = load(None, env(&variables), &[]).expect(listen).config;
        assert_eq!(config.registers_unknown_pumps(), registers, "{listen} {auto_register}");
    }
}

proptest! {
    /// Of all layers that set a key, the last one wins, and the value has its origin.
    #[test]
    fn the_last_layer_that_sets_a_key_wins(in_file: Option<u8>, in_env: Option<u8>, in_flag: Option<u8>) {
        let listen = |port: u8| format!("127.0.0.1:{port}");
        let (_folder, path) = file(&in_file.map_or(String::new(), |port| format!("[server]\nlisten = \"{}\"", listen(port))));
        let variables: Vec<(OsString, OsString)> =
            in_env.iter().map(|&port| ("VOLUTE__SERVER__LISTEN".into(), listen(port).into())).collect();
        let flags: Vec<Flag> = in_flag.iter().map(|&port| flag("--listen", "server.listen", &listen(port))).collect();

        let settings = load(Some(&path), variables, &flags).expect("valid");
        let (port, origin) = match (in_file, in_env, in_flag) {
            (_, _, Some(port)) => (port.into(), Origin::Flag("--listen")),
            (_, Some(port), None) => (port.into(), Origin::Env("VOLUTE__SERVER__LISTEN".into())),
            (Some(port), None, None) => (port.into(), Origin::File(path)),
            (None, None, None) => (5000, Origin::Default),
        };
        prop_assert_eq!(settings.config.server.listen.port(), port);
        let setting = settings.values.iter().find(|setting| setting.key == "server.listen").expect("the key");
        prop_assert_eq!(&setting.origin, &origin);
    }

    /// All keys of an arbitrary set of unknown keys are reported.
    #[test]
    fn no_unknown_key_is_lost(names in prop::collection::btree_set("[a-z]{1,8}_x", 1..8)) {
        let text: String = names.iter().map(|name| format!("{name} = 1\n")).collect();
        let (_folder, path) = file(&format!("[store]\n{text}"));
        let found = mistakes(Some(&path), &[], &[]);
        let keys: BTreeSet<String> = found.into_iter().map(|mistake| mistake.setting.key).collect();
        prop_assert_eq!(keys, names.into_iter().map(|name| format!("store.{name}")).collect::<BTreeSet<_>>());
    }
}
