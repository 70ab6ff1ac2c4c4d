//! The last hour of a figure, as wide as a word. The meter beside it says the value: for the ear there is nothing here.

use leptos::prelude::*;

use super::path;
use model::history::Sparkline;

/// Drawn on a fixed scale of 0 to 100 %; above, it sticks out at the top. None where no more is known of the hour than the
/// meter says.
pub fn spark(spark: Option<&Sparkline>) -> Option<impl IntoView + use<>> {
    let heights = heights(spark?);
    (heights.iter().flatten().count() > 1).then(|| {
        let d = path::line(&heights);
        view! {
            <svg class="spark" viewBox="0 0 29 100" preserveAspectRatio="none" aria-hidden="true">
                <path d=d />
            </svg>
        }
    })
}

/// From the top, where 100 % is.
fn heights(spark: &Sparkline) -> Vec<Option<i32>> {
    let height =
        |percent: &u8| (*percent != Sparkline::GAP).then(|| 100 - i32::from((*percent).min(Sparkline::TOP)));
    spark.0.iter().map(height).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_is_fixed_and_a_gap_is_a_gap() {
        let spark = Sparkline(vec![0, 100, Sparkline::GAP, 130, 254, Sparkline::GAP, 50]);
        assert_eq!(path::line(&heights(&spark)), "M0 100l1-100M3-25l1 0M6 50h0");
    }

    #[test]
    fn nothing_known_is_no_drawing() {
        assert!(spark(None).is_none());
        assert!(spark(Some(&Sparkline::default())).is_none());
        assert!(spark(Some(&Sparkline(vec![Sparkline::GAP; Sparkline::POINTS]))).is_none());
        assert!(spark(Some(&Sparkline(vec![0; Sparkline::POINTS]))).is_some(), "zero was measured");
        assert!(
            spark(Some(&Sparkline(vec![Sparkline::GAP, 7, Sparkline::GAP]))).is_none(),
            "a dot is no past"
        );
    }
}
