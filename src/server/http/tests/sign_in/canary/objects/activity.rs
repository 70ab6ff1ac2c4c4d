//! What a guest does, and how long its pod waits.

use std::sync::Arc;

use rand::Rng;

use super::{Maker, NOW};
use model::{
    activity::{Activity, GuestActivity, MemoryUse, Origin, Part, Storage, Swap, Traffic},
    figure::{Missing, Source},
    pressure::{Pressure, PressureSample, Stall},
    rates::{DriveRates, GuestRates, InterfaceRates},
    reason::Reason,
    vm::Vm,
};

/// Adds what is of other sources than the rest: drawn last, so that the numbers of all else stay the same.
pub fn with_origins(vm: Vm, make: &mut Maker) -> Vm {
    let activity = match vm.activity {
        Activity::Known(known) => {
            let network = known.network.map(|traffic| Traffic { uncounted: make.count(), ..traffic });
            let network_from = Some(origin(make));
            Activity::Known(Box::new(GuestActivity { network, network_from, ..*known }))
        }
        missing => missing,
    };
    Vm { activity, pressure: pressure(make), ..vm }
}

pub fn activity(make: &mut Maker) -> Activity {
    if make.one_in(4) {
        return Activity::Missing(Box::new(missing_part(make)));
    }
    let (swap, memory) = (Swap { r#in: make.rate(), out: make.rate() }, make.amount());
    let interface = InterfaceRates {
        name: make.text("interface").into(),
        receive: make.traffic(),
        transmit: make.traffic(),
    };
    let drive =
        DriveRates { name: make.text("drive").into(), read: make.operations(), write: make.operations() };
    let storage = Storage { read: make.operations(), write: make.operations() };
    Activity::Known(Box::new(GuestActivity {
        source: Source::VirtHandler,
        at: make.time(),
        window_ms: make.count(),
        stale: make.one_in(2),
        memory: Ok(MemoryUse { used: memory, total: make.amount() }),
        swap: if make.one_in(2) { Ok(swap) } else { Err(Box::new(missing_part(make))) },
        major_faults: Ok(make.rate()),
        network: Ok(Traffic { receive: make.rate(), transmit: make.rate(), uncounted: 0 }),
        network_from: None,
        storage: Ok(storage),
        contention: Ok(make.count()),
        migration: Some(Box::new(super::details::progress(make))),
        rates: Some(Arc::new(GuestRates {
            interfaces: [interface].into(),
            drives: [drive].into(),
            window_ms: make.count(),
            ..GuestRates::default()
        })),
    }))
}

fn origin(make: &mut Maker) -> Origin {
    // Times of the last hour are too few to be told apart.
    let (at, window_ms) = (NOW - make.numbers.random_range(1_000_000_000..100_000_000_000), make.count());
    Origin { source: Source::KubeletDirect, at, window_ms, stale: make.one_in(2) }
}

/// Its percentages are too small to be told from others.
fn pressure(make: &mut Maker) -> Part<PressureSample> {
    if make.one_in(2) {
        return Err(Box::new(missing_part(make)));
    }
    let mut stall = || Some(Stall { some: make.count(), full: make.count() });
    let pressure = Pressure { cpu: stall(), memory: stall(), io: stall() };
    Ok(PressureSample { pressure, origin: origin(make) })
}

fn missing_part(make: &mut Maker) -> Missing {
    let (detail, fix) = (make.text("activity-detail").into(), make.text("activity-fix").into());
    Missing { detail, fix, ..Reason::NotReported.into() }
}
