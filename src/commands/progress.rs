//! Progress bars on a terminal, or plain lines if standard error is not a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// Returns a bar on standard error; it is hidden if standard error is not a terminal.
pub fn bar(len: u64, label: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}");
    let bar = ProgressBar::new(len).with_message(label);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// Prints a line above the bar, or on standard error if the bar is hidden.
#[expect(clippy::print_stderr, reason = "progress of a command, not a log")]
pub fn line(bar: &ProgressBar, text: &str) {
    if bar.is_hidden() {
        eprintln!("{text}");
    } else {
        bar.println(text);
    }
}
