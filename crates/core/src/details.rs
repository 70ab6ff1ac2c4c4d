//! Makes the details of one VM when somebody looks at it: each network interface and drive with its rates, or why it
//! has none, and what its instance says of the guest. `view` and REST use it.

use super::{
    activity::{first_sample, sriov, uncounted_device},
    pressure,
};
use model::{
    activity::{Activity, GuestActivity, Part},
    details::{Drive, Interface, Migration, VmDetails},
    figure::Missing,
    instance::{InstanceDetails, InstanceDisk, InstanceInterface},
    rates::{DriveRates, GuestRates, InterfaceRates},
    reason::Reason,
    source::{SourceHealth, SourceId, SourceState},
    vm::Vm,
};

/// Returns the details of a VM. `sources` are those that its viewer sees.
pub fn details(vm: &Vm, sources: &[SourceHealth]) -> VmDetails {
    let activity = &vm.activity;
    let (pressure, pressure_gap) = pressure::text(&vm.pressure);
    let known = VmDetails {
        activity: without_devices(activity),
        migrations: vm.migrations.iter().map(|migration| Migration::clone(migration)).collect(),
        migrations_gap: gap(SourceId::Migrations, sources).map(Box::new),
        pressure,
        pressure_gap,
        ..VmDetails::default()
    };
    let Some(InstanceDetails { disks, interfaces, system, hostname, started, conditions }) =
        vm.instance.as_deref()
    else {
        return known;
    };
    VmDetails {
        interfaces: all_interfaces(activity, interfaces),
        drives: all_drives(activity, disks),
        system: system.as_deref().cloned(),
        hostname: hostname.to_string(),
        started: *started,
        conditions: conditions.to_vec(),
        ..known
    }
}

/// Why a source may lack something; `None` if it is healthy.
fn gap(id: SourceId, sources: &[SourceHealth]) -> Option<Missing> {
    let source = sources.iter().find(|source| source.id == id)?;
    let SourceHealth { state, reason, error: detail, fix, .. } = source;
    match (state, reason) {
        (SourceState::Healthy, _) => None,
        (_, Some(reason)) => Some(Missing { detail: detail.clone(), fix: fix.clone(), ..(*reason).into() }),
        (_, None) => Some(Reason::Starting.into()),
    }
}

/// The activity without the rates of devices, which stand with the devices.
fn without_devices(activity: &Activity) -> Activity {
    match activity {
        Activity::Known(known) => {
            Activity::Known(Box::new(GuestActivity { rates: None, ..(**known).clone() }))
        }
        Activity::Missing(missing) => Activity::Missing(missing.clone()),
    }
}

/// The rates of all devices, or why none has any. Then the sum of the drives has the same reason.
fn all_rates(activity: &Activity) -> Part<&GuestRates> {
    match activity {
        Activity::Missing(missing) => Err(missing.clone()),
        Activity::Known(known) => match (known.rates.as_deref(), &known.storage) {
            (Some(rates), _) => Ok(rates),
            (None, Err(missing)) => Err(missing.clone()),
            (None, Ok(_)) => Err(first_sample()),
        },
    }
}

/// The interfaces of the instance, then those that only virt-handler knows.
fn all_interfaces(activity: &Activity, known: &[InstanceInterface]) -> Vec<Interface> {
    let rates = all_rates(activity);
    let counted: &[InterfaceRates] = rates.as_ref().map_or(&[], |rates| &rates.interfaces);
    let of_instance = known.iter().map(|interface| Interface {
        name: interface.name.to_string(),
        guest_name: interface.guest_name.to_string(),
        mac: interface.mac.to_string(),
        addresses: interface.addresses.iter().map(ToString::to_string).collect(),
        is_sriov: interface.is_sriov,
        rates: interface_rates(interface, &rates),
    });
    let others = counted.iter().filter(|rates| known.iter().all(|known| *known.name != *rates.name));
    let others = others.map(|counted| Interface {
        name: counted.name.to_string(),
        guest_name: String::new(),
        mac: String::new(),
        addresses: Vec::new(),
        is_sriov: false,
        rates: rates_of(counted, [counted.receive.bytes, counted.transmit.bytes]),
    });
    of_instance.chain(others).collect()
}

fn interface_rates(interface: &InstanceInterface, rates: &Part<&GuestRates>) -> Part<InterfaceRates> {
    if interface.is_sriov {
        return Err(sriov());
    }
    let rates = rates.as_ref().map_err(Clone::clone)?;
    match rates.interfaces.iter().find(|of| *of.name == *interface.name) {
        Some(of) => rates_of(of, [of.receive.bytes, of.transmit.bytes]),
        None => Err(uncounted_device(rates.interfaces_left_out)),
    }
}

/// The drives of the instance, then those that only virt-handler knows.
fn all_drives(activity: &Activity, disks: &[InstanceDisk]) -> Vec<Drive> {
    let rates = all_rates(activity);
    let counted: &[DriveRates] = rates.as_ref().map_or(&[], |rates| &rates.drives);
    let of_instance = disks.iter().map(|disk| Drive {
        name: disk.name.to_string(),
        claim: disk.claim.to_string(),
        rates: drive_rates(disk, &rates),
    });
    let others = counted.iter().filter(|rates| disks.iter().all(|disk| *disk.name != *rates.name));
    let others = others.map(|counted| Drive {
        name: counted.name.to_string(),
        claim: String::new(),
        rates: rates_of(counted, [counted.read.bytes, counted.write.bytes]),
    });
    of_instance.chain(others).collect()
}

fn drive_rates(disk: &InstanceDisk, rates: &Part<&GuestRates>) -> Part<DriveRates> {
    let rates = rates.as_ref().map_err(Clone::clone)?;
    match rates.drives.iter().find(|of| *of.name == *disk.name) {
        Some(of) => rates_of(of, [of.read.bytes, of.write.bytes]),
        None => Err(uncounted_device(rates.drives_left_out)),
    }
}

/// The rates of a device, if it has any: one that was plugged in, or started over, has none yet.
fn rates_of<T: Clone, R>(rates: &T, bytes: [Option<R>; 2]) -> Part<T> {
    if bytes.iter().any(Option::is_some) { Ok(rates.clone()) } else { Err(first_sample()) }
}
