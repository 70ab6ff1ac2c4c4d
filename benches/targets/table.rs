//! Figures beside their targets.

/// Whether a figure must not be above its target, or not below it.
#[derive(Clone, Copy)]
pub enum Must {
    BeAtMost,
    BeAtLeast,
}

#[derive(Default)]
pub struct Table {
    missed: u32,
}

impl Table {
    pub fn row(&mut self, what: &str, figure: f64, must: Must, target: f64, unit: &str) {
        let (sign, met) = match must {
            Must::BeAtMost => ("≤", figure <= target),
            Must::BeAtLeast => ("≥", figure >= target),
        };
        self.missed += u32::from(!met);
        let verdict = if met { "" } else { "  MISSED" };
        println!("{what:<72} {figure:>10.2} {sign} {target:>7.1} {unit}{verdict}");
    }

    /// The exit code.
    pub fn finish(self) -> i32 {
        println!("{} targets missed", self.missed);
        i32::from(self.missed > 0)
    }
}

/// The middle one: a machine that does something else for a moment moves it little.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
