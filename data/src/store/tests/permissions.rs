//! Permissions of the database: what a record user may read is what the user's role may see over the API, and a record
//! user writes nothing.

use std::collections::BTreeMap;

use surrealdb::{opt::auth::Record, types::SurrealValue};
use volute_access::{Permission, Role, UserDirectory};

use super::*;

/// All tables, each with the permission with which the API shows what is in it; none if the API does not show it.
const TABLES: [(&str, Option<Permission>); 35] = [
    ("active_baseline", Some(Permission::View)),
    ("alarm", Some(Permission::View)),
    ("alarm_checkpoint", None),
    ("alarm_rule", Some(Permission::View)),
    ("alarm_transition", Some(Permission::View)),
    ("anomaly_detections", Some(Permission::View)),
    ("api_token", None),
    ("audit_chain", None),
    ("audit_log", Some(Permission::ViewAudit)),
    ("baseline", Some(Permission::View)),
    ("commissioning", Some(Permission::View)),
    ("handover_seen", None),
    ("journal_mark", None),
    ("maintenance_events", Some(Permission::View)),
    ("migration", None),
    ("note", None),
    ("notification", None),
    ("notification_state", None),
    ("notification_thread", None),
    ("past_excursion", Some(Permission::View)),
    ("planned_work", Some(Permission::View)),
    ("pump", Some(Permission::View)),
    ("pump_name", Some(Permission::View)),
    ("pump_removal", None),
    ("pump_setting", Some(Permission::View)),
    ("pump_state", None),
    ("recorded_hour", Some(Permission::View)),
    ("rollup_hour", Some(Permission::View)),
    ("rollup_minute", Some(Permission::View)),
    ("sensor_readings", Some(Permission::View)),
    ("session", None),
    ("system_metrics", Some(Permission::View)),
    ("token", None),
    ("user", None),
    ("watched", None),
];

/// Lets the users of the node sign in by their names. The table `watched` is open, so that the test shows that a user who
/// has signed in reads what is open.
const ACCESS: &str = "
    DEFINE TABLE watched SCHEMAFULL PERMISSIONS FULL;
    CREATE watched RETURN NONE;
    DEFINE ACCESS by_name ON DATABASE TYPE RECORD SIGNIN (SELECT * FROM user WHERE name = $name);";

/// Returns a name for each role, and one user who is disabled.
fn users() -> Vec<(&'static str, Role, bool)> {
    let enabled = Role::ALL.into_iter().map(|role| (role.as_str(), role, false));
    enabled.chain([("disabled", Role::Admin, true)]).collect()
}

fn user_documents() -> Vec<Document> {
    let (mut directory, now) = (UserDirectory::default(), at(0).millis());
    for (name, role, disabled) in users() {
        let name = name.parse().expect("a name");
        let (change, _) = directory.plan_add_user(&name, role, now).expect("added");
        directory.apply(change);
        if disabled {
            let change = directory.plan_disable_user(&name, now).expect("disabled");
            directory.apply(change);
        }
    }
    directory.records().iter().map(Document::of_access).collect()
}

/// The number of rows of each table.
type Seen = BTreeMap<String, usize>;

/// Signs in as a user, reads all tables, and tries to write to all of them.
async fn as_user(engine: &DatabaseEngine, name: &'static str) -> Seen {
    let db = engine.handle();
    engine
        .on_engine_runtime(async move {
            let access = Record {
                namespace: "volute".to_owned(),
                database: "volute".to_owned(),
                access: "by_name".to_owned(),
                params: BTreeMap::from([("name".to_owned(), name.to_owned())]),
            };
            db.signin(access).await.expect("signed in");
            let mut seen = Seen::new();
            for (table, _) in TABLES {
                // A query is refused, or returns no rows. A role that the session binds itself changes nothing.
                let query = db.query("SELECT * FROM type::table($table)").bind(("table", table));
                let mut response = query.bind(("role", "admin")).await.expect("queried");
                seen.insert(table.to_owned(), response.take::<Vec<Value>>(0).unwrap_or_default().len());
                for change in [
                    "CREATE type::record($table, 'intruder')",
                    "UPDATE type::table($table) SET intruder = true",
                    "DELETE type::table($table)",
                ] {
                    if table != "watched" {
                        let _refused = db.query(change).bind(("table", table)).await.map(|response| response.check());
                    }
                }
            }
            seen
        })
        .await
}

async fn row_counts(engine: &DatabaseEngine) -> Seen {
    let mut counts = Seen::new();
    for (table, _) in TABLES {
        let rows: Vec<Value> = engine
            .rows("SELECT * FROM type::table($table)", [("table", table.to_owned().into_value())])
            .await
            .expect("read");
        assert!(!rows.iter().any(|row| format!("{row:?}").contains("intruder")), "{table}: {rows:?}");
        counts.insert(table.to_owned(), rows.len());
    }
    counts
}

/// A batch with a row of each kind that the permissions are about.
fn some_of_everything() -> Batch {
    Batch {
        pumps: vec![record("P-1")],
        readings: vec![reading("P-1", 0)],
        detections: vec![detection("P-1", 0)],
        documents: [
            vec![Document::of(&event("P-1", "bearing-hot", 0, false)), Document::of(&entry("restart", 0))],
            user_documents(),
        ]
        .concat(),
        metrics: vec![SystemMetrics { at: at(3), figures: [("resident_bytes".to_owned(), 1e9)].into() }],
        checkpoints: vec![checkpoint("P-1", 0, "one")],
        ..Batch::default()
    }
}

#[test]
fn a_record_user_reads_what_the_role_may_see_and_writes_nothing() {
    with_store(async |store| {
        store.commit(&some_of_everything()).await.expect("stored");
        store.flush_all().await.expect("flushed");
        let engine = &store.engine().await.expect("open");
        engine.execute(ACCESS, []).await.expect("defined");
        let mut tables: Vec<String> =
            engine.rows("SELECT VALUE name FROM (INFO FOR DB STRUCTURE).tables", []).await.expect("listed");
        tables.sort();
        assert_eq!(tables, TABLES.map(|(table, _)| table), "each table has a line with its permission");
        let stored = row_counts(engine).await;
        let filled = stored.values().filter(|rows| **rows > 0).count();
        assert!(filled > 12 && stored["audit_log"] == 1 && stored["sensor_readings"] == 1, "{stored:?}");
        for (name, role, disabled) in users() {
            let seen = as_user(engine, name).await;
            for (table, permission) in TABLES {
                let may = table == "watched" || (!disabled && permission.is_some_and(|needed| role.may(needed)));
                assert_eq!(seen[table], if may { stored[table] } else { 0 }, "{table} as {name}");
            }
            assert_eq!(row_counts(engine).await, stored, "{name} has changed nothing");
        }
    });
}

/// Compares the definitions, also of the tables that the test above has no rows in.
#[test]
fn each_table_lists_the_roles_of_its_permission() {
    const PERMISSIONS: &str = "SELECT VALUE permissions FROM (INFO FOR DB STRUCTURE).tables WHERE name = $table";
    with_store(async |store| {
        let engine = &store.engine().await.expect("open");
        for (table, permission) in TABLES.into_iter().filter(|(table, _)| *table != "watched") {
            let of_table = [("table", table.to_owned().into_value())];
            let mut defined: Vec<Value> = engine.rows(PERMISSIONS, of_table).await.expect("described");
            let defined = defined.pop().expect("a table").into_json_value();
            for change in ["create", "update", "delete"] {
                assert_eq!(defined[change], false, "{table}: {defined}");
            }
            let select = defined["select"].to_string();
            let listed = Role::ALL.into_iter().filter(|role| select.contains(&format!("'{}'", role.as_str())));
            let granted = Role::ALL.into_iter().filter(|role| permission.is_some_and(|needed| role.may(needed)));
            assert_eq!(listed.collect::<Vec<_>>(), granted.collect::<Vec<_>>(), "{table}: {defined}");
            assert_eq!(select.contains("$auth.disabled = false"), permission.is_some(), "{table}: {defined}");
        }
    });
}

#[test]
fn a_user_record_has_the_fields_that_the_permissions_check() {
    for document in user_documents() {
        let fields = document.fields().expect("fields");
        assert!(fields["disabled"].is_boolean(), "{fields:?}");
        assert!(fields["role"].as_str().and_then(Role::named).is_some(), "{fields:?}");
    }
}

/// A database of the version before the permissions has closed tables, and gets them when it is opened.
#[test]
fn a_database_from_before_the_permissions_is_migrated() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let engine = DatabaseEngine::start(dir.path(), &StoreSettings::default()).await.expect("started");
        migrations::apply(&engine, &migrations::ALL[..12]).await.expect("migrated");
        engine
            .execute(
                "CREATE pump:`P-1` CONTENT { profile: 'small', channels: ['Tb'], registered_ms: 1773051273000 }",
                [],
            )
            .await
            .expect("stored");
        engine.stop().await.expect("closed");
        let store = open(&dir).await;
        store.commit(&Batch { documents: user_documents(), ..Batch::default() }).await.expect("stored");
        store.flush_all().await.expect("flushed");
        let engine = &store.engine().await.expect("open");
        engine.execute(ACCESS, []).await.expect("defined");
        assert_eq!(as_user(engine, "viewer").await["pump"], 1);
        assert_eq!(as_user(engine, "disabled").await["pump"], 0);
    });
}
