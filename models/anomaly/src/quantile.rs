//! Quantiles of a small number of values.

/// Returns the `share` quantile of sorted values (at least one), interpolated linearly, as numpy's default.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let position = share * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
    low + (high - low) * position.fract()
}

/// Returns the median of at least one value.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    quantile(&sorted, 0.5)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_quantile_splits_the_values(mut values in prop::collection::vec(0.0..1.0, 1..200), share in 0.0..=1.0) {
            values.sort_by(f64::total_cmp);
            let cut = quantile(&values, share);
            prop_assert!(values[0] <= cut && cut <= values[values.len() - 1]);
            let below = values.iter().filter(|v| **v <= cut).count() as f64;
            prop_assert!(below >= (share * (values.len() - 1) as f64).floor());
            prop_assert!(below <= share * (values.len() - 1) as f64 + 1.0 + 1e-9);
        }
    }
}
