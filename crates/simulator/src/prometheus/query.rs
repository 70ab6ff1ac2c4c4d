//! The subset of PromQL that a client such as this program uses: a selector with matchers, a range of it, its
//! `rate`, aggregations `by` labels, and `or` between vectors.

use std::collections::{BTreeMap, HashSet};

use super::{
    pattern::Pattern,
    selector::{Matcher, Selector, Test},
    series::Series,
};
use crate::{
    clock::{DAY, HOUR, MINUTE, Millis, SECOND},
    world::SimulatedCluster,
};

/// A parsed query. Durations are in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    Instant(Selector),
    Range(Selector, Millis),
    Rate(Selector, Millis),
    Aggregate { operator: Operator, by: Vec<String>, of: Box<Expr> },
    Or(Box<Expr>, Box<Expr>),
}

/// The operator of an aggregation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Sum,
    Max,
    Min,
    Avg,
}

/// Labels, and a value at each step, for each series.
pub type Matrix = Vec<(Vec<(String, String)>, Vec<Option<f64>>)>;

/// Labels and a value, for each series.
pub type Vector = Vec<(Vec<(String, String)>, f64)>;

impl Expr {
    /// Returns the value of each series at `now`; none for a range.
    pub fn vector(&self, world: &SimulatedCluster, now: Millis) -> Vector {
        match self {
            Self::Range(..) => Vec::new(),
            Self::Instant(selector) => {
                let found = world.series(selector).into_iter();
                found.filter_map(|series| Some((series.labels.clone(), series.latest(now)?))).collect()
            }
            Self::Rate(selector, range) => {
                let found = world.series(selector).into_iter();
                found.filter_map(|series| Some((series.unnamed(), series.rate(now, *range)?))).collect()
            }
            Self::Aggregate { operator, by, of } => aggregate(*operator, by, of.vector(world, now)),
            Self::Or(first, second) => either(first.vector(world, now), second.vector(world, now)),
        }
    }
}

impl Expr {
    /// Returns the value of each series at each of `steps`; none for a range.
    pub fn matrix(&self, world: &SimulatedCluster, steps: &[Millis]) -> Matrix {
        match self {
            Self::Range(..) => Vec::new(),
            Self::Instant(selector) => {
                let found = world.series(selector).into_iter();
                found.map(|series| (series.labels.clone(), series.values(steps))).collect()
            }
            Self::Rate(selector, range) => {
                let found = world.series(selector).into_iter();
                let rates = |series: &Series| steps.iter().map(|at| series.rate(*at, *range)).collect();
                found.map(|series| (series.unnamed(), rates(&series))).collect()
            }
            Self::Aggregate { operator, by, of } => {
                aggregate_each(*operator, by, of.matrix(world, steps), steps.len())
            }
            // A series has the same labels at every step.
            Self::Or(first, second) => either(first.matrix(world, steps), second.matrix(world, steps)),
        }
    }
}

type LabeledValue<T> = (Vec<(String, String)>, T);

/// `first or second`: all of `first`, and those of `second` whose labels differ, the metric's name aside.
fn either<T>(mut first: Vec<LabeledValue<T>>, second: Vec<LabeledValue<T>>) -> Vec<LabeledValue<T>> {
    let unnamed = |labels: &[(String, String)]| -> Vec<_> {
        labels.iter().filter(|(name, _)| name != "__name__").cloned().collect()
    };
    let known: HashSet<_> = first.iter().map(|(labels, _)| unnamed(labels)).collect();
    first.extend(second.into_iter().filter(|(labels, _)| !known.contains(&unnamed(labels))));
    first
}

fn aggregate_each(operator: Operator, by: &[String], of: Matrix, steps: usize) -> Matrix {
    let mut groups: BTreeMap<Vec<(String, String)>, Vec<Vec<f64>>> = BTreeMap::new();
    for (mut labels, values) in of {
        labels.retain(|(name, _)| by.contains(name));
        let group = groups.entry(labels).or_insert_with(|| vec![Vec::new(); steps]);
        for (at, value) in group.iter_mut().zip(values) {
            at.extend(value);
        }
    }
    let one = |values: Vec<f64>| (!values.is_empty()).then(|| operator.of(&values));
    groups.into_iter().map(|(labels, values)| (labels, values.into_iter().map(one).collect())).collect()
}

fn aggregate(operator: Operator, by: &[String], of: Vector) -> Vector {
    let mut groups: BTreeMap<Vec<(String, String)>, Vec<f64>> = BTreeMap::new();
    for (mut labels, value) in of {
        labels.retain(|(name, _)| by.contains(name));
        groups.entry(labels).or_default().push(value);
    }
    groups.into_iter().map(|(labels, values)| (labels, operator.of(&values))).collect()
}

impl Operator {
    fn of(self, values: &[f64]) -> f64 {
        let sum = values.iter().sum::<f64>();
        match self {
            Self::Sum => sum,
            Self::Avg => sum / values.len() as f64,
            Self::Max => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            Self::Min => values.iter().copied().fold(f64::INFINITY, f64::min),
        }
    }
}

/// Parses a query. The error is the message to answer with.
pub fn parse(text: &str) -> Result<Expr, String> {
    let mut parser = Parser { rest: text.trim() };
    let expr = parser.expr()?;
    if parser.rest.is_empty() { Ok(expr) } else { Err(parser.unexpected()) }
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn expr(&mut self) -> Result<Expr, String> {
        let first = self.operand()?;
        if !self.takes("or ") {
            return Ok(first);
        }
        match (first, self.expr()?) {
            (Expr::Range(..), _) | (_, Expr::Range(..)) => {
                Err("set operator \"or\" not allowed in binary range vector expression".to_owned())
            }
            (first, second) => Ok(Expr::Or(Box::new(first), Box::new(second))),
        }
    }

    fn operand(&mut self) -> Result<Expr, String> {
        let word = self.word();
        let operator = match word {
            "sum" => Operator::Sum,
            "max" => Operator::Max,
            "min" => Operator::Min,
            "avg" => Operator::Avg,
            "rate" | "irate" => {
                return match self.in_parentheses()? {
                    Expr::Range(selector, range) => Ok(Expr::Rate(selector, range)),
                    _ => Err("expected type range vector in call to function \"rate\"".to_owned()),
                };
            }
            name => return self.selector(name),
        };
        let before = self.by()?;
        let of = self.in_parentheses()?;
        let by = if before.is_empty() { self.by()? } else { before };
        match of {
            Expr::Range(..) => Err("expected type instant vector in aggregation expression".to_owned()),
            of => Ok(Expr::Aggregate { operator, by, of: Box::new(of) }),
        }
    }

    fn in_parentheses(&mut self) -> Result<Expr, String> {
        self.expect("(")?;
        let inner = self.expr()?;
        self.expect(")")?;
        Ok(inner)
    }

    /// Parses `by (a, b)`, if present.
    fn by(&mut self) -> Result<Vec<String>, String> {
        let mut labels = Vec::new();
        if !self.rest.starts_with("by") {
            return Ok(labels);
        }
        self.expect("by")?;
        self.expect("(")?;
        while !self.takes(")") {
            labels.push(self.label()?);
            self.takes(",");
        }
        Ok(labels)
    }

    fn selector(&mut self, name: &str) -> Result<Expr, String> {
        let mut matchers = Vec::new();
        if !name.is_empty() {
            let pattern = Test::Equal(name.to_owned());
            matchers.push(Matcher { label: "__name__".to_owned(), wanted: true, pattern });
        }
        if self.takes("{") {
            while !self.takes("}") {
                matchers.push(self.matcher()?);
                self.takes(",");
            }
        }
        if matchers.is_empty() {
            return Err(self.unexpected());
        }
        match self.takes("[") {
            true => Ok(Expr::Range(Selector(matchers), self.duration()?)),
            false => Ok(Expr::Instant(Selector(matchers))),
        }
    }

    fn matcher(&mut self) -> Result<Matcher, String> {
        let label = self.label()?;
        let operators = [("=~", true, true), ("!~", false, true), ("!=", false, false), ("=", true, false)];
        let found = operators.into_iter().find(|(sign, ..)| self.takes(sign));
        let (_, wanted, like) = found.ok_or_else(|| self.unexpected())?;
        let text = self.string()?;
        let pattern = if like { Test::Like(Pattern::parse(&text)?) } else { Test::Equal(text) };
        Ok(Matcher { label, wanted, pattern })
    }

    /// Parses a string in double quotes with its escapes.
    fn string(&mut self) -> Result<String, String> {
        self.expect("\"")?;
        let mut text = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = self.rest[at + 1..].trim_start();
                    return Ok(text);
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, escaped)) => text.push(escaped),
                    None => break,
                },
                c => text.push(c),
            }
        }
        Err("unterminated quoted string".to_owned())
    }

    /// Parses the rest of a range: `5m]`.
    fn duration(&mut self) -> Result<Millis, String> {
        let (text, rest) = self.rest.split_once(']').ok_or_else(|| self.unexpected())?;
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match &text[digits.len()..] {
            "ms" => 1,
            "s" => SECOND,
            "m" => MINUTE,
            "h" => HOUR,
            "d" => DAY,
            _ => return Err(format!("not a valid duration string: \"{text}\"")),
        };
        self.rest = rest.trim_start();
        let number: Millis =
            digits.parse().map_err(|_| format!("not a valid duration string: \"{text}\""))?;
        Ok(number.saturating_mul(unit))
    }

    fn label(&mut self) -> Result<String, String> {
        let word = self.word();
        if word.is_empty() { Err(self.unexpected()) } else { Ok(word.to_owned()) }
    }

    fn word(&mut self) -> &'a str {
        let part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        let (word, rest) = self.rest.split_at(self.rest.find(|c| !part(c)).unwrap_or(self.rest.len()));
        self.rest = rest.trim_start();
        word
    }

    fn takes(&mut self, sign: &str) -> bool {
        let rest = self.rest.strip_prefix(sign);
        self.rest = rest.map_or(self.rest, str::trim_start);
        rest.is_some()
    }

    fn expect(&mut self, sign: &str) -> Result<(), String> {
        // White space after an opening quote belongs to the string.
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = if sign == "\"" { rest } else { rest.trim_start() };
                Ok(())
            }
            None => Err(self.unexpected()),
        }
    }

    fn unexpected(&self) -> String {
        match self.rest.chars().next() {
            Some(c) => format!("parse error: unexpected character: {c:?}"),
            None => "parse error: unexpected end of input".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn selectors_match_by_name_and_labels() {
        let query = r#"{__name__=~"a_(b|c)|d",namespace=~"x|y", cluster!="z"}[3m]"#;
        let Expr::Range(selector, range) = parse(query).unwrap() else { panic!() };
        assert_eq!(range, 3 * MINUTE);
        for (name, namespace, want) in
            [("a_b", "x", true), ("d", "y", true), ("a", "x", false), ("d", "q", false)]
        {
            let series = labels(&[("__name__", name), ("namespace", namespace)]);
            assert_eq!(selector.matches(&series), want, "{name} {namespace}");
        }
        assert!(!selector.matches(&labels(&[("__name__", "d"), ("namespace", "x"), ("cluster", "z")])));
        assert_eq!(parse("up{a=\"b\\\"c\"}"), parse("{__name__=\"up\",a=\"b\\\"c\"}"));
    }

    #[test]
    fn aggregations_nest_and_their_labels_may_stand_behind() {
        let inner = "rate({__name__=\"x\"}[5m])";
        let Ok(Expr::Aggregate { operator: Operator::Sum, by, of }) =
            parse(&format!("sum by (a, b) (max by (a, b, c) ({inner}))"))
        else {
            panic!()
        };
        assert_eq!(by, ["a", "b"]);
        assert!(matches!(*of, Expr::Aggregate { operator: Operator::Max, .. }));
        assert_eq!(parse(&format!("sum({inner}) by (a)")), parse(&format!("sum by (a) ({inner})")));
        let vector = vec![
            (labels(&[("a", "1"), ("c", "1")]), 2.0),
            (labels(&[("a", "1"), ("c", "2")]), 3.0),
            (labels(&[("a", "2")]), 7.0),
        ];
        let sums = aggregate(Operator::Sum, &["a".to_owned()], vector);
        assert_eq!(sums, [(labels(&[("a", "1")]), 5.0), (labels(&[("a", "2")]), 7.0)]);
    }

    #[test]
    fn or_adds_what_has_other_labels() {
        assert!(matches!(parse("max by (a) ({a=\"1\"} or {b=\"2\"})"), Ok(Expr::Aggregate { .. })));
        assert!(parse("up[5m] or up").is_err() && parse("up or ").is_err());
        let of = |pairs: &[(&str, &str)], value: f64| (labels(pairs), value);
        let first = vec![of(&[("__name__", "x"), ("a", "1")], 1.0)];
        let second =
            vec![of(&[("__name__", "y"), ("a", "1")], 2.0), of(&[("__name__", "x"), ("a", "2")], 3.0)];
        let values: Vec<f64> = either(first, second).into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, [1.0, 3.0]);
    }

    #[test]
    fn invalid_queries_are_refused() {
        for text in ["", "{}", "up{", "up{a=~\"(\"}", "rate(up)", "sum(up[5m])", "up[5x]", "up}", "up{a=\"b}"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
