//! Sparkline: the last hour of a figure, as wide as a word. Screen readers skip it, because the meter beside
//! it gives the value.

use leptos::prelude::*;

use super::path;
use model::history::Sparkline;

/// Drawn on a fixed scale of 0 to 100 %; higher values stick out at the top. Returns `None` if fewer than two
/// points are known, since the meter already shows one.
pub fn sparkline(sparkline: Option<&Sparkline>) -> Option<impl IntoView + use<>> {
    let heights = heights(sparkline?);
    (heights.iter().flatten().count() > 1).then(|| {
        let d = path::line(&heights);
        view! {
            <svg class="sparkline" viewBox="0 0 29 100" preserveAspectRatio="none" aria-hidden="true">
                <path d=d />
            </svg>
        }
    })
}

/// Returns the distance of each point from the 100 % line in percent; `None` for a gap.
fn heights(sparkline: &Sparkline) -> Vec<Option<i32>> {
    let height =
        |percent: &u8| (*percent != Sparkline::GAP).then(|| 100 - i32::from((*percent).min(Sparkline::TOP)));
    sparkline.0.iter().map(height).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_is_fixed_and_gaps_stay_open() {
        let sparkline = Sparkline(vec![0, 100, Sparkline::GAP, 130, 254, Sparkline::GAP, 50]);
        assert_eq!(path::line(&heights(&sparkline)), "M0 100l1-100M3-25l1 0M6 50h0");
    }

    #[test]
    fn fewer_than_two_points_draw_nothing() {
        assert!(sparkline(None).is_none());
        assert!(sparkline(Some(&Sparkline::default())).is_none());
        assert!(sparkline(Some(&Sparkline(vec![Sparkline::GAP; Sparkline::POINTS]))).is_none());
        assert!(sparkline(Some(&Sparkline(vec![0; Sparkline::POINTS]))).is_some(), "zero was measured");
        assert!(
            sparkline(Some(&Sparkline(vec![Sparkline::GAP, 7, Sparkline::GAP]))).is_none(),
            "one point is no line"
        );
    }
}
