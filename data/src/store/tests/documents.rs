//! Documents: what the store does for a kind that is declared, from the commit to the export.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::*;
use crate::{export_documents, store::record};

const DAY_MS: i64 = 86_400_000;

/// A note about a pump, kept for a day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Note {
    pump: String,
    at_ms: i64,
    text: String,
    weight: f64,
    #[serde(default)]
    tags: Vec<String>,
}

impl DocumentKind for Note {
    const TABLE: &'static str = "note";
    const KEY_PREFIX: KeyPrefix = KeyPrefix::Pump;
    const BELONGS_TO_PUMP: bool = true;
    const RETENTION: Option<Duration> = Some(Duration::from_millis(DAY_MS as u64));
    type Fields = Self;

    fn key(&self) -> DocumentKey {
        DocumentKey::new([self.pump.as_str().into(), self.at_ms.into()])
    }

    fn to_fields(&self) -> Self {
        self.clone()
    }

    fn from_fields(fields: Self) -> Result<Self, String> {
        Ok(fields)
    }
}

/// A secret that belongs to no pump, kept for ever.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Token {
    name: String,
    at_ms: i64,
    /// Its range exceeds that of a signed number.
    secret: u64,
}

impl DocumentKind for Token {
    const TABLE: &'static str = "token";
    const KEY_PREFIX: KeyPrefix = KeyPrefix::Other;
    const BELONGS_TO_PUMP: bool = false;
    const RETENTION: Option<Duration> = None;
    const SECRET: bool = true;
    type Fields = Self;

    fn key(&self) -> DocumentKey {
        DocumentKey::new([self.name.as_str().into()])
    }

    fn to_fields(&self) -> Self {
        self.clone()
    }

    fn from_fields(fields: Self) -> Result<Self, String> {
        Ok(fields)
    }
}

fn note(name: &str, ms: i64, text: &str) -> Note {
    Note { pump: name.into(), at_ms: at(ms).millis(), text: text.into(), weight: 0.1, tags: vec!["seal".into()] }
}

fn token(name: &str) -> Token {
    Token { name: name.into(), at_ms: at(0).millis(), secret: 1 << 62 }
}

fn batch<K: DocumentKind>(rows: &[K]) -> Batch {
    Batch { documents: documents(rows), ..Batch::default() }
}

async fn notes(store: &Store, filter: &DocumentFilter) -> Vec<Note> {
    store.documents(filter, |_: &Note| true).await.expect("read").into_complete().expect("whole")
}

async fn rows(store: &Store, table: &'static str) -> usize {
    let engine = store.engine().await.expect("open");
    let rows: Vec<Value> =
        engine.rows("SELECT * FROM type::table($table)", [("table", Value::String(table.into()))]).await.expect("read");
    rows.len()
}

fn of_pump(name: &str) -> DocumentFilter {
    DocumentFilter { pump: Some(pump(name)), ..DocumentFilter::default() }
}

#[test]
fn a_document_is_read_from_the_journal_alone_and_from_the_database_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let all = [note("P-1", 0, "one"), note("P-2", 1, "two")];
    runtime().block_on(async {
        let store = open(&dir).await;
        store.commit(&batch(&all)).await.expect("stored");
        store.commit(&batch(&[token("a")])).await.expect("stored");
        for flushed in [false, false, true, true] {
            if flushed {
                store.flush_all().await.expect("flushed");
                assert!(store.0.head().other_rows().is_empty());
            }
            assert_eq!(
                (rows(&store, "note").await, rows(&store, "token").await),
                if flushed { (2, 1) } else { (0, 0) }
            );
            assert_eq!(notes(&store, &DocumentFilter::default()).await, all);
            assert_eq!(notes(&store, &of_pump("P-2")).await, all[1..]);
            assert_eq!(store.document::<Note>(&all[0].key()).await.expect("read").as_ref(), Some(&all[0]));
            assert_eq!(store.document::<Note>(&note("P-3", 0, "").key()).await.expect("read"), None);
            assert_eq!(store.document::<Token>(&token("a").key()).await.expect("read"), Some(token("a")));
        }
        store.close().await.expect("closed");
        let store = open(&dir).await;
        assert!(store.0.head().other_rows().is_empty(), "the journal's mark is beyond them");
        assert_eq!(notes(&store, &DocumentFilter::default()).await, all);
    });
}

#[test]
fn the_last_document_of_a_key_counts() {
    with_store(async |store| {
        let versions = ["one", "two", "three"].map(|text| note("P-1", 0, text));
        store.commit(&batch(&versions[..1])).await.expect("stored");
        store.flush_all().await.expect("flushed");
        store.commit(&batch(&versions[1..])).await.expect("stored");
        for _ in 0..2 {
            assert_eq!(notes(&store, &DocumentFilter::default()).await, versions[2..]);
            assert_eq!(store.document::<Note>(&versions[0].key()).await.expect("read").as_ref(), versions.last());
            let first =
                store.documents(&DocumentFilter::default(), |note: &Note| note.text == "one").await.expect("read");
            assert_eq!(first.rows, [], "what is replaced is not found");
            store.flush_all().await.expect("flushed");
        }
        assert_eq!(rows(&store, "note").await, 1);
    });
}

/// More documents than one read returns, some in the database and some in the head.
#[test]
fn pages_lead_through_many_documents_in_either_order() {
    with_store(async |store| {
        let all: Vec<Note> = (0..2_500).map(|n| note(["P-1", "P-10"][n % 2], n as i64 / 4, "x")).collect();
        for part in all[..2_000].chunks(500) {
            store.commit(&batch(part)).await.expect("stored");
        }
        store.flush_all().await.expect("flushed");
        store.commit(&batch(&all[2_000..])).await.expect("stored");
        let mut distinct: Vec<(i64, String)> = all.iter().map(|note| (note.at_ms, note.pump.clone())).collect();
        distinct.sort();
        distinct.dedup();
        for order in [SortOrder::OldestFirst, SortOrder::NewestFirst] {
            let mut filter =
                DocumentFilter { range: PageRange { order, limit: 301, ..PageRange::default() }, pump: None };
            let mut found = Vec::new();
            loop {
                let page = notes(&store, &filter).await;
                let Some(last) = page.last() else { break };
                filter.range.after = Timestamp::from_millis(last.at_ms).ok();
                found.extend(page.into_iter().map(|note| (note.at_ms, note.pump)));
                assert!(found.len() <= distinct.len(), "the pages lead in a circle");
            }
            found.sort();
            assert_eq!(found, distinct);
        }
        let of_one = notes(&store, &of_pump("P-1")).await;
        assert!(of_one.iter().all(|note| note.pump == "P-1"), "a name that begins with another is another");
        assert_eq!(of_one.len(), distinct.iter().filter(|(_, pump)| pump == "P-1").count());
    });
}

#[test]
fn the_documents_of_a_pump_are_removed_with_it() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let store = open(&dir).await;
        let pumps = Batch { pumps: vec![record("P-1"), record("P-2")], ..Batch::default() };
        store.commit(&pumps).await.expect("stored");
        store.commit(&batch(&[note("P-1", 0, "stored"), note("P-2", 0, "stays")])).await.expect("stored");
        store.commit(&batch(&[token("P-1")])).await.expect("stored");
        store.flush_all().await.expect("flushed");
        store.commit(&batch(&[note("P-1", 1, "waits")])).await.expect("stored");
        store.commit(&Batch { removals: vec![pump("P-1")], ..Batch::default() }).await.expect("removed");
        let stays = [note("P-2", 0, "stays")];
        assert_eq!(notes(&store, &DocumentFilter::default()).await, stays, "before it is in the database");
        store.finish_removals().await.expect("deleted");
        assert_eq!((rows(&store, "note").await, rows(&store, "token").await), (1, 1));
        store.close().await.expect("closed");
        let store = open(&dir).await;
        assert_eq!(notes(&store, &DocumentFilter::default()).await, stays);
    });
}

#[test]
fn documents_older_than_their_retention_are_deleted() {
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let retention =
        Retention { readings: days(1), aggregates: days(1), detections: days(1), metrics: days(1), audit: days(9_999) };
    with_store(async |store| {
        let all: Vec<Note> = (0..4).map(|n| note("P-1", n * DAY_MS / 2, "x")).collect();
        store.commit(&batch(&all)).await.expect("stored");
        store.commit(&batch(&[token("old")])).await.expect("stored");
        store.flush_all().await.expect("flushed");
        let swept = store.sweep(&retention, at(2 * DAY_MS)).await.expect("swept");
        assert_eq!((swept.deleted, swept.more), (1, false));
        assert_eq!(notes(&store, &DocumentFilter::default()).await, all[2..], "what is as old as it may be stays");
        let again = store.sweep(&retention, at(2 * DAY_MS + 1)).await.expect("swept");
        assert_eq!(again, SweepReport::default(), "once an hour is enough");
        store.sweep(&retention, at(2 * DAY_MS + 3_600_000)).await.expect("swept");
        assert_eq!(notes(&store, &DocumentFilter::default()).await, all[3..]);
        assert_eq!(rows(&store, "token").await, 1, "kept for good");
    });
}

#[test]
fn unknown_fields_are_ignored_and_missing_fields_have_their_default() {
    const OTHERS: &str = "CREATE note:['P-1', 1773051273000] CONTENT {
        pump: 'P-1', at_ms: 1773051273000, text: 'old', weight: 1, colour: { of: 'tomorrow' } }";
    with_store(async |store| {
        store.engine().await.expect("open").execute(OTHERS, []).await.expect("stored");
        let expected = Note { weight: 1.0, tags: Vec::new(), ..note("P-1", 0, "old") };
        assert_eq!(notes(&store, &DocumentFilter::default()).await, [expected]);
    });
}

#[test]
fn an_unreadable_document_is_refused_with_its_batch() {
    let endless = Note { weight: f64::NAN, ..note("P-1", 0, "x") };
    let nameless = Note { pump: String::new(), ..note("P-1", 0, "x") };
    let large = Token { secret: u64::MAX, ..token("large") };
    let of_before = Note { at_ms: i64::MIN, ..note("P-1", 0, "x") };
    with_store(async |store| {
        for (document, expected) in [
            (Document::of(&endless), "weight"),
            (Document::of(&nameless), "pump"),
            (Document::of(&large), "u64"),
            (Document::of(&of_before), "note:["),
            (Document::of(&note("P-1", 0, &"x".repeat(3 << 20))), "bytes"),
            (Document::stored("of_tomorrow".into(), token("a").key(), None, "{}".into()), "there is no such kind"),
        ] {
            let with_another = Batch { documents: vec![Document::of(&token("good")), document], ..Batch::default() };
            let error = store.commit(&with_another).await.expect_err(expected);
            assert!(matches!(error, StoreError::InvalidRow { .. }) && error.to_string().contains(expected), "{error}");
        }
        assert!(store.0.head().other_rows().is_empty());
    });
}

/// The journal has documents of a later version.
#[test]
fn a_document_of_an_unknown_kind_is_flushed() {
    let dir = tempfile::tempdir().expect("a directory");
    runtime().block_on(async {
        let store = open(&dir).await;
        let json = format!(r#"{{"at_ms":{},"pump":"P-1","level":0.5,"none":null}}"#, at(0).millis());
        let of_tomorrow = Document::stored("of_tomorrow".into(), token("a").key(), Some(pump("P-1")), json);
        let bytes =
            record::encode(&Batch { documents: vec![of_tomorrow.clone()], ..Batch::default() }).expect("encoded");
        let (done, is_done) = tokio::sync::oneshot::channel();
        store.0.journal.append_then(bytes, move |written| {
            let _ = done.send(written.is_ok());
        });
        assert!(is_done.await.expect("written"));
        store.close().await.expect("closed");

        let store = open(&dir).await;
        assert_eq!(store.0.head().other_rows().all_documents().collect::<Vec<_>>(), [&of_tomorrow]);
        store.flush_all().await.expect("flushed");
        assert!(store.0.head().other_rows().is_empty());
        let engine = store.engine().await.expect("open");
        let levels: Vec<f64> = engine.rows("SELECT VALUE level FROM of_tomorrow:['a']", []).await.expect("read");
        assert_eq!(levels, [0.5]);
    });
}

#[test]
fn a_backup_has_documents_and_an_export_those_that_are_not_secret() {
    let (dir, copy) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let file = copy.path().join("documents.jsonl");
    runtime().block_on(async {
        let store = open(&dir).await;
        store.commit(&batch(&[note("P-1", 0, "stored"), note("P-1", 1, "replaced")])).await.expect("stored");
        store.commit(&batch(&[entry("restart", 0)])).await.expect("stored");
        store.flush_all().await.expect("flushed");
        store.commit(&batch(&[note("P-1", 1, "waits")])).await.expect("stored");
        store.commit(&batch(&[token("a")])).await.expect("stored");

        assert_eq!(export_documents(&store, &file).await.expect("written"), 4);
        let text = std::fs::read_to_string(&file).expect("read");
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
        let short = |line: &serde_json::Value| format!("{} {}", line["kind"], line["fields"]["text"]);
        let expected = ["\"audit_log\" null", "\"audit_chain\" null", "\"note\" \"stored\"", "\"note\" \"waits\""];
        assert_eq!(lines.iter().map(short).collect::<Vec<_>>(), expected);
        assert_eq!(lines[2]["key"], serde_json::json!(["P-1", at(0).millis()]));
        export_documents(&store, &file).await.expect_err("nothing is written over");

        let staged = copy.path().join("staged");
        std::fs::create_dir(&staged).expect("made");
        store.stage(&staged).await.expect("staged");
        let of_copy = Store::open(&staged, &StoreSettings::default(), at(0)).await.expect("opened");
        let expected = [note("P-1", 0, "stored"), note("P-1", 1, "waits")];
        assert_eq!(notes(&of_copy, &DocumentFilter::default()).await, expected);
        assert_eq!(of_copy.document::<Token>(&token("a").key()).await.expect("read"), Some(token("a")));
    });
}
