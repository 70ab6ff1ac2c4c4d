//! Prints figures beside their targets.

/// Whether a figure must not exceed its target, or not fall below it.
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
    /// Prints a figure beside its target, and counts it if it misses the target.
    pub fn row(&mut self, what: &str, figure: f64, must: Must, target: f64, unit: &str) {
        let (sign, met) = match must {
            Must::BeAtMost => ("≤", figure <= target),
            Must::BeAtLeast => ("≥", figure >= target),
        };
        self.missed += u32::from(!met);
        let verdict = if met { "" } else { "  MISSED" };
        println!("{what:<72} {figure:>10.2} {sign} {target:>7.1} {unit}{verdict}");
    }

    /// Prints how many targets were missed, and returns the exit code.
    pub fn finish(self) -> i32 {
        println!("{} targets missed", self.missed);
        i32::from(self.missed > 0)
    }
}

/// Returns the median, which a short disturbance of the machine hardly changes.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
