//! Which figures an answer about history has: `?figures=network,latency`.

use model::{
    bad_param::{BadParam, Expected},
    params::Params,
};

/// One figure, or a few that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryFigure {
    Cpu,
    Memory,
    Disk,
    GuestMemory,
    Network,
    Storage,
    Latency,
    Contention,
    Volumes,
}

impl HistoryFigure {
    const ALL: [Self; 9] = [
        Self::Cpu,
        Self::Memory,
        Self::Disk,
        Self::GuestMemory,
        Self::Network,
        Self::Storage,
        Self::Latency,
        Self::Contention,
        Self::Volumes,
    ];

    fn code(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::GuestMemory => "guest-memory",
            Self::Network => "network",
            Self::Storage => "storage",
            Self::Latency => "latency",
            Self::Contention => "contention",
            Self::Volumes => "volumes",
        }
    }
}

/// The figures of one answer.
#[derive(Clone, Debug)]
pub struct HistoryFigures(Vec<HistoryFigure>);

impl HistoryFigures {
    /// Returns the figures of `?figures=`; CPU, memory and disk if it is absent or empty. Fails if a code is not known.
    pub fn of_params(params: &Params) -> Result<Self, BadParam> {
        let codes = params.get("figures").unwrap_or_default();
        if codes.is_empty() {
            return Ok(Self(vec![HistoryFigure::Cpu, HistoryFigure::Memory, HistoryFigure::Disk]));
        }
        let parse = |code: &str| HistoryFigure::ALL.into_iter().find(|figure| figure.code() == code);
        let figures: Option<Vec<_>> = codes.split(',').map(parse).collect();
        figures.map(Self).ok_or_else(|| BadParam::new("figures", Expected::SomeOf(known_codes())))
    }

    /// Returns what `make` returns if the figure is wanted.
    pub fn then<T>(&self, figure: HistoryFigure, make: impl FnOnce() -> T) -> Option<T> {
        self.0.contains(&figure).then(make)
    }
}

fn known_codes() -> String {
    let [others @ .., last] = HistoryFigure::ALL.map(HistoryFigure::code);
    [&others.join(", "), " and ", last].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(query: &str) -> Result<Vec<HistoryFigure>, BadParam> {
        let params = Params::parse(query).unwrap();
        HistoryFigures::of_params(&params).map(|figures| figures.0)
    }

    #[test]
    fn figures_are_named_by_their_codes() {
        use HistoryFigure::*;
        assert_eq!(figures(""), Ok(vec![Cpu, Memory, Disk]));
        assert_eq!(figures("figures="), figures(""));
        assert_eq!(figures("figures=volumes,network"), Ok(vec![Volumes, Network]));
        let all = HistoryFigure::ALL.map(HistoryFigure::code).join(",");
        assert_eq!(figures(&format!("figures={all}")), Ok(HistoryFigure::ALL.to_vec()));
    }

    #[test]
    fn an_unknown_code_is_answered_with_those_that_exist() {
        for wrong in ["figures=net", "figures=cpu,", "figures=CPU", "figures=cpu;disk"] {
            let BadParam { field, expected } = figures(wrong).unwrap_err();
            assert_eq!(field, "figures");
            let Expected::SomeOf(codes) = expected else { panic!("{expected:?}") };
            assert_eq!(
                codes,
                "cpu, memory, disk, guest-memory, network, storage, latency, contention and volumes"
            );
        }
    }
}
