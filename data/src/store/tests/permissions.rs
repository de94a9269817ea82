//! Permissions of the database: a record user can access no table.

use surrealdb::opt::auth::Record;

use super::*;

#[test]
fn a_record_user_reads_and_writes_nothing() {
    const WATCHER: &str = "
        DEFINE TABLE notice SCHEMAFULL PERMISSIONS FULL;
        CREATE notice RETURN NONE;
        DEFINE TABLE watcher SCHEMAFULL PERMISSIONS NONE;
        DEFINE ACCESS watch ON DATABASE TYPE RECORD SIGNUP (CREATE watcher) SIGNIN (SELECT * FROM watcher LIMIT 1);";
    with_store(async |store| {
        let batch = Batch {
            pumps: vec![record("P-1")],
            readings: vec![reading("P-1", 0)],
            detections: vec![detection("P-1", 0)],
            documents: vec![Document::of(&event("P-1", "bearing-hot", 0, false)), Document::of(&entry("restart", 0))],
            checkpoints: vec![checkpoint("P-1", 0, "one")],
            ..Batch::default()
        };
        store.commit(&batch).await.expect("stored");
        store.flush_all().await.expect("flushed");
        let engine = store.engine().await.expect("open");
        engine.execute(WATCHER, []).await.expect("defined");
        let tables: Vec<String> =
            engine.rows("SELECT VALUE name FROM (INFO FOR DB STRUCTURE).tables", []).await.expect("listed");
        for known in ["sensor_readings", "audit_log"] {
            assert!(tables.len() > 10 && tables.iter().any(|table| table == known), "{tables:?}");
        }
        let (db, watched) = (engine.handle(), tables.clone());
        let as_watcher = engine.on_engine_runtime(async move {
            let access = Record {
                namespace: "volute".to_owned(),
                database: "volute".to_owned(),
                access: "watch".to_owned(),
                params: std::collections::BTreeMap::<String, String>::new(),
            };
            db.signup(access).await.expect("signed up");
            let mut seen = Vec::new();
            for table in watched {
                let mut response = db
                    .query("SELECT * FROM type::table($table)")
                    .bind(("table", table.clone()))
                    .await
                    .expect("queried");
                // The query is refused, or returns no rows.
                seen.push((table, response.take::<Vec<Value>>(0).unwrap_or_default().len()));
            }
            let written = db.query("CREATE pump:intruder").await.expect("queried").check();
            (seen, written.is_err())
        });
        let (seen, refused) = as_watcher.await;
        let open: Vec<_> = seen.into_iter().filter(|(_, rows)| *rows > 0).collect();
        assert_eq!(open, [("notice".to_owned(), 1)], "what is open can be read, and nothing else");
        let rows: Vec<Value> = engine.rows("SELECT * FROM sensor_readings, audit_log", []).await.expect("read");
        assert_eq!(rows.len(), 2, "they are there all the same");
        let pumps: Vec<Value> = engine.rows("SELECT * FROM pump", []).await.expect("read");
        assert!(refused || pumps.len() == 1, "nothing was written");
        assert_eq!(pumps.len(), 1);
    });
}
