//! The amounts of a VM's activity that lists show and sort by: one number for each column.

use model::{
    activity::{Activity, ActivityRow, Amount, GuestActivity, Part, Storage, Traffic},
    figure::Sample,
    rates::{OperationRates, Rate},
    reason::Reason,
    vm::Vm,
};

/// Returns what a row of the table shows.
pub fn row(vm: &Vm) -> ActivityRow {
    ActivityRow {
        stale: matches!(&vm.activity, Activity::Known(known) if known.stale),
        guest_memory: guest_memory(vm),
        network: network(vm),
        storage: storage(vm),
        operations: operations(vm),
        latency: latency(vm),
        contention: contention(vm),
    }
}

/// The guest's own figure, whichever source has it.
pub fn guest_memory(vm: &Vm) -> Amount {
    match &vm.guest.memory {
        Some(sample) => Amount::Known(Sample::percent_milli(sample)),
        // A guest without this sample has no known part either.
        None => amount(vm, |of| &of.memory, |_| None),
    }
}

pub fn network(vm: &Vm) -> Amount {
    match part(vm, |of| &of.network) {
        Err(reason) => Amount::Missing(reason),
        Ok(Traffic { receive, transmit, uncounted }) => {
            let sum = receive.0.saturating_add(transmit.0);
            if *uncounted > 0 { Amount::AtLeast(sum) } else { Amount::Known(sum) }
        }
    }
}

pub fn storage(vm: &Vm) -> Amount {
    amount(vm, |of| &of.storage, |of| sum(of.read.bytes, of.write.bytes))
}

pub fn operations(vm: &Vm) -> Amount {
    amount(vm, |of| &of.storage, |of| sum(of.read.operations, of.write.operations))
}

pub fn contention(vm: &Vm) -> Amount {
    amount(vm, |of| &of.contention, |thousandths| Some(u64::from(*thousandths)))
}

/// The mean over reads and writes.
pub fn latency(vm: &Vm) -> Amount {
    match part(vm, |of| &of.storage) {
        Err(reason) => Amount::Missing(reason),
        Ok(Storage { read, write }) => mean_latency(read, write),
    }
}

/// Returns the mean nanoseconds of an operation, by how many there are of each kind.
fn mean_latency(read: &OperationRates, write: &OperationRates) -> Amount {
    let (mut time, mut operations) = (0_u128, 0_u128);
    for of in [read, write] {
        let rate = u128::from(of.operations.unwrap_or_default().0);
        match of.latency {
            _ if rate == 0 => {}
            Some(latency) => (time, operations) = (time + u128::from(latency) * rate, operations + rate),
            None => return Amount::Missing(Reason::NotReported),
        }
    }
    match time.checked_div(operations) {
        Some(mean) => Amount::Known(u64::try_from(mean).unwrap_or(u64::MAX)),
        None => Amount::Nothing,
    }
}

fn sum(a: Option<Rate>, b: Option<Rate>) -> Option<u64> {
    Some(a?.0.saturating_add(b?.0))
}

fn amount<T>(vm: &Vm, of: fn(&GuestActivity) -> &Part<T>, read: fn(&T) -> Option<u64>) -> Amount {
    match part(vm, of).map(read) {
        Ok(Some(amount)) => Amount::Known(amount),
        Ok(None) => Amount::Missing(Reason::NotReported),
        Err(reason) => Amount::Missing(reason),
    }
}

/// Returns a part of the activity, or why it is missing.
fn part<T>(vm: &Vm, of: fn(&GuestActivity) -> &Part<T>) -> Result<&T, Reason> {
    match &vm.activity {
        Activity::Missing(missing) => Err(missing.reason),
        Activity::Known(known) => of(known).as_ref().map_err(|missing| missing.reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operations(rate: u64, latency: Option<u64>) -> OperationRates {
        OperationRates { bytes: Some(Rate(0)), operations: Some(Rate(rate)), latency }
    }

    #[test]
    fn the_mean_latency_is_weighted_by_operations() {
        for (read, write, mean) in [
            (operations(3000, Some(10)), operations(1000, Some(50)), Amount::Known(20)),
            (operations(0, None), operations(1000, Some(50)), Amount::Known(50)),
            (operations(0, None), operations(0, None), Amount::Nothing),
            (operations(1, None), operations(1000, Some(50)), Amount::Missing(Reason::NotReported)),
            (operations(u64::MAX, Some(u64::MAX)), operations(1, Some(1)), Amount::Known(u64::MAX - 1)),
        ] {
            assert_eq!(mean_latency(&read, &write), mean, "{read:?} {write:?}");
        }
    }
}
