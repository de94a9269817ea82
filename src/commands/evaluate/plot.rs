//! Plots one evaluated run as SVG: the score divided by its threshold, the label and the decision, for each row.
//!
//! Does not plot the channels.

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use volute_data::{Prediction, Row};

use super::confusion::label;

const SIZE: (u32, u32) = (1_080, 360);
const FONT: &str = "sans-serif";

const INK: RGBColor = RGBColor(38, 50, 56);
const GRID: RGBColor = RGBColor(224, 228, 230);
const SCORE: RGBColor = RGBColor(21, 101, 152);
const LABELLED: RGBColor = RGBColor(250, 216, 208);
const DECIDED: RGBColor = RGBColor(183, 65, 14);

/// The lower end of the ratio of score to threshold; the axis is logarithmic.
const MIN_RATIO: f64 = 0.05;

/// Plots the test rows. Returns the SVG's text.
pub fn draw(title: &str, rows: &[Row], predictions: &[Prediction]) -> Result<String> {
    let mut svg = String::new();
    draw_to(&mut svg, title, rows, predictions).map_err(|error| anyhow!("the plot failed: {error}"))?;
    Ok(svg)
}

type DrawResult = std::result::Result<(), Box<dyn std::error::Error>>;

fn draw_to(svg: &mut String, title: &str, rows: &[Row], predictions: &[Prediction]) -> DrawResult {
    let page = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    page.fill(&WHITE)?;
    let ratio = |prediction: &Prediction| prediction.score.map(|score| (score / prediction.threshold).max(MIN_RATIO));
    let highest = predictions.iter().filter_map(ratio).filter(|ratio| ratio.is_finite()).fold(10.0, f64::max);
    let mut chart = ChartBuilder::on(&page)
        .caption(title, (FONT, 18).into_font().color(&INK))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..rows.len() as f64, (MIN_RATIO / 2.0..highest * 1.5).log_scale())?;
    let labelled = spans(rows.iter().map(|row| label(row) == Some(true)));
    chart.draw_series(
        labelled.map(|(from, to)| Rectangle::new([(from, MIN_RATIO / 2.0), (to, highest * 1.5)], LABELLED.filled())),
    )?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(GRID)
        .x_desc("rows after the training rows; shaded: labelled anomalous; bar below: decided anomalous")
        .y_desc("score / threshold")
        .label_style((FONT, 12).into_font().color(&INK))
        .draw()?;
    let decided = spans(predictions.iter().map(|prediction| prediction.anomaly));
    chart.draw_series(
        decided.map(|(from, to)| Rectangle::new([(from, MIN_RATIO / 2.0), (to, MIN_RATIO * 0.8)], DECIDED.filled())),
    )?;
    let score = predictions.iter().enumerate().filter_map(|(row, prediction)| Some((row as f64, ratio(prediction)?)));
    chart.draw_series(LineSeries::new(score, SCORE.stroke_width(1)))?;
    chart.draw_series([PathElement::new([(0.0, 1.0), (rows.len() as f64, 1.0)], INK)])?;
    Ok(page.present()?)
}

/// Returns the ranges of consecutive `true` values, as start and end.
fn spans(values: impl Iterator<Item = bool>) -> impl Iterator<Item = (f64, f64)> {
    let values: Vec<bool> = values.collect();
    let (mut spans, mut at) = (Vec::new(), 0);
    for run in values.chunk_by(|a, b| a == b) {
        if run[0] {
            spans.push((at as f64, (at + run.len()) as f64));
        }
        at += run.len();
    }
    spans.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_at_both_ends_are_found() {
        let found: Vec<_> = spans([true, true, false, true].into_iter()).collect();
        assert_eq!(found, [(0.0, 2.0), (3.0, 4.0)]);
        assert_eq!(spans(std::iter::empty()).count(), 0);
    }
}
