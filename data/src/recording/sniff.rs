//! Recognizes files that are not CSV by their first bytes, to tell the user what they are and what to do.

/// The number of bytes at the start of a file that are checked.
pub(super) const SAMPLE_BYTES: usize = 4096;

/// Identifies a binary format by the first bytes of a file; none if the file may be CSV.
pub(super) fn identify_binary(start: &[u8]) -> Option<&'static str> {
    const WORKBOOK: &str = "a spreadsheet's workbook, not CSV: save its sheet as CSV";
    let has = |text: &[u8]| start.windows(text.len()).any(|window| window == text);
    let what = match start {
        [] => "empty",
        [0x1f, 0x8b, ..] => "a gzip file, not CSV: unpack it with gunzip",
        [b'P', b'K', 3, 4, ..] if has(b"[Content_Types].xml") || has(b"xl/") || has(b"mimetype") => WORKBOOK,
        [b'P', b'K', 3 | 5, 4 | 6, ..] => "a zip archive, not CSV: unpack it",
        [0xd0, 0xcf, 0x11, 0xe0, ..] => WORKBOOK,
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => "a bzip2 file, not CSV: unpack it with bunzip2",
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "an xz file, not CSV: unpack it with unxz",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "a zstd file, not CSV: unpack it with unzstd",
        [b'7', b'z', 0xbc, 0xaf, ..] => "a 7z archive, not CSV: unpack it",
        [b'P', b'A', b'R', b'1', ..] => "a Parquet file, not CSV",
        [b'%', b'P', b'D', b'F', ..] => "a PDF, not CSV",
        [b'T', b'D', b'S', b'm', ..] => "a TDMS file of LabVIEW, not CSV: export it as text",
        [0x89, b'H', b'D', b'F', ..] => "an HDF5 file, not CSV",
        _ if start.starts_with(b"SQLite format 3") => "an SQLite database, not CSV",
        _ => return None,
    };
    Some(what)
}

/// Identifies the format of a text file in which no header was found; none if it may be CSV.
pub(super) fn identify_text(lines: &[String]) -> Option<&'static str> {
    let first = lines.iter().map(|line| line.trim_start_matches('\u{feff}').trim()).find(|line| !line.is_empty());
    let Some(first) = first else { return Some("empty but for blank lines") };
    let second = first.get(1..).unwrap_or_default().trim_start().chars().next();
    let is_json = match first.chars().next() {
        Some('{') => matches!(second, None | Some('"' | '}')),
        Some('[') => matches!(second, None | Some('{' | '[' | '"' | ']')),
        _ => false,
    };
    let chars = || lines.iter().take(20).flat_map(|line| line.chars());
    let not_text = chars().filter(|&letter| letter == '\u{fffd}' || (letter.is_control() && letter != '\t')).count();
    if is_json {
        Some("JSON, not CSV: export it as CSV, or post it to a node")
    } else if first.starts_with('<') {
        Some("XML or HTML, not CSV: export it as CSV")
    } else if 10 * not_text > chars().count() {
        Some("not text, so not CSV")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_formats_are_identified() {
        for (bytes, expected) in [
            (&b""[..], "empty"),
            (b"\x1f\x8b\x08\0\0", "gunzip"),
            (b"PK\x03\x04\x14\0\x06\0[Content_Types].xml", "workbook"),
            (b"PK\x03\x04\x14\0\0\0a.csv", "zip archive"),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "workbook"),
            (b"PAR1", "Parquet"),
            (b"%PDF-1.4", "PDF"),
        ] {
            assert!(identify_binary(bytes).is_some_and(|what| what.contains(expected)), "{expected}");
        }
        for text in ["timestamp,Tb\n", "[Header]\n", "PK,timestamp\n", "BZ"] {
            assert_eq!(identify_binary(text.as_bytes()), None, "{text}");
        }
        for (text, expected) in [
            ("{\"a\": 1}", Some("JSON")),
            ("[\n{", Some("JSON")),
            ("[{\"a\": 1}]", Some("JSON")),
            ("<?xml version=\"1.0\"?>", Some("XML")),
            ("\u{1}\u{2}\u{3}\u{4}", Some("not text")),
            ("\n \n", Some("empty")),
            ("[Header]", None),
            ("a,b", None),
        ] {
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            let what = identify_text(&lines);
            assert_eq!(what.is_some(), expected.is_some(), "{text}: {what:?}");
            assert!(
                expected.is_none_or(|expected| what.is_some_and(|what| what.contains(expected))),
                "{text}: {what:?}"
            );
        }
    }
}
