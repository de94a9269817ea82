//! Valid and invalid pump tags, their normalisation, file names and hash slots.

use proptest::prelude::*;

use super::*;

/// A tag as sent, and its id.
const VALID_TAGS: [(&str, &str); 40] = [
    ("p", "p"),
    ("-", "-"),
    ("pump-1", "pump-1"),
    ("P:3.a_b", "P:3.a_b"),
    ("10 PAC20 AP001", "10 PAC20 AP001"),
    ("10PAC20 AP001", "10PAC20 AP001"),
    ("=10.PAC20.AP001-M01", "=10.PAC20.AP001-M01"),
    ("+A1-M1", "+A1-M1"),
    ("-M1", "-M1"),
    ("@SUM(1+1)", "@SUM(1+1)"),
    ("P-101A/B", "P-101A/B"),
    ("a/../b", "a/../b"),
    ("a\\b", "a\\b"),
    ("...", "..."),
    (".hidden", ".hidden"),
    ("Pumpe #3", "Pumpe #3"),
    ("P&T", "P&T"),
    ("O'Brien's", "O'Brien's"),
    ("'; DELETE pump; --", "'; DELETE pump; --"),
    ("100%", "100%"),
    ("a%2Fb", "a%2Fb"),
    ("a%252Fb", "a%252Fb"),
    ("a?b=c", "a?b=c"),
    ("a;b,c|d", "a;b,c|d"),
    ("⟨P⟩`1`", "⟨P⟩`1`"),
    ("\"P\"", "\"P\""),
    ("<b>P</b>", "<b>P</b>"),
    ("**", "**"),
    ("Förderpumpe 3", "Förderpumpe 3"),
    ("Fo\u{308}rderpumpe 3", "Förderpumpe 3"),
    ("  Förderpumpe\u{a0}\u{a0}3 ", "Förderpumpe 3"),
    ("冷却泵2", "冷却泵2"),
    ("насос №4", "насос №4"),
    ("משאבה 5", "משאבה 5"),
    ("مضخة ٦", "مضخة ٦"),
    ("पंप ७", "पंप ७"),
    ("Ｐ１", "Ｐ１"),
    ("\u{212b}ngpump", "Ångpump"),
    ("🚰 1", "🚰 1"),
    ("CON", "CON"),
];

const INVALID_TAGS: [&str; 30] = [
    "",
    " ",
    "\u{a0}",
    ".",
    "..",
    " .. ",
    "*",
    "P\n",
    "P\r\n1",
    "P\t1",
    "P\0",
    "P\u{7f}",
    "P\u{85}1",
    "P\u{200b}1",
    "\u{feff}P",
    "P\u{202e}1",
    "P\u{2066}1",
    "P\u{200e}",
    "P\u{ad}1",
    "P\u{2028}1",
    "P\u{fffd}rderpumpe",
    "\u{e000}",
    "\u{378}",
    "\u{ffff}",
    "\u{301}",
    "\u{20dd}P",
    "P \u{308}",
    "👩\u{200d}🔧",
    "⚙\u{fe0f}",
    "\u{3164}",
];

#[test]
fn plant_tags_are_valid_and_invisible_characters_are_refused() {
    for (text, id) in VALID_TAGS {
        assert_eq!(text.parse::<PumpId>().expect(text).as_str(), id);
        let stem = text.parse::<PumpId>().expect(text).file_stem();
        assert!(!stem.contains(['/', '\\', ' ', '*', '?', '"', '<', '>', '|', ':']), "{stem}");
    }
    for text in INVALID_TAGS {
        let message = text.parse::<PumpId>().expect_err(text).to_string();
        assert!(message.contains(PumpId::ALLOWED), "{message}");
    }
}

#[test]
fn lengths_are_in_characters_and_in_bytes() {
    for good in ["x".repeat(64), "ü".repeat(64), "冷".repeat(64), "🚰".repeat(48)] {
        let stem = good.parse::<PumpId>().expect(&good).file_stem();
        assert!(stem.len() < 240, "{} bytes", stem.len());
    }
    for bad in ["x".repeat(65), "冷".repeat(65), "🚰".repeat(49)] {
        assert!(bad.parse::<PumpId>().is_err(), "{bad}");
    }
    let long = "x".repeat(65);
    let message = "x".repeat(10_000).parse::<PumpId>().expect_err("too long").to_string();
    assert!(
        message.starts_with(&format!("{long:?} is not a valid pump id")),
        "no more of it than shows that it is too long: {message}"
    );
}

#[test]
fn case_distinguishes_ids_and_normalisation_merges_spellings() {
    let id = |text: &str| text.parse::<PumpId>().expect("an id");
    assert_ne!(id("p-1"), id("P-1"));
    assert_eq!(id("Caf\u{e9}"), id("Cafe\u{301}"));
    assert_eq!(id("10 PAC20"), id(" 10\u{a0}\u{2003} PAC20"));
}

#[test]
fn stored_ids_of_older_versions_can_still_be_read() {
    for old in [".", "..", "P:3.a_b", "-"] {
        assert_eq!(PumpId::from_stored(old).expect(old).as_str(), old);
    }
    assert!(PumpId::from_stored("*").is_err() && PumpId::from_stored("P\u{202e}").is_err());
}

#[test]
fn file_stems_are_valid_on_every_system() {
    for (id, stem) in [
        ("P-101A/B", "P-101A%2FB"),
        ("Förderpumpe 3", "Förderpumpe%203"),
        ("a%2Fb", "a%252Fb"),
        (".hidden", "%2Ehidden"),
        ("P.1.", "P.1%2E"),
        ("a/../b", "a%2F..%2Fb"),
        ("CON", "%43ON"),
        ("con.1", "%63on.1"),
        ("Lpt9", "%4Cpt9"),
        ("CONTROL", "CONTROL"),
    ] {
        assert_eq!(id.parse::<PumpId>().expect(id).file_stem(), stem);
    }
    for strange in ["", "a%2", "a%zz", "a%+1", "a%2fb", "a/b", "%61", "a\u{202e}"] {
        assert_eq!(PumpId::from_file_stem(strange), None, "{strange:?}");
    }
}

#[test]
fn display_names_may_be_reserved_ids() {
    let name: PumpName = " Feed  pump\u{a0}3 ".parse().expect("a name");
    assert_eq!(name.as_str(), "Feed pump 3");
    assert!("*".parse::<PumpName>().is_ok() && "冷".repeat(80).parse::<PumpName>().is_ok());
    for bad in ["", " ", "a\nb", "a\u{202e}b", &"x".repeat(81)] {
        assert!(bad.parse::<PumpName>().expect_err(bad).to_string().contains(PumpName::ALLOWED));
    }
}

proptest! {
    #[test]
    fn any_text_is_refused_or_survives_every_round_trip(text in "\\PC{0,20}|[ -~]{0,70}|.{0,12}") {
        let Ok(id) = text.parse::<PumpId>() else { return Ok(()) };
        prop_assert_eq!(&id.as_str().parse::<PumpId>().expect("its own text"), &id);
        prop_assert_eq!(&PumpId::from_stored(id.as_str()).expect("stored"), &id);
        let stem = id.file_stem();
        prop_assert!(stem.len() < 240 && !stem.contains(['/', '\\', '\0']) && !stem.starts_with('.'), "{}", stem);
        prop_assert_eq!(PumpId::from_file_stem(&stem), Some(id));
    }
}

#[test]
fn hash_slots_are_stable_and_evenly_spread() {
    let slots =
        ["P-1", "P-2", "P-10", "Förderpumpe 3"].map(|pump| pump.parse::<PumpId>().expect("an id").hash_slot(60_000));
    assert_eq!(slots, [26325, 1692, 19423, 20491]);
    let mut pumps_with = [0; 10];
    for n in 0..1000 {
        let pump: PumpId = format!("P-{n}").parse().expect("an id");
        assert_eq!(
            (pump.hash_slot(10), pump.hash_slot(1), pump.hash_slot(0)),
            (pump.as_str().parse::<PumpId>().expect("the same id").hash_slot(10), 0, 0)
        );
        pumps_with[usize::from(pump.hash_slot(10))] += 1;
    }
    assert!(pumps_with.iter().all(|pumps| (50..200).contains(pumps)), "{pumps_with:?}");
}
