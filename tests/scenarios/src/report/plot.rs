//! The run as a picture: throughput over time, the path as colour, the borders of the phases.
//!
//! SVG with its text as text: nothing is rendered here, so that no font and no display is needed.

use std::fmt::Display;

use anyhow::{Result, anyhow};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Bin, Outcome, Path, Phase, Throughput, units};

const SIZE: (u32, u32) = (960, 400);
const FONT: &str = "sans-serif";
const TITLE_HEIGHT: u32 = 34;

/// Columns of the picture; more would be narrower than a few pixels.
const MAX_COLUMNS: usize = 220;

/// Part of the height above the highest column, where the phases are named.
const HEADROOM: f64 = 1.45;

/// Size of a phase's label in pixels.
const LABEL: (f64, i32) = (160.0, 36);

/// Width of the plane that the columns stand on, in pixels, near enough to place labels by.
const PLANE_WIDTH: f64 = 900.0;

const VF_COLOUR: RGBColor = RGBColor(37, 99, 175);
const VIRTIO_COLOUR: RGBColor = RGBColor(226, 125, 38);
const INK: RGBColor = RGBColor(51, 51, 51);
const PALE: RGBColor = RGBColor(220, 220, 220);

type Plane = Cartesian2d<RangedCoordf64, RangedCoordf64>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Plane>;

/// Draws the run as an SVG document.
///
/// # Errors
///
/// The plotting library could not draw.
pub fn draw(outcome: &Outcome, throughput: &Throughput) -> Result<String> {
    let mut throughput = throughput.clone();
    throughput.coarsen(MAX_COLUMNS);
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    area.fill(&WHITE).map_err(failed)?;
    let (head, body) = area.split_vertically(TITLE_HEIGHT);
    draw_head(&head, outcome)?;

    let end = end_ms(outcome, &throughput);
    let top = highest_rate(&throughput) * HEADROOM;
    let mut chart = ChartBuilder::on(&body)
        .margin_left(10)
        .margin_right(24)
        .margin_bottom(6)
        .x_label_area_size(36)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..end, 0.0..top)
        .map_err(failed)?;
    draw_axes(&mut chart)?;
    draw_columns(&mut chart, &throughput, end)?;
    for (phase, row) in outcome.phases.iter().zip(label_rows(outcome, end)) {
        draw_phase(&mut chart, phase, top, row)?;
    }
    area.present().map_err(failed)?;
    drop(chart);
    drop((head, body, area));
    Ok(svg)
}

/// Title on the left, the meaning of the colours on the right.
fn draw_head(
    head: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    run: &Outcome,
) -> Result<()> {
    let title = format!("{} device, {}, seed {}", run.backend, run.arch, run.seed);
    let style = (FONT, 15).into_font().color(&INK);
    head.draw(&Text::new(title, (74, 12), style.clone()))
        .map_err(failed)?;
    let width = SIZE.0 as i32;
    for (path, colour, left) in [
        (Path::Vf, VF_COLOUR, width - 160),
        (Path::Virtio, VIRTIO_COLOUR, width - 100),
    ] {
        let patch = Rectangle::new([(left, 13), (left + 12, 25)], colour.filled());
        head.draw(&patch).map_err(failed)?;
        let name = Text::new(path.name(), (left + 18, 12), style.clone());
        head.draw(&name).map_err(failed)?;
    }
    Ok(())
}

fn draw_axes(chart: &mut Chart<'_, '_>) -> Result<()> {
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(PALE)
        .axis_style(INK)
        .label_style((FONT, 13).into_font().color(&INK))
        .x_desc("time in ms")
        .y_desc("Mbit/s")
        .x_label_formatter(&|ms| format!("{ms:.0}"))
        .y_label_formatter(&|rate| format!("{rate:.0}"))
        .draw()
        .map_err(failed)
}

/// One column per bin, the VF's part below virtio's. The last one ends where the run ends.
fn draw_columns(chart: &mut Chart<'_, '_>, throughput: &Throughput, end: f64) -> Result<()> {
    let width = throughput.bin_ns() as f64 / 1e6;
    let columns: Vec<_> = throughput
        .bins()
        .iter()
        .enumerate()
        .map(|(index, bin)| (index as f64 * width, bin))
        .map(|(left, bin)| Column::new(left, (left + width).min(end), bin))
        .collect();
    let vf = columns
        .iter()
        .filter(|column| column.vf > 0.0)
        .map(Column::vf_part);
    chart.draw_series(vf).map_err(failed)?;
    let virtio = columns
        .iter()
        .filter(|column| column.virtio > 0.0)
        .map(Column::virtio_part);
    chart.draw_series(virtio).map_err(failed)?;
    Ok(())
}

/// A bin on the plane: times in ms, rates in Mbit/s.
struct Column {
    left: f64,
    right: f64,
    vf: f64,
    virtio: f64,
}

impl Column {
    fn new(left: f64, right: f64, bin: &Bin) -> Self {
        let span_ns = ((right - left) * 1e6).max(1.0);
        let rate = |bytes| mbit_per_second(bytes, span_ns);
        Self {
            left,
            right,
            vf: rate(bin.vf_bytes),
            virtio: rate(bin.virtio_bytes),
        }
    }

    fn vf_part(&self) -> Rectangle<(f64, f64)> {
        Rectangle::new(
            [(self.left, 0.0), (self.right, self.vf)],
            VF_COLOUR.filled(),
        )
    }

    fn virtio_part(&self) -> Rectangle<(f64, f64)> {
        let corners = [(self.left, self.vf), (self.right, self.vf + self.virtio)];
        Rectangle::new(corners, VIRTIO_COLOUR.filled())
    }
}

/// A dashed line where the phase begins, its name and its blackout beside it.
fn draw_phase(chart: &mut Chart<'_, '_>, phase: &Phase, top: f64, row: i32) -> Result<()> {
    let start = phase.start_ns as f64 / 1e6;
    if phase.start_ns > 0 {
        let border = DashedLineSeries::new([(start, 0.0), (start, top)], 4, 4, INK.into());
        chart.draw_series(border).map_err(failed)?;
    }
    let above_left = Pos::new(HPos::Left, VPos::Top);
    let lines = [
        (14, 6, phase.name.clone()),
        (
            12,
            24,
            format!("longest gap {} ms", units::milliseconds(phase.blackout_ns)),
        ),
    ];
    for (size, down, text) in lines {
        let style = (FONT, size).into_font().color(&INK).pos(above_left);
        let label =
            EmptyElement::at((start, top)) + Text::new(text, (7, down + row * LABEL.1), style);
        chart.draw_series([label]).map_err(failed)?;
    }
    Ok(())
}

/// The row of each phase's label: the first where it does not run into the one before it.
fn label_rows(outcome: &Outcome, end_ms: f64) -> Vec<i32> {
    let width_ms = LABEL.0 / PLANE_WIDTH * end_ms;
    let mut free_from: Vec<f64> = Vec::new();
    let mut row_of = |phase: &Phase| {
        let start = phase.start_ns as f64 / 1e6;
        let row = free_from.iter().position(|&free| free <= start);
        let row = row.unwrap_or(free_from.len());
        free_from.resize(free_from.len().max(row + 1), 0.0);
        free_from[row] = start + width_ms;
        row as i32
    };
    outcome.phases.iter().map(&mut row_of).collect()
}

fn end_ms(outcome: &Outcome, throughput: &Throughput) -> f64 {
    let bins = throughput.bins().len() as u64 * throughput.bin_ns();
    let phases = outcome.phases.iter().map(|phase| phase.end_ns).max();
    let end = phases.unwrap_or(bins);
    end.max(1) as f64 / 1e6
}

fn highest_rate(throughput: &Throughput) -> f64 {
    let sum = |bin: &Bin| bin.vf_bytes + bin.virtio_bytes;
    let highest = throughput.bins().iter().map(sum).max().unwrap_or(0);
    mbit_per_second(highest, throughput.bin_ns() as f64).max(1.0)
}

fn mbit_per_second(bytes: u64, over_ns: f64) -> f64 {
    bytes as f64 * 8_000.0 / over_ns
}

/// The library's errors borrow its backend; only their text can leave.
fn failed(error: impl Display) -> anyhow::Error {
    anyhow!("drawing the plot: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    /// 750 ms at 400 Mbit/s, on the path that the example's phases name.
    fn throughput() -> Throughput {
        let mut throughput = Throughput::new();
        for ms in 0..750 {
            let path = if (250..500).contains(&ms) {
                Path::Virtio
            } else {
                Path::Vf
            };
            throughput.record(ms * 1_000_000, path, 50_000);
        }
        throughput
    }

    fn count(svg: &str, colour: &str) -> usize {
        svg.matches(&format!("fill=\"{colour}\"")).count()
    }

    #[test]
    fn each_bin_is_a_column_in_the_colour_of_its_path() {
        let mut throughput = throughput();
        let svg = draw(&example::outcome(), &throughput).unwrap();
        throughput.coarsen(MAX_COLUMNS);
        let bins = throughput.bins();
        let vf = bins.iter().filter(|bin| bin.vf_bytes > 0).count();
        let virtio = bins.iter().filter(|bin| bin.virtio_bytes > 0).count();
        assert!(vf > virtio && virtio > 10);
        // One patch of each colour explains it.
        assert_eq!(count(&svg, "#2563AF"), vf + 1);
        assert_eq!(count(&svg, "#E27D26"), virtio + 1);
    }

    #[test]
    fn the_phases_are_named_with_their_longest_gap() {
        let svg = draw(&example::outcome(), &throughput()).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        for text in [
            "vf present",
            "vf withdrawn",
            "vf back",
            "longest gap 1.235 ms",
            "Mbit/s",
        ] {
            assert!(svg.contains(text), "{text} is missing");
        }
    }

    #[test]
    fn the_last_column_shows_the_rate_of_the_time_that_it_covers() {
        let half_a_bin = Bin {
            vf_bytes: 50_000,
            virtio_bytes: 0,
        };
        let column = Column::new(2.0, 2.5, &half_a_bin);
        assert_eq!((column.vf, column.virtio), (800.0, 0.0));
    }

    #[test]
    fn a_run_that_moved_nothing_still_draws() {
        let outcome = Outcome {
            phases: Vec::new(),
            ..example::outcome()
        };
        let svg = draw(&outcome, &Throughput::new()).unwrap();
        assert_eq!(count(&svg, "#2563AF"), 1);
    }
}
