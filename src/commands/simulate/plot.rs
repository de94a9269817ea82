//! Plots a simulated recording as SVG: one strip per channel, a common time axis, and shading by machine status.
//!
//! Does not plot recordings of real pumps.

use std::ops::Range;

use anyhow::{Result, anyhow};
use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use volute_plant::{Channel, Profile};
use volute_simulator::{MachineStatus, SimulatorOutput};

const WIDTH: u32 = 1_080;
const HEADER_HEIGHT: u32 = 56;
const STRIP_HEIGHT: u32 = 92;
const FOOTER_HEIGHT: u32 = 44;
/// Space for the axis labels beside the strips.
const LEFT_MARGIN: u32 = 72;
const RIGHT_MARGIN: u32 = 20;
/// Space for a channel's name above its strip.
const NAME_HEIGHT: u32 = 22;
const FONT: &str = "sans-serif";

const INK: RGBColor = RGBColor(38, 50, 56);
const GRID: RGBColor = RGBColor(224, 228, 230);
const LINE: RGBColor = RGBColor(21, 101, 152);
const BROKEN: RGBColor = RGBColor(250, 216, 208);
const RECOVERING: RGBColor = RGBColor(253, 240, 205);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Plots the steps' sensor values. Returns the SVG's text.
pub fn draw(title: &str, profile: &Profile, steps: &[SimulatorOutput]) -> Result<String> {
    let mut svg = String::new();
    let channels = profile.channels();
    let height = HEADER_HEIGHT + STRIP_HEIGHT * channels.len() as u32 + FOOTER_HEIGHT;
    {
        let page = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        let drawn = draw_page(&page, title, profile, steps).and_then(|()| Ok(page.present()?));
        drawn.map_err(|error| anyhow!("the plot failed: {error}"))?;
    }
    Ok(svg)
}

type DrawResult = std::result::Result<(), Box<dyn std::error::Error>>;

fn draw_page(page: &Area, title: &str, profile: &Profile, steps: &[SimulatorOutput]) -> DrawResult {
    page.fill(&WHITE)?;
    let time = TimeAxis::of(steps);
    draw_header(page, title)?;
    for (index, channel) in profile.channels().iter().enumerate() {
        let top = HEADER_HEIGHT + STRIP_HEIGHT * index as u32;
        let strip = page.clone().shrink((0, top), (WIDTH, STRIP_HEIGHT));
        let values = steps.iter().map(|step| step.samples(profile)[index].value()).collect::<Vec<_>>();
        draw_strip(&strip, channel, &values, steps, &time)?;
    }
    let footer = page
        .clone()
        .shrink((0, HEADER_HEIGHT + STRIP_HEIGHT * profile.channels().len() as u32), (WIDTH, FOOTER_HEIGHT));
    draw_footer(&footer, &time)
}

fn draw_header(page: &Area, title: &str) -> DrawResult {
    page.draw(&Text::new(title.to_owned(), (LEFT_MARGIN as i32, 12), (FONT, 18).into_font().color(&INK)))?;
    let mut x = LEFT_MARGIN as i32;
    for (name, colour) in [("BROKEN", BROKEN), ("RECOVERING", RECOVERING)] {
        page.draw(&Rectangle::new([(x, 38), (x + 14, 50)], colour.filled()))?;
        page.draw(&Text::new(name, (x + 20, 38), (FONT, 12).into_font().color(&INK)))?;
        x += 100;
    }
    Ok(())
}

fn draw_strip(
    strip: &Area,
    channel: &Channel,
    values: &[Option<f64>],
    steps: &[SimulatorOutput],
    time: &TimeAxis,
) -> DrawResult {
    let name = format!("{} ({})", channel.name, channel.unit);
    strip.draw(&Text::new(name, (LEFT_MARGIN as i32, 4), (FONT, 12).into_font().color(&INK)))?;
    let mut chart = ChartBuilder::on(strip)
        .margin_top(NAME_HEIGHT)
        .margin_right(RIGHT_MARGIN)
        .y_label_area_size(LEFT_MARGIN)
        .build_cartesian_2d(0.0..time.last, range_of(values, channel.resolution))?;
    let value_range = chart.y_range();
    for (range, colour) in shades(steps) {
        let [from, to] = [range.start, range.end].map(|row| time.of_row(row));
        let corners = [(from, value_range.start), (to, value_range.end)];
        chart.draw_series([Rectangle::new(corners, colour.filled())])?;
    }
    chart
        .configure_mesh()
        .disable_x_axis()
        .disable_x_mesh()
        .y_labels(4)
        .y_label_formatter(&|value| format!("{}", (value * 1e3).round() / 1e3))
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(GRID)
        .y_label_style((FONT, 11).into_font().color(&INK))
        .draw()?;
    let tick_lines = time.ticks().into_iter().map(|at| [(at, value_range.start), (at, value_range.end)]);
    chart.draw_series(tick_lines.map(|line| PathElement::new(line, GRID)))?;
    for line in lines(values, time) {
        chart.draw_series(LineSeries::new(line, LINE.stroke_width(1)))?;
    }
    Ok(())
}

fn draw_footer(footer: &Area, time: &TimeAxis) -> DrawResult {
    let width = f64::from(WIDTH - LEFT_MARGIN - RIGHT_MARGIN);
    let centred = (FONT, 12).into_font().color(&INK).pos(Pos::new(HPos::Center, VPos::Top));
    for tick in time.ticks() {
        let x = (f64::from(LEFT_MARGIN) + width * tick / time.last) as i32;
        footer.draw(&PathElement::new([(x, 0), (x, 5)], INK))?;
        footer.draw(&Text::new(format!("{:.*}", time.decimals(), tick), (x, 8), centred.clone()))?;
    }
    let label = format!("{} since the first reading", time.unit);
    footer.draw(&Text::new(label, ((LEFT_MARGIN + (WIDTH - LEFT_MARGIN - RIGHT_MARGIN) / 2) as i32, 26), centred))?;
    Ok(())
}

/// The axis of time since the first step, in a unit that suits the recording's length.
struct TimeAxis {
    unit: &'static str,
    /// The time between two rows, in `unit`.
    row: f64,
    /// The end of the axis, in `unit`.
    last: f64,
}

impl TimeAxis {
    fn of(steps: &[SimulatorOutput]) -> Self {
        let seconds = |a: &SimulatorOutput, b: &SimulatorOutput| b.at.since_ms(a.at) as f64 / 1_000.0;
        let row_s = steps.get(1).map_or(1.0, |second| seconds(&steps[0], second));
        let total_s = row_s * steps.len().max(2) as f64;
        let (unit, unit_s) = [("days", 86_400.0), ("hours", 3_600.0), ("minutes", 60.0)]
            .into_iter()
            .find(|(_, unit_s)| total_s > 3.0 * unit_s)
            .unwrap_or(("seconds", 1.0));
        Self { unit, row: row_s / unit_s, last: total_s / unit_s }
    }

    fn of_row(&self, row: usize) -> f64 {
        row as f64 * self.row
    }

    /// Returns about ten round numbers, from 0.
    fn ticks(&self) -> Vec<f64> {
        let step = self.tick_step();
        (0..=10).map(|i| f64::from(i) * step).take_while(|tick| *tick <= self.last).collect()
    }

    fn tick_step(&self) -> f64 {
        let rough = self.last / 10.0;
        let power = 10.0_f64.powf(rough.log10().floor());
        let round = [1.0, 2.0, 5.0].map(|factor| factor * power);
        round.into_iter().find(|step| *step >= rough).unwrap_or(10.0 * power)
    }

    /// Returns the number of decimals of the tick labels.
    fn decimals(&self) -> usize {
        if self.tick_step() < 1.0 { 1 } else { 0 }
    }
}

/// Returns the ranges of rows in which the machine's status is not NORMAL, with their colours.
fn shades(steps: &[SimulatorOutput]) -> Vec<(Range<usize>, RGBColor)> {
    let mut shades = Vec::new();
    let mut begin = 0;
    for group in steps.chunk_by(|a, b| a.status == b.status) {
        let span = begin..begin + group.len();
        begin = span.end;
        match group[0].status {
            MachineStatus::Normal => {}
            MachineStatus::Broken => shades.push((span, BROKEN)),
            MachineStatus::Recovering => shades.push((span, RECOVERING)),
        }
    }
    shades
}

/// Returns the range of the values with a margin: at least ten steps of the resolution, so that noise does not fill the
/// strip.
fn range_of(values: &[Option<f64>], resolution: f64) -> Range<f64> {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values.iter().flatten() {
        (low, high) = (low.min(*value), high.max(*value));
    }
    if low > high {
        return 0.0..1.0;
    }
    let margin = (0.06 * (high - low)).max((10.0 * resolution - (high - low)) / 2.0);
    low - margin..high + margin
}

/// Returns a line for each run of rows with values, reduced to the lowest and highest value of each pixel's rows.
fn lines(values: &[Option<f64>], time: &TimeAxis) -> Vec<Vec<(f64, f64)>> {
    let rows_per_pixel = values.len().div_ceil(WIDTH as usize);
    let points: Vec<_> = values.iter().enumerate().map(|(row, value)| (time.of_row(row), *value)).collect();
    let mut lines = Vec::new();
    for run in points.chunk_by(|a, b| a.1.is_some() == b.1.is_some()) {
        let present: Vec<(f64, f64)> = run.iter().filter_map(|(at, value)| Some((*at, (*value)?))).collect();
        if !present.is_empty() {
            lines.push(present.chunks(rows_per_pixel).flat_map(extremes).collect());
        }
    }
    lines
}

/// Returns the lowest and the highest point, in order of time.
fn extremes(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let by_value = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
    let mut extremes: Vec<(f64, f64)> =
        [points.iter().min_by(by_value), points.iter().max_by(by_value)].into_iter().flatten().copied().collect();
    extremes.sort_by(|a, b| a.0.total_cmp(&b.0));
    extremes.dedup();
    extremes
}
