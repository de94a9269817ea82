//! Progress on a terminal; plain lines where there is none.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on standard error, hidden where that is no terminal.
pub fn bar(len: u64, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}");
    let bar = ProgressBar::new(len).with_message(what);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// A line above the bar, or just a line.
#[expect(clippy::print_stderr, reason = "progress of a command, not a log")]
pub fn line(bar: &ProgressBar, text: &str) {
    if bar.is_hidden() {
        eprintln!("{text}");
    } else {
        bar.println(text);
    }
}
