//! Progress bars, on a terminal only.

use crate::output::Output;
use indicatif::{ProgressBar, ProgressStyle};
use memlife::Progress;
use std::sync::Arc;
use std::time::Duration;

/// A bar that counts entries; invisible where nobody watches.
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar for `doing`, of `total` entries where that is known.
    pub fn new(output: &Output, doing: &'static str, total: Option<u64>) -> Self {
        let bar = if output.shows_progress() { ProgressBar::no_length() } else { ProgressBar::hidden() };
        bar.set_message(doing);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {human_pos} {per_sec}") {
            bar.set_style(style);
        }
        let bar = Bar(bar);
        bar.show_total(total);
        if output.shows_progress() {
            bar.0.enable_steady_tick(Duration::from_millis(100));
        }
        bar
    }

    /// Says how many are done.
    pub fn set(&self, done: u64) {
        self.0.set_position(done);
    }

    /// What the engine tells its progress to.
    pub fn listener(&self) -> Progress {
        let bar = Bar(self.0.clone());
        Arc::new(move |done, total| {
            bar.show_total(total);
            bar.set(done);
        })
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }

    fn show_total(&self, total: Option<u64>) {
        let Some(total) = total.filter(|total| self.0.length() != Some(*total)) else { return };
        self.0.set_length(total);
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {eta}") {
            self.0.set_style(style);
        }
    }
}
