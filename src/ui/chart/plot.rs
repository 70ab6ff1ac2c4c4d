//! One chart: axes, line, gaps, and a cursor that reads out points, by pointer and by keyboard.
//!
//! The inner drawing is in time steps and tenths of a percent, and is stretched to the available width. Text
//! stands outside it, positioned in percent, so that it is not stretched.

use std::sync::Arc;

use leptos::{ev::PointerEvent, prelude::*};
use web_sys::{Element, wasm_bindgen::JsCast};

use super::{axis, path, words};
use i18n::t;
use model::{
    Millis,
    history::{Series, Span},
};

/// The time under the cursor, shared by all charts.
pub type Cursor = RwSignal<Option<Millis>>;

/// The upper end of the axis (125 %) in tenths of a percent, so that 100 % is always inside the chart.
const TOP: i32 = 1_250;
/// The distance of the 100 % line from the upper end, in tenths of a percent.
const HUNDRED: i32 = 250;
/// Distances of the grid lines at 75, 50, 25 and 0 % from the upper end.
const GRID: [i32; 4] = [500, 750, 1_000, 1_250];
/// Text and vertical position of the axis labels.
const LABELS: [(&str, &str); 6] =
    [("125 %", "0%"), ("100 %", "20%"), ("75", "40%"), ("50", "60%"), ("25", "80%"), ("0", "100%")];
/// A gap that takes at least this percentage of the width has room for text.
const MIN_LABEL_SHARE: usize = 18;

/// What one chart shows.
pub struct Chart {
    pub name: &'static str,
    pub span: Span,
    pub series: Arc<Series>,
    /// What 100 % means, for example `allocated: 8 vCPU`.
    pub scale_label: Signal<String>,
    pub cursor: Cursor,
}

pub fn plot(chart: &Chart) -> impl IntoView + use<> {
    let Chart { name, span, series, scale_label, cursor } = chart;
    let (scale_label, last) = (*scale_label, last(series));
    let view_box = ["0 0 ", &last.max(1).to_string(), " ", &TOP.to_string()].concat();
    view! {
        <div class="plot">
            <svg role="img" aria-label=words::description(name, *span, series)>
                <svg viewBox=view_box preserveAspectRatio="none" aria-hidden="true">
                    {drawing(series)} {cursor_line(series.clone(), *cursor)}
                </svg>
                {labels()}
                <text x="100%" y="20%" dy="-6" text-anchor="end">
                    {move || scale_label.get()}
                </text>
                {gap_label(series)}
                {ticks(*span, series)}
            </svg>
            {slider(chart)}
        </div>
    }
}

/// Returns the distance of each point from the upper end of the axis; `None` for an unknown point.
pub fn heights(series: &Series) -> Vec<Option<i32>> {
    let height = |tenths: u32| TOP - (tenths as i32).min(TOP);
    series.points.iter().map(|point| point.tenths().map(height)).collect()
}

fn drawing(series: &Series) -> impl IntoView + use<> {
    let heights = heights(series);
    let last = last(series);
    let over: Vec<bool> =
        series.points.iter().map(|point| point.tenths().is_some_and(|tenths| tenths as i32 > TOP)).collect();
    let across = |height: i32| ["M0 ", &height.to_string(), "H", &last.max(1).to_string()].concat();
    view! {
        <path class="gap" d=path::bands(&path::gaps(&heights), TOP) />
        <path class="grid" d=GRID.map(across).concat() />
        <path class="allocation" d=across(HUNDRED) />
        <path class="area" d=path::area(&heights, TOP) />
        <path class="line" d=path::line(&heights) />
        <path class="dots" d=path::dots(&heights) />
        <path class="above-axis" d=path::marks(&over) />
    }
}

/// The cursor: a vertical line, and a mark on the point under it.
fn cursor_line(series: Arc<Series>, cursor: Cursor) -> impl IntoView {
    let heights = heights(&series);
    let index = Memo::new(move |_| cursor.get().map(|at| nearest(&series, at)));
    let line = move || {
        let at = index.get()?;
        Some(["M", &at.to_string(), " 0V", &TOP.to_string()].concat())
    };
    let point = move || {
        let at = index.get()?;
        let height = heights.get(at).copied().flatten()?;
        Some(["M", &at.to_string(), " ", &height.to_string(), "h0"].concat())
    };
    view! {
        <path class="cursor" d=line />
        <path class="dots" d=point />
    }
}

fn labels() -> Vec<impl IntoView> {
    let label = |(text, y)| {
        view! {
            <text x="-8" y=y dy="4" text-anchor="end">
                {text}
            </text>
        }
    };
    LABELS.into_iter().map(label).collect()
}

fn ticks(span: Span, series: &Series) -> Vec<impl IntoView + use<>> {
    let ticks = axis::ticks(span, series.start, series.at(last(series)));
    let label = |tick: axis::Tick| {
        view! {
            <text x=tick.x y="100%" dy="18" text-anchor=tick.anchor>
                {tick.text}
            </text>
        }
    };
    ticks.into_iter().map(label).collect()
}

/// Labels the widest gap as having no samples, if there is room for the text.
fn gap_label(series: &Series) -> Option<impl IntoView + use<>> {
    let last = last(series);
    let (from, to) = path::gaps(&heights(series)).into_iter().max_by_key(|(from, to)| to - from)?;
    let x = axis::percent(((from + to) * 500 / last.max(1)) as Millis);
    ((to - from) * 100 >= last * MIN_LABEL_SHARE).then(|| {
        view! {
            <text x=x y="60%" dy="4" text-anchor="middle">
                {t!(chart.no_samples)}
            </text>
        }
    })
}

/// A range input over the drawing: arrow keys, Home, End and dragging work as usual, and screen readers
/// announce its value. It is hidden without JavaScript, because it could do nothing then.
fn slider(chart: &Chart) -> impl IntoView + use<> {
    let Chart { name, span, series, cursor, .. } = chart;
    let (cursor, span, last) = (*cursor, *span, last(series));
    let [for_input, for_pointer, for_text, for_value] = core::array::from_fn(|_| series.clone());
    let index = move |series: &Series| cursor.get().map_or(newest(series), |at| nearest(series, at));
    let set = move |series: &Series, index: usize| cursor.set(Some(series.at(index)));
    view! {
        <input
            class="slider"
            type="range"
            min="0"
            max=last.to_string()
            value=newest(series).to_string()
            aria-label=t!(chart.slider, name = *name)
            aria-valuetext=move || words::reading(span, &for_text, index(&for_text))
            prop:value=move || index(&for_value).to_string()
            on:input=move |event| {
                if let Ok(index) = event_target_value(&event).parse() {
                    set(&for_input, index);
                }
            }
            on:pointermove=move |event| {
                if let Some(index) = pointed_at(&event, last) {
                    set(&for_pointer, index);
                }
            }
            on:pointerleave=move |_| cursor.set(None)
            on:blur=move |_| cursor.set(None)
        />
    }
}

fn pointed_at(event: &PointerEvent, last: usize) -> Option<usize> {
    let width = event.target()?.dyn_into::<Element>().ok()?.client_width();
    Some(index_at(event.offset_x(), width.max(1), last))
}

/// Returns the index of the point nearest to `x` of `width`; `last` is the highest index.
fn index_at(x: i32, width: i32, last: usize) -> usize {
    let x = x.clamp(0, width) as usize;
    (x * last + width as usize / 2) / width as usize
}

/// Returns the index of the point nearest to a time.
pub fn nearest(series: &Series, at: Millis) -> usize {
    let step = Millis::from(series.step).max(1);
    let index = (at - series.start + step / 2).div_euclid(step);
    usize::try_from(index).unwrap_or_default().min(last(series))
}

/// Returns the index of the newest known point, or of the newest point if none is known.
pub fn newest(series: &Series) -> usize {
    series.points.iter().rposition(|point| point.tenths().is_some()).unwrap_or(last(series))
}

fn last(series: &Series) -> usize {
    series.points.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::history::Point;

    fn series(tenths: &[Option<u64>]) -> Series {
        let point = |tenths: &Option<u64>| tenths.map_or(Point::GAP, Point::from_tenths);
        Series { start: 1_000, step: 10, points: tenths.iter().map(point).collect() }
    }

    #[test]
    fn heights_are_clamped_to_the_axis() {
        let series = series(&[Some(0), Some(1_000), Some(1_250), Some(9_999), None]);
        assert_eq!(heights(&series), [Some(TOP), Some(HUNDRED), Some(0), Some(0), None]);
    }

    #[test]
    fn a_pointer_position_selects_the_nearest_point() {
        assert_eq!([0, 49, 51, 100, 149, 151, 200].map(|x| index_at(x, 200, 2)), [0, 0, 1, 1, 1, 2, 2]);
        assert_eq!((index_at(-5, 200, 2), index_at(900, 200, 2), index_at(0, 1, 0)), (0, 2, 0));
    }

    #[test]
    fn a_time_selects_the_nearest_point() {
        let series = series(&[Some(1); 4]);
        assert_eq!([0, 1_000, 1_004, 1_006, 1_030, 9_999].map(|at| nearest(&series, at)), [0, 0, 0, 1, 3, 3]);
        assert_eq!(nearest(&Series::default(), 7), 0);
    }

    #[test]
    fn reading_begins_at_the_newest_sample() {
        assert_eq!(newest(&series(&[Some(1), Some(2), None])), 1);
        assert_eq!(newest(&series(&[None, None])), 1);
        assert_eq!(newest(&series(&[])), 0);
    }
}
