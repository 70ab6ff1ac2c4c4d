//! Hints: what a VM's history suggests about its size or its disk, shown beside the chart. Each hint names
//! the window that it is based on. A VM with too little history gets a text that says so instead.

use leptos::prelude::*;

use super::axis::{self, HOUR};
use crate::ui::words;
use i18n::t;
use model::{
    figure::Unit,
    format,
    history::Span,
    insight::{Filling, NoHint, Sizing, Verdict, Window},
};

pub struct Hint {
    class: &'static str,
    text: String,
}

/// Returns the hint for CPU or memory.
pub fn sizing(hint: &Result<Sizing, NoHint>) -> Hint {
    match hint {
        Ok(sizing) => {
            let class = if sizing.verdict == Verdict::Fits { "hint" } else { "hint warning" };
            Hint { class, text: [uses(sizing), advice(sizing), based_on(&sizing.window)].join(" ") }
        }
        Err(silence) => no_hint(silence),
    }
}

/// Returns the hint for disks.
pub fn filling(hint: &Result<Filling, NoHint>) -> Hint {
    match hint {
        Ok(filling) => {
            Hint { class: "hint warning", text: [full_in(filling), based_on(&filling.window)].join(" ") }
        }
        Err(silence) => no_hint(silence),
    }
}

pub fn hint(hint: Hint) -> impl IntoView {
    view! { <p class=hint.class>{hint.text}</p> }
}

/// Formats an amount with its unit: `1.2 vCPU`.
pub fn amount(unit: Unit, amount: u64) -> String {
    let name = match unit {
        Unit::Nanocores => " vCPU",
        Unit::Bytes => " Gi",
    };
    format::allocation(unit, amount) + name
}

/// Example: `p95 1.2 of 8 vCPU, peak 2.4.`
pub fn uses(sizing: &Sizing) -> String {
    let number = |amount| format::allocation(sizing.unit, amount);
    let (p95, peak, of) = (number(sizing.p95), number(sizing.peak), amount(sizing.unit, sizing.of));
    if sizing.by_guest {
        t!(hint.uses_by_guest, p95 = p95, peak = peak, of = of)
    } else {
        t!(hint.uses, p95 = p95, peak = peak, of = of)
    }
}

/// Says what the verdict means, for example `2 vCPU would be enough.`
pub fn advice(sizing: &Sizing) -> String {
    match sizing.verdict {
        Verdict::Fits => t!(hint.fits).to_owned(),
        Verdict::Undersized => t!(hint.undersized).to_owned(),
        Verdict::Oversized { enough } => t!(hint.enough, enough = amount(sizing.unit, enough)),
    }
}

/// Example: `data: Full in about 9 days (7 to 14), growing 1.2 Gi/day.`
pub fn full_in(filling: &Filling) -> String {
    let text = forecast(filling);
    match &filling.volume {
        Some(volume) => t!(hint.volume, volume = volume, text = text),
        None => text,
    }
}

fn forecast(filling: &Filling) -> String {
    let growth = amount(Unit::Bytes, filling.per_day);
    let days = |days: u32| t!(hint.days, n = days);
    let (earliest, latest) = (filling.earliest, filling.latest);
    match filling.days {
        0 => t!(hint.full_today, latest = days(latest), growth = growth),
        about if earliest == latest => t!(hint.full_exact, days = days(about), growth = growth),
        about => {
            let [earliest, latest] = [earliest, latest].map(|days| format::grouped(days.into()));
            t!(hint.full, days = days(about), earliest = earliest, latest = latest, growth = growth)
        }
    }
}

fn based_on(window: &Window) -> String {
    t!(hint.based_on, window = window_words(window))
}

/// Example: `24 h until 03-04 09:12 UTC, 97 % known`.
pub fn window_words(window: &Window) -> String {
    let share = (u64::from(window.known) * 100 / u64::from(window.all.max(1))).to_string();
    let until = axis::moment(Span::Week, window.to);
    // Rounded to the nearest hour: the last five minutes of a day are not over yet.
    let hours = (window.to - window.from + HOUR / 2) / HOUR;
    t!(hint.window, length = words::span(hours * HOUR), until = until, share = share)
}

fn no_hint(silence: &NoHint) -> Hint {
    let text = match silence {
        NoHint::TooShort { minutes, needed } => {
            let time = |minutes: u32| words::span(i64::from(minutes) * 60_000);
            t!(hint.too_short, needed = time(*needed), have = time(*minutes))
        }
        NoHint::Steady => t!(hint.steady).to_owned(),
        NoHint::Unclear => t!(hint.unclear).to_owned(),
        NoHint::Far => t!(hint.far).to_owned(),
    };
    Hint { class: "hint none", text }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GI: u64 = 1 << 30;
    const WINDOW: Window = Window { from: 1_772_529_120_000, to: 1_772_615_520_000, known: 281, all: 288 };

    fn of(verdict: Verdict) -> Result<Sizing, NoHint> {
        Ok(Sizing {
            unit: Unit::Bytes,
            p95: 3 * GI,
            peak: 7 * GI / 2,
            of: 16 * GI,
            verdict,
            by_guest: false,
            window: WINDOW,
        })
    }

    #[test]
    fn a_size_is_judged_with_its_window() {
        assert_eq!(
            sizing(&of(Verdict::Oversized { enough: 4 * GI })).text,
            "p95 3 of 16 Gi, peak 3.5. 4 Gi would be enough. Based on 24 h until 03-04 09:12 UTC, 97 % known."
        );
        let by_guest = sizing(&of(Verdict::Fits).map(|sizing| Sizing { by_guest: true, ..sizing })).text;
        assert!(by_guest.starts_with("p95 3 of 16 Gi, peak 3.5, measured by the guest."), "{by_guest}");
        assert!(sizing(&of(Verdict::Fits)).text.contains("The size fits."));
        assert_eq!(sizing(&of(Verdict::Undersized)).class, "hint warning");
    }

    #[test]
    fn a_disk_is_full_in_an_interval_of_days() {
        let filling = |days| Filling {
            volume: None,
            used: 1,
            of: 2,
            per_day: 6 * GI / 5,
            days,
            earliest: 0,
            latest: 14,
            window: WINDOW,
        };
        let exact = Filling { earliest: 7, latest: 7, ..filling(7) };
        assert!(full_in(&exact).starts_with("Full in about 7 days (± 1 day), growing "));
        assert!(full_in(&filling(9)).starts_with("Full in about 9 days (0 to 14), growing 1.2 Gi/day."));
        assert!(full_in(&filling(1)).contains("about 1 day ("));
        let volume = Filling { volume: Some("data".into()), ..filling(9) };
        assert!(full_in(&volume).starts_with("data: Full in about 9 days"));
        assert!(full_in(&filling(0)).starts_with("Full in less than a day (at most 14 days)"));
    }

    #[test]
    fn without_enough_history_there_is_no_advice() {
        let hint = sizing(&Err(NoHint::TooShort { minutes: 185, needed: 1_440 }));
        assert_eq!(hint.class, "hint none");
        assert_eq!(hint.text, "No recommendation yet: 24 h of samples required, 3 h available.");
        assert!(filling(&Err(NoHint::Steady)).text.contains("less than 0.5 % a day"));
    }
}
