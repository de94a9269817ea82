//! Chains as they are, and after every single change that somebody can make.

use proptest::prelude::*;

use super::*;
use crate::store::{audit_entry::AuditEntry, document::DocumentKind};

/// The stored fields of a chain of `count` entries, and its head.
fn chain(count: u64) -> (Vec<Fields>, ChainHead) {
    let (mut rows, mut head) = (Vec::new(), ChainHead::EMPTY);
    for n in 0..count {
        let at = Timestamp::from_millis(1_773_051_273_000 + n as i64).expect("a time");
        let entry = AuditEntry::new(at, "user ada", "restart", &format!("pump/{n}"));
        let entry = entry.linked(head.number + 1, head.hash).expect("linked");
        let link = entry.link.expect("a link");
        head = ChainHead { number: link.number, hash: link.hash, at_ms: at.millis() };
        rows.push(fields(&entry));
    }
    (rows, head)
}

fn fields(entry: &AuditEntry) -> Fields {
    serde_json::to_value(entry.to_fields()).expect("JSON").as_object().expect("fields").clone()
}

fn entry(row: &Fields) -> AuditEntry {
    let fields = serde_json::from_value(Value::Object(row.clone())).expect("fields");
    AuditEntry::from_fields(fields).expect("an entry")
}

fn found(row: &Fields) -> FoundLink {
    let entry = entry(row);
    let link = entry.link.expect("a link");
    FoundLink { at: entry.at, link, is_intact: ChainHash::of(row) == link.hash }
}

fn fault(rows: &[Fields], head: ChainHead) -> Option<ChainFault> {
    first_fault(rows.iter().map(found).collect(), (ChainHead::EMPTY, head), None, None)
}

#[test]
fn a_chain_is_intact_in_any_order_of_its_rows_and_from_its_anchor() {
    assert_eq!(fault(&[], ChainHead::EMPTY), None);
    let (mut rows, head) = chain(9);
    assert_eq!(fault(&rows, head), None);
    rows.reverse();
    assert_eq!(fault(&rows, head), None);
    let fourth = entry(&rows[5]);
    let link = fourth.link.expect("a link");
    assert_eq!(link.number, 4);
    let anchor = ChainHead { number: 4, hash: link.hash, at_ms: fourth.at.millis() };
    let links = || rows[..5].iter().map(found).collect::<Vec<_>>();
    assert_eq!(first_fault(links(), (anchor, head), None, None), None);
    let other = ChainHead { hash: head.hash, ..anchor };
    let at_ms = anchor.at_ms + 1;
    assert_eq!(first_fault(links(), (other, head), None, None), Some(ChainFault::Replaced { number: 5, at_ms }));
    assert_eq!(
        first_fault(links(), (ChainHead::EMPTY, head), None, None),
        Some(ChainFault::Removed { first: 1, last: 4 })
    );
}

#[test]
fn the_canonical_form_separates_names_values_and_types() {
    let hash =
        |json: &str| ChainHash::of(serde_json::from_str::<Value>(json).expect("JSON").as_object().expect("fields"));
    let same = hash(r#"{"a":"x","b":1}"#);
    assert_eq!(hash(r#"{"b":1,"hash":"y","a":"x","c":null}"#), same, "neither order, nor nulls, nor the own hash");
    for other in [r#"{"a":"xb","":1}"#, r#"{"a":"x","b":"1"}"#, r#"{"a":"x","b":1,"c":""}"#, r#"{"ax":"b","":1}"#] {
        assert_ne!(hash(other), same, "{other}");
    }
}

#[test]
fn a_noted_entry_is_compared() {
    let (rows, head) = chain(5);
    let links = || rows.iter().map(found).collect::<Vec<_>>();
    let expect = |number, hash| first_fault(links(), (ChainHead::EMPTY, head), None, Some((number, hash)));
    let third = entry(&rows[2]).link.expect("a link").hash;
    assert_eq!((expect(3, third), expect(5, head.hash)), (None, None));
    for number in [3, 6] {
        assert_eq!(expect(number, head.hash), Some(ChainFault::Unexpected { number }));
    }
}

#[test]
fn an_entry_outside_of_the_chain_is_older_than_it() {
    let (rows, head) = chain(3);
    let links = || rows.iter().map(found).collect::<Vec<_>>();
    let first = found(&rows[0]).at;
    let with = |at: i64| {
        first_fault(links(), (ChainHead::EMPTY, head), Some(Timestamp::from_millis(at).expect("a time")), None)
    };
    assert_eq!((with(first.millis() - 1), with(first.millis())), (None, None));
    assert_eq!(with(first.millis() + 1), Some(ChainFault::OutsideChain { at_ms: first.millis() + 1 }));
}

/// What somebody does to the stored rows of a chain of `count` entries.
#[derive(Debug, Clone)]
enum Tampering {
    Change { at: usize, field: usize, rehash: bool },
    AddField { at: usize },
    Remove { at: usize },
    Swap { a: usize, b: usize },
    Insert { at: usize, relink: bool },
    Truncate { count: usize },
}

fn tampering(count: usize) -> impl Strategy<Value = Tampering> {
    let at = 0..count;
    prop_oneof![
        (at.clone(), 0..7_usize, any::<bool>()).prop_map(|(at, field, rehash)| Tampering::Change { at, field, rehash }),
        at.clone().prop_map(|at| Tampering::AddField { at }),
        at.clone().prop_map(|at| Tampering::Remove { at }),
        (at.clone(), at.clone()).prop_filter("two", |(a, b)| a != b).prop_map(|(a, b)| Tampering::Swap { a, b }),
        (at.clone(), any::<bool>()).prop_map(|(at, relink)| Tampering::Insert { at, relink }),
        (1..=count).prop_map(|count| Tampering::Truncate { count }),
    ]
}

/// Applies it. The rows are in the order of their numbers.
fn tamper(rows: &mut Vec<Fields>, how: &Tampering) {
    match *how {
        Tampering::Change { at, field, rehash } => {
            let mut changed = entry(&rows[at]);
            match field {
                0 => changed.at = Timestamp::from_millis(changed.at.millis() + 1).expect("a time"),
                1 => changed.who.push('x'),
                2 => changed.action.push('x'),
                3 => changed.object.push('x'),
                4 => changed.outcome.push('x'),
                5 => changed.detail.push('x'),
                _ => changed.change.after = Some("x".to_owned()),
            }
            if rehash {
                let link = changed.link.expect("a link");
                changed = changed.linked(link.number, link.previous).expect("linked");
            }
            rows[at] = fields(&changed);
        }
        Tampering::AddField { at } => drop(rows[at].insert("note".to_owned(), "x".into())),
        Tampering::Remove { at } => drop(rows.remove(at)),
        Tampering::Swap { a, b } => {
            // The contents change places; the links stay.
            let (mut one, mut other) = (entry(&rows[a]), entry(&rows[b]));
            std::mem::swap(&mut one.link, &mut other.link);
            (rows[a], rows[b]) = (fields(&other), fields(&one));
        }
        Tampering::Insert { at, relink } => {
            let link = entry(&rows[at]).link.expect("a link");
            let mut new = AuditEntry::new(entry(&rows[at]).at, "user eve", "restart", "gate");
            new = new.linked(link.number, if relink { link.previous } else { link.hash }).expect("linked");
            rows.insert(at, fields(&new));
        }
        Tampering::Truncate { count } => rows.truncate(rows.len() - count),
    }
}

proptest! {
    #[test]
    fn every_single_change_is_found((count, how) in (2..12_usize).prop_flat_map(|n| (Just(n), tampering(n)))) {
        let (mut rows, head) = chain(count as u64);
        tamper(&mut rows, &how);
        let fault = fault(&rows, head);
        prop_assert!(fault.is_some(), "{how:?} of {count}");
        // The fault names the place: the entry, or the one after it, whose link shows it.
        let number = match fault {
            Some(ChainFault::Changed { number, .. } | ChainFault::Inserted { number, .. }) => number,
            Some(ChainFault::Replaced { number, .. } | ChainFault::OtherEnd { number }) => number,
            Some(ChainFault::Removed { first, .. }) => first,
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        } as usize;
        let place = match how {
            Tampering::Change { at, .. } | Tampering::AddField { at } | Tampering::Remove { at } => at + 1,
            Tampering::Insert { at, .. } => at + 1,
            Tampering::Swap { a, b } => a.min(b) + 1,
            Tampering::Truncate { count: removed } => count - removed + 1,
        };
        prop_assert!(number == place || number == place + 1, "{how:?} of {count}: {number}");
    }
}
