//! Live progress on standard error: a line per phase, and a bar over the whole transfer.
//!
//! Only for eyes: where standard error is no terminal, nothing is written at all.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Path, Phase, units};

const BAR: &str = "{bar:40} {percent:>3} %  {decimal_bytes} of {decimal_total_bytes}, {eta} left";
const LINE: &str = "{spinner} {prefix:<14} {msg}";

/// The display of one run.
pub struct Progress {
    display: MultiProgress,
    bar: ProgressBar,
    /// The phase under way.
    line: Option<Line>,
}

struct Line {
    shown: ProgressBar,
    path: Path,
    start_ns: u64,
    bytes: u64,
}

impl Progress {
    /// A display for a transfer of `total_bytes`, both directions. `quiet` shows nothing.
    #[must_use]
    pub fn new(total_bytes: u64, quiet: bool) -> Self {
        let target = if quiet {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        Self::on(target, total_bytes)
    }

    fn on(target: ProgressDrawTarget, total_bytes: u64) -> Self {
        let display = MultiProgress::with_draw_target(target);
        let bar = display.add(ProgressBar::new(total_bytes).with_style(style(BAR)));
        Self {
            display,
            bar,
            line: None,
        }
    }

    /// Opens the line of a phase. `path` is the one that carries now.
    pub fn start_phase(&mut self, name: &str, path: Path, now_ns: u64) {
        let shown = ProgressBar::new_spinner().with_style(style(LINE));
        let shown = self.display.insert_before(&self.bar, shown);
        shown.set_prefix(name.to_owned());
        let line = Line {
            shown,
            path,
            start_ns: now_ns,
            bytes: 0,
        };
        line.show(now_ns);
        self.line = Some(line);
    }

    /// Counts payload bytes that `path` delivered.
    pub fn advance(&mut self, bytes: u64, path: Path, now_ns: u64) {
        self.bar.inc(bytes);
        if let Some(line) = &mut self.line {
            line.bytes += bytes;
            line.path = path;
            line.show(now_ns);
        }
    }

    /// Closes the phase's line; it stays on the screen with the final figures.
    pub fn finish_phase(&mut self, phase: &Phase) {
        let Some(line) = self.line.take() else { return };
        let duration = phase.end_ns.saturating_sub(phase.start_ns);
        line.shown.finish_with_message(format!(
            "{:<6}  {:>8}  {:>11}  blackout {} ms, {} lost, {} duplicated",
            phase.path.name(),
            units::bytes(phase.bytes),
            units::rate(phase.bytes, duration),
            units::milliseconds(phase.blackout_ns),
            phase.lost,
            phase.duplicated,
        ));
    }

    /// Writes a line above the display, e.g. an event of the run.
    pub fn note(&self, text: &str) {
        // Only the terminal can fail here, and it is only for eyes.
        let _ = self.display.println(text);
    }

    /// Takes the bar away; the lines of the phases stay.
    pub fn finish(self) {
        if let Some(line) = self.line {
            line.shown.abandon();
        }
        self.bar.finish_and_clear();
    }
}

impl Line {
    fn show(&self, now_ns: u64) {
        if self.shown.is_hidden() {
            return;
        }
        let elapsed = now_ns.saturating_sub(self.start_ns);
        self.shown.set_message(format!(
            "{:<6}  {:>8}  {:>11}  {:.1?}",
            self.path.name(),
            units::bytes(self.bytes),
            units::rate(self.bytes, elapsed),
            Duration::from_nanos(elapsed),
        ));
        self.shown.tick();
    }
}

/// The templates are constants that the tests render.
fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    style
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸─")
}

#[cfg(test)]
mod tests {
    use indicatif::InMemoryTerm;

    use super::*;
    use crate::report::example;

    fn on(terminal: &InMemoryTerm, total: u64) -> Progress {
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(terminal.clone()), 255);
        Progress::on(target, total)
    }

    #[test]
    fn a_running_phase_shows_path_bytes_and_rate_above_the_bar() {
        let terminal = InMemoryTerm::new(10, 100);
        let mut progress = on(&terminal, 2_000_000);
        progress.start_phase("vf present", Path::Vf, 0);
        progress.advance(1_000_000, Path::Virtio, 8_000_000);
        progress.bar.force_draw();
        let screen = terminal.contents();
        let lines: Vec<_> = screen.lines().collect();
        assert_eq!(lines.len(), 2, "{screen}");
        assert!(
            lines[0].contains("vf present     virtio   1.00 MB  1.00 Gbit/s"),
            "{screen}"
        );
        assert!(lines[1].contains("50 %"), "{screen}");
    }

    #[test]
    fn finished_phases_stay_and_the_bar_goes() {
        let terminal = InMemoryTerm::new(10, 100);
        let mut progress = on(&terminal, 25_165_824);
        for phase in &example::outcome().phases[..2] {
            progress.start_phase(&phase.name, phase.path, phase.start_ns);
            progress.advance(phase.bytes, phase.path, phase.end_ns);
            progress.finish_phase(phase);
        }
        progress.finish();
        let screen = terminal.contents();
        let lines: Vec<_> = screen.lines().collect();
        assert_eq!(lines.len(), 2, "{screen}");
        let figures = "12.6 MB   403 Mbit/s  blackout 0.250 ms, 0 lost, 0 duplicated";
        assert!(
            lines[0].contains("vf present") && lines[0].contains(figures),
            "{screen}"
        );
        assert!(
            lines[1].contains("vf withdrawn") && lines[1].contains(figures),
            "{screen}"
        );
    }

    #[test]
    fn a_quiet_display_is_hidden() {
        let progress = Progress::new(1, true);
        assert!(progress.display.is_hidden());
    }
}
