//! Converts points to SVG path data in integers: one unit of x is one time step, one unit of y is one unit of
//! the series. Unknown points are not drawn.

use core::ops::Range;

/// Returns the runs of known points, as index ranges without a gap.
pub fn runs(heights: &[Option<i32>]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (at, _) in heights.iter().enumerate().filter(|(_, height)| height.is_some()) {
        match runs.last_mut() {
            Some(run) if run.end == at => run.end = at + 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

/// Returns one line for each run. A single point between two gaps is a line of length zero, which round line
/// caps turn into a dot.
pub fn line(heights: &[Option<i32>]) -> String {
    let mut pen = Pen::default();
    for run in runs(heights) {
        pen.trace('M', heights, run);
    }
    pen.0
}

/// Returns the single points between two gaps, which are drawn larger than the line is wide.
pub fn dots(heights: &[Option<i32>]) -> String {
    let mut pen = Pen::default();
    for run in runs(heights).into_iter().filter(|run| run.len() == 1) {
        pen.trace('M', heights, run);
    }
    pen.0
}

/// Returns the area between the line and `floor`.
pub fn area(heights: &[Option<i32>], floor: i32) -> String {
    let mut pen = Pen::default();
    for run in runs(heights).into_iter().filter(|run| run.len() > 1) {
        pen.letter('M').number(run.start as i32).number(floor);
        pen.trace('L', heights, run);
        pen.letter('V').number(floor).letter('z');
    }
    pen.0
}

/// Returns a line along the upper edge for each run of points that are `over`.
pub fn marks(over: &[bool]) -> String {
    let flags: Vec<_> = over.iter().map(|over| over.then_some(0)).collect();
    let mut pen = Pen::default();
    for run in runs(&flags) {
        pen.letter('M').number(run.start as i32).number(0);
        pen.letter('h').number(run.len() as i32 - 1);
    }
    pen.0
}

/// Returns the gaps as pairs of indexes: the last known point before the gap and the first after it.
pub fn gaps(heights: &[Option<i32>]) -> Vec<(usize, usize)> {
    let last = heights.len().saturating_sub(1);
    let mut gaps = Vec::new();
    let mut from = 0;
    for run in runs(heights) {
        if run.start > 0 {
            gaps.push((from, run.start));
        }
        from = run.end - 1;
    }
    if from < last || heights.first() == Some(&None) && gaps.is_empty() {
        gaps.push((from, last));
    }
    gaps
}

/// Returns one band for each gap, from the upper edge down to `floor`.
pub fn bands(gaps: &[(usize, usize)], floor: i32) -> String {
    let mut pen = Pen::default();
    for (from, to) in gaps {
        pen.letter('M').number(*from as i32).number(0);
        pen.letter('H').number(*to as i32).letter('V').number(floor);
        pen.letter('H').number(*from as i32).letter('z');
    }
    pen.0
}

/// Writes path data in its shortest form.
#[derive(Default)]
pub struct Pen(pub String);

impl Pen {
    pub fn letter(&mut self, letter: char) -> &mut Self {
        self.0.push(letter);
        self
    }

    /// Writes a number. A minus sign separates two numbers, so only a non-negative one needs a space.
    pub fn number(&mut self, number: i32) -> &mut Self {
        if number >= 0 && self.0.ends_with(|last: char| last.is_ascii_digit()) {
            self.0.push(' ');
        }
        self.0.push_str(&number.to_string());
        self
    }

    /// Moves to the first point with the command `first` (`M` or `L`), then continues with relative
    /// coordinates, which are shorter than absolute ones.
    fn trace(&mut self, first: char, heights: &[Option<i32>], run: Range<usize>) {
        let mut points = run.clone().zip(heights[run].iter().flatten());
        let Some((across, height)) = points.next() else { return };
        self.letter(first).number(across as i32).number(*height);
        let mut before = None;
        for (_, next) in points {
            if before.is_none() {
                self.letter('l');
            }
            self.number(1).number(next - before.replace(next).unwrap_or(height));
        }
        if before.is_none() {
            self.letter('h').number(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const N: Option<i32> = None;

    /// Interprets path data made of these few commands by the rules of SVG, and returns the points of each
    /// stroke.
    fn strokes(path: &str) -> Vec<Vec<(i32, i32)>> {
        let mut strokes: Vec<Vec<(i32, i32)>> = Vec::new();
        let starts: Vec<usize> = path.match_indices(char::is_alphabetic).map(|(at, _)| at).collect();
        for (index, start) in starts.iter().enumerate() {
            let end = starts.get(index + 1).copied().unwrap_or(path.len());
            let numbers = numbers(&path[start + 1..end]);
            let (x, y) = strokes.last().and_then(|stroke| stroke.last()).copied().unwrap_or_default();
            let command = path.as_bytes()[*start];
            match command {
                b'M' => strokes.push(vec![(numbers[0], numbers[1])]),
                b'z' => {
                    let stroke = strokes.last_mut().unwrap();
                    stroke.push(stroke[0]);
                }
                b'L' => strokes.last_mut().unwrap().push((numbers[0], numbers[1])),
                b'H' => strokes.last_mut().unwrap().push((numbers[0], y)),
                b'V' => strokes.last_mut().unwrap().push((x, numbers[0])),
                b'h' => strokes.last_mut().unwrap().push((x + numbers[0], y)),
                b'l' => {
                    let mut at = (x, y);
                    for pair in numbers.chunks(2) {
                        at = (at.0 + pair[0], at.1 + pair[1]);
                        strokes.last_mut().unwrap().push(at);
                    }
                }
                other => panic!("{} in {path}", char::from(other)),
            }
        }
        strokes
    }

    fn numbers(text: &str) -> Vec<i32> {
        let spaced = text.replace('-', " -");
        spaced.split_whitespace().map(|number| number.parse().unwrap()).collect()
    }

    #[test]
    fn a_line_goes_through_every_point() {
        assert_eq!(line(&[Some(5), Some(7), Some(0), Some(0)]), "M0 5l1 2 1-7 1 0");
        assert_eq!(strokes("M0 5l1 2 1-7 1 0"), [[(0, 5), (1, 7), (2, 0), (3, 0)]]);
    }

    #[test]
    fn a_gap_parts_the_line_and_a_lone_point_is_a_dot() {
        let heights = [Some(5), N, Some(7), Some(8), N];
        assert_eq!(line(&heights), "M0 5h0M2 7l1 1");
        assert_eq!(dots(&heights), "M0 5h0");
        assert_eq!(line(&[N, N, Some(1)]), "M2 1h0");
    }

    #[test]
    fn nothing_known_draws_nothing() {
        for heights in [&[][..], &[N], &[N, N, N]] {
            assert_eq!(line(heights) + &dots(heights) + &area(heights, 9), "");
        }
        assert_eq!(gaps(&[N, N, N]), [(0, 2)], "all of it is blank");
        assert_eq!(gaps(&[]), []);
    }

    #[test]
    fn zero_is_a_line_and_no_gap() {
        assert_eq!(line(&[Some(0), Some(0)]), "M0 0l1 0");
        assert_eq!(gaps(&[Some(0), Some(0)]), []);
    }

    #[test]
    fn an_area_stands_on_the_floor_and_never_under_a_gap() {
        assert_eq!(area(&[Some(3), Some(1), N, Some(2)], 9), "M0 9L0 3l1-2V9z");
    }

    #[test]
    fn blanks_reach_from_point_to_point() {
        assert_eq!(gaps(&[N, Some(1), N, N, Some(1), Some(1), N]), [(0, 1), (1, 4), (5, 6)]);
        assert_eq!(bands(&[(1, 4)], 9), "M1 0H4V9H1z");
    }

    #[test]
    fn points_above_the_axis_are_marked_along_the_edge() {
        assert_eq!(marks(&[true, false, true, true]), "M0 0h0M2 0h1");
        assert_eq!(marks(&[false]), "");
    }

    proptest! {
        #[test]
        fn the_line_draws_every_known_sample_and_nothing_else(heights in prop::collection::vec(prop::option::of(-25i32..1250), 0..60)) {
            let drawn: Vec<(i32, i32)> = strokes(&line(&heights)).into_iter().flat_map(|mut stroke| {
                stroke.dedup();
                stroke
            }).collect();
            let known = heights.iter().enumerate().filter_map(|(at, height)| height.map(|height| (at as i32, height)));
            prop_assert_eq!(drawn, known.collect::<Vec<_>>());
        }

        #[test]
        fn each_step_is_line_or_blank_and_never_both(heights in prop::collection::vec(prop::option::of(0i32..9), 2..60)) {
            let (runs, gaps) = (runs(&heights), gaps(&heights));
            for step in 0..heights.len() - 1 {
                let lined = runs.iter().any(|run| run.start <= step && step + 1 < run.end);
                let blank = gaps.iter().any(|(from, to)| *from <= step && step < *to);
                prop_assert!(lined != blank, "step {} of {:?}", step, heights);
            }
        }
    }
}
