//! A guest whose counters grow at known rates, in the units of libvirt's domain statistics, and the text that a version of
//! KubeVirt makes of them. That text is a template of that version, and not the names table of the program: an error
//! in the table is found.
//!
//! A sample of a template ends in the figure that KubeVirt prints and KubeVirt's conversion of it: `$rd.times/1000000000`, or
//! `//` where it divides whole numbers. A figure that a guest does not have is not printed.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// What every counter starts at: rates are those of the growth.
const SINCE_BOOT: u64 = 7_000_000;

/// A figure with its growth per second, or with its amount if its name is in [`AMOUNTS`].
pub type Figure = (&'static str, u64);

/// Figures that do not grow.
const AMOUNTS: [&str; 19] = [
    "rss",
    "available",
    "unused",
    "disk_caches",
    "current",
    "usable",
    "maximum",
    "affinity",
    "fs.total",
    "fs.used",
    "load.1",
    "load.5",
    "load.15",
    "dirty_rate",
    "migration.data_processed",
    "migration.data_remaining",
    "migration.dirty_memory_rate",
    "migration.memory_transfer_rate",
    "migration.disk_transfer_rate",
];

/// An interface or a drive.
#[derive(Clone, Debug)]
pub struct Device {
    pub name: &'static str,
    pub figures: Vec<Figure>,
}

#[derive(Clone, Debug)]
pub struct Guest {
    pub namespace: &'static str,
    pub name: &'static str,
    /// `status.nodeName` of its instance, which KubeVirt prints whatever node it asks the guest on.
    pub node: &'static str,
    /// Of the whole guest.
    pub figures: Vec<Figure>,
    pub interfaces: Vec<Device>,
    pub drives: Vec<Device>,
    /// Each vCPU's.
    pub vcpus: Vec<Vec<Figure>>,
    /// When its QEMU started.
    pub since: Instant,
}

impl Guest {
    /// A guest with two interfaces, two drives and two vCPUs. No two rates are the same, so that none is taken for another;
    /// `seed` makes them differ between guests.
    pub fn new(namespace: &'static str, name: &'static str, node: &'static str, seed: u64) -> Self {
        let interface = |name, n: u64| Device {
            name,
            figures: vec![
                ("rx.bytes", 1_250_000 * n + 1000 * seed),
                ("rx.pkts", 2100 * n + seed),
                ("rx.errs", 230 * n + seed),
                ("rx.drop", 310 * n + seed),
                ("tx.bytes", 730_000 * n + 1000 * seed),
                ("tx.pkts", 1700 * n + seed),
                ("tx.errs", 270 * n + seed),
                ("tx.drop", 370 * n + seed),
            ],
        };
        let drive = |name, n: u64| Device {
            name,
            figures: vec![
                ("rd.reqs", 410 * n + seed),
                ("rd.bytes", 5_300_000 * n + 1000 * seed),
                ("rd.times", 90_000_000 * n * n + 1000 * seed),
                ("wr.reqs", 590 * n + seed),
                ("wr.bytes", 3_100_000 * n + 1000 * seed),
                ("wr.times", 230_000_000 * n * n + 1000 * seed),
                ("fl.reqs", 70 * n),
                ("fl.times", 11_000_000 * n),
                ("fs.total", 20 << 30),
                ("fs.used", (5 << 30) + n),
            ],
        };
        let vcpu = |n: u64| {
            vec![
                ("vcpu.time", 300_000_000 * n),
                ("vcpu.wait", 90_000_000 * n),
                ("vcpu.delay", 40_000_000 * n + 1_000_000 * seed),
            ]
        };
        Self {
            namespace,
            name,
            node,
            figures: vec![
                ("rss", 1 << 20),
                ("available", 3_900_000 + seed),
                ("unused", 700_000 + seed),
                ("disk_caches", 900_000 + seed),
                ("usable", 1_500_000 + seed),
                ("current", 4 << 20),
                ("maximum", 4 << 20),
                ("swap_in", 430 + seed),
                ("swap_out", 670 + seed),
                ("major_fault", 350 + seed),
                ("minor_fault", 9000),
                ("cpu.time", 1_100_000_000),
                ("cpu.user", 700_000_000),
                ("cpu.system", 300_000_000),
                ("affinity", 3),
                ("load.1", 2),
                ("load.5", 1),
                ("load.15", 1),
                ("dirty_rate", 17),
            ],
            interfaces: vec![interface("default", 1), interface("backup", 3)],
            drives: vec![drive("disk-0", 1), drive("disk-1", 2)],
            vcpus: vec![vcpu(1), vcpu(2)],
            since: Instant::now(),
        }
    }

    /// The same guest while it migrates.
    pub fn migrating(mut self) -> Self {
        self.figures.extend([
            ("migration.data_processed", 123_456_789),
            ("migration.data_remaining", 456_789_123),
            ("migration.dirty_memory_rate", 7_891_234),
            ("migration.memory_transfer_rate", 89_123_456),
            ("migration.disk_transfer_rate", 0),
        ]);
        self
    }

    /// The sum of a figure of all devices, or of all vCPUs.
    pub fn sum<'a>(parts: impl IntoIterator<Item = &'a [Figure]>, name: &str) -> f64 {
        parts.into_iter().map(|part| figure(part, name).unwrap_or_default() as f64).sum()
    }

    /// A figure of the whole guest.
    pub fn figure(&self, name: &str) -> f64 {
        figure(&self.figures, name).unwrap_or_default() as f64
    }

    pub fn interface_figures(&self) -> impl Iterator<Item = &[Figure]> {
        self.interfaces.iter().map(|device| &*device.figures)
    }

    pub fn drive_figures(&self) -> impl Iterator<Item = &[Figure]> {
        self.drives.iter().map(|device| &*device.figures)
    }

    pub fn vcpu_figures(&self) -> impl Iterator<Item = &[Figure]> {
        self.vcpus.iter().map(|vcpu| &**vcpu)
    }

    /// The figure of one part of it now, as a template names it.
    fn now(&self, part: &[Figure], name: &str) -> Option<u64> {
        if name == "now" {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
            return u64::try_from(now.as_millis()).ok();
        }
        let amount = figure(part, name).or_else(|| figure(&self.figures, name))?;
        if AMOUNTS.contains(&name) {
            return Some(amount);
        }
        let grown = self.since.elapsed().as_nanos() * u128::from(amount) / 1_000_000_000;
        Some(SINCE_BOOT + u64::try_from(grown).expect("a short test"))
    }
}

fn figure(part: &[Figure], name: &str) -> Option<u64> {
    part.iter().find(|(of, _)| *of == name).map(|(_, figure)| *figure)
}

/// The answer of a virt-handler with these guests now.
pub fn fill(template: &str, guests: &[Guest]) -> String {
    let mut text = String::new();
    for line in template.lines() {
        if line.starts_with('#') || !line.contains("$name") {
            text.extend([line, "\n"]);
            continue;
        }
        for guest in guests {
            samples(&mut text, line, guest);
        }
    }
    text
}

/// The samples of one guest: one for each of what the line names.
fn samples(text: &mut String, line: &str, guest: &Guest) {
    let own = |name: &str| line.contains(name);
    if own("$interface") || own("$tap") {
        for (n, device) in guest.interfaces.iter().enumerate() {
            let line = line.replace("$interface", device.name).replace("$tap", &format!("tap{n}"));
            sample(text, &line, guest, &device.figures);
        }
    } else if own("$drive") {
        for device in &guest.drives {
            sample(text, &line.replace("$drive", device.name), guest, &device.figures);
        }
    } else if own("$vcpu\"") {
        for (n, vcpu) in guest.vcpus.iter().enumerate() {
            sample(text, &line.replace("$vcpu\"", &format!("{n}\"")), guest, vcpu);
        }
    } else {
        sample(text, line, guest, &[]);
    }
}

fn sample(text: &mut String, line: &str, guest: &Guest, part: &[Figure]) {
    let (series, written) = line.split_once("} ").expect("a sample with labels");
    let numbers: Option<Vec<String>> =
        written.split(' ').map(|expression| value(expression, guest, part)).collect();
    let Some(numbers) = numbers else { return };
    let series = series
        .replace("$namespace", guest.namespace)
        .replace("$name", guest.name)
        .replace("$node", guest.node);
    text.extend([&series, "} ", &numbers.join(" "), "\n"]);
}

/// `$FIGURE`, with KubeVirt's conversion of it. A time has no exponent.
fn value(expression: &str, guest: &Guest, part: &[Figure]) -> Option<String> {
    let expression = expression.strip_prefix('$').expect("a figure");
    let end = expression.find(['*', '/']).unwrap_or(expression.len());
    let (name, conversion) = expression.split_at(end);
    let figure = guest.now(part, name)?;
    let number = |text: &str| text.parse::<u64>().expect("a whole number");
    Some(match conversion.strip_prefix("//").map(number) {
        _ if name == "now" => figure.to_string(),
        Some(divisor) => go_float((figure / divisor) as f64),
        None if conversion.is_empty() => go_float(figure as f64),
        None => match conversion.split_at(1) {
            ("*", factor) => go_float((figure * number(factor)) as f64),
            (_, divisor) => go_float(figure as f64 / number(divisor) as f64),
        },
    })
}

/// A number as Go's Prometheus library writes it: the shortest digits, from a million on with an exponent.
fn go_float(value: f64) -> String {
    let written = format!("{value:e}");
    let (digits, exponent) = written.split_once('e').expect("an exponent");
    let exponent: i32 = exponent.parse().expect("a number");
    if (-4..6).contains(&exponent) {
        return value.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

#[test]
fn numbers_are_written_as_go_writes_them() {
    for (value, want) in [
        (0.0, "0"),
        (7.0, "7"),
        (0.25, "0.25"),
        (999_999.0, "999999"),
        (1_000_000.0, "1e+06"),
        (1_234_567.5, "1.2345675e+06"),
        (21_474_836_480.0, "2.147483648e+10"),
        (0.000_012, "1.2e-05"),
    ] {
        assert_eq!(go_float(value), want);
    }
}

#[test]
fn a_template_has_a_sample_for_each_part_of_each_guest() {
    const TEMPLATE: &str = "# HELP x y\ngo_goroutines 3\n\
        a{interface=\"$interface\",name=\"$name\",namespace=\"$namespace\",node=\"$node\"} $rx.unknown\n\
        b{id=\"$vcpu\",name=\"$name\"} $vcpu.time//7000000\n\
        c{drive=\"$drive\",name=\"$name\"} $fs.total/1024\n\
        d{name=\"$name\",node=\"$node\"} $usable*1024 $now\n";
    let text = fill(TEMPLATE, &[Guest::new("prod", "web", "n1", 0)]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], ["# HELP x y", "go_goroutines 3"]);
    assert!(lines[2].starts_with("b{id=\"0\",name=\"web\"} 1"), "a whole number: {text}");
    assert!(lines[3].starts_with("b{id=\"1\",name=\"web\"} "), "{text}");
    assert_eq!(lines[4], "c{drive=\"disk-0\",name=\"web\"} 2.097152e+07");
    assert!(lines[5].starts_with("c{drive=\"disk-1\""), "{text}");
    assert!(lines[6].starts_with("d{name=\"web\",node=\"n1\"} 1.536e+09 1"), "{text}");
    assert_eq!(lines.len(), 7, "what a guest does not have is not printed: {text}");
}
