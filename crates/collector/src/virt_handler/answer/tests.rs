use super::*;

const LARGE: usize = 32 << 20;

/// Two VMs of node n1, as KubeVirt 1.6 reports them, and what else is in such an answer.
const ANSWER: &str = r#"# HELP go_goroutines Number of goroutines that currently exist.
# TYPE go_goroutines gauge
go_goroutines 312
kubevirt_info{goversion="go1.23.9",kubeversion="v1.6.2"} 1
# HELP kubevirt_vmi_cpu_usage_seconds_total Total CPU time spent in all modes (sum of both vcpu and hypervisor usage).
# TYPE kubevirt_vmi_cpu_usage_seconds_total counter
kubevirt_vmi_cpu_usage_seconds_total{kubernetes_vmi_label_app="shop",name="web",namespace="prod",node="n1"} 12.5
kubevirt_vmi_cpu_usage_seconds_total{name="db",namespace="prod",node="n1"} 3
kubevirt_vmi_memory_available_bytes{name="web",namespace="prod",node="n1"} 4.104138752e+09
kubevirt_vmi_memory_usable_bytes{name="web",namespace="prod",node="n1"} 3e+09
kubevirt_vmi_memory_swap_in_traffic_bytes{name="web",namespace="prod",node="n1"} 4096
kubevirt_vmi_network_receive_bytes_total{interface="default",name="web",namespace="prod",node="n1"} 1e+06
kubevirt_vmi_network_transmit_bytes_total{interface="default",name="web",namespace="prod",node="n1"} 2e+06
kubevirt_vmi_network_transmit_packets_total{interface="default",name="web",namespace="prod",node="n1"} 1500
kubevirt_vmi_network_receive_bytes_total{interface="storage",name="web",namespace="prod",node="n1"} 7
kubevirt_vmi_network_traffic_bytes_total{interface="default",name="web",namespace="prod",node="n1",type="rx"} 1e+06
kubevirt_vmi_node_cpu_affinity{name="web",namespace="prod",node="n1"} 2
kubevirt_vmi_storage_iops_read_total{drive="rootdisk",name="web",namespace="prod",node="n1"} 40
kubevirt_vmi_storage_read_times_seconds_total{drive="rootdisk",name="web",namespace="prod",node="n1"} 0.08
kubevirt_vmi_vcpu_delay_seconds_total{id="0",name="web",namespace="prod",node="n1"} 1.5
kubevirt_vmi_vcpu_delay_seconds_total{id="1",name="web",namespace="prod",node="n1"} 0.5
kubevirt_vmi_migration_data_remaining_bytes{name="web",namespace="prod",node="n1"} 5 1700000000000
"#;

fn read_in(pieces: usize, answer: &str, namespaces: Option<&[&str]>) -> Result<GuestsFacts, Failure> {
    let namespaces = namespaces.map(|all| all.iter().map(|own| (*own).to_owned()).collect());
    let mut reader = AnswerReader::new("n1", namespaces, LARGE);
    answer.as_bytes().chunks(pieces).try_for_each(|piece| reader.read(piece))?;
    reader.finish()
}

fn read(answer: &str) -> GuestsFacts {
    read_in(1 << 14, answer, None).unwrap()
}

fn names(facts: &GuestsFacts) -> Vec<&str> {
    facts.guests.iter().map(|guest| &*guest.instance.name).collect()
}

#[test]
fn the_counters_of_each_guest_are_read() {
    let facts = read(ANSWER);
    assert_eq!((names(&facts), facts.contention_since), (vec!["web", "db"], None));
    let web = &facts.guests[0];
    assert_eq!(web.migration.as_deref().unwrap().remaining, Some(5));
    assert_eq!(facts.guests[1].migration, None, "it does not migrate");
    assert_eq!((web.memory.available, web.memory.usable), (Some(4_104_138_752), Some(3_000_000_000)));
    let counters = &web.counters;
    assert_eq!(counters.cpu_time, Some(12_500_000_000));
    assert_eq!(counters.delay, Some(VcpuDelay { nanos: 2_000_000_000, vcpus: 2 }));
    assert_eq!((counters.paging.swap_in, counters.paging.swap_out), (Some(4096), None));
    let [default, storage] = counters.interfaces.as_slice() else { panic!("{:?}", counters.interfaces) };
    assert_eq!(
        (&*default.name, default.receive.bytes, default.transmit.bytes),
        ("default", Some(1_000_000), Some(2_000_000))
    );
    assert_eq!((default.receive.packets, default.transmit.packets), (None, Some(1500)));
    assert_eq!((&*storage.name, storage.receive.bytes, storage.transmit.bytes), ("storage", Some(7), None));
    let [root] = counters.drives.as_slice() else { panic!("{:?}", counters.drives) };
    assert_eq!((root.read.operations, root.read.time, root.write.time), (Some(40), Some(80_000_000), None));
    assert_eq!(
        facts.guests[1].counters,
        GuestCounters { cpu_time: Some(3_000_000_000), ..Default::default() }
    );
}

#[test]
fn the_answer_is_the_same_wherever_it_is_cut() {
    let whole = read(ANSWER);
    for piece in [1, 2, 3, 7, 100, 1000] {
        assert_eq!(read_in(piece, ANSWER, None).unwrap(), whole, "pieces of {piece}");
    }
    assert_eq!(read(&ANSWER.replace('\n', "\r\n")), whole);
}

#[test]
fn the_names_of_kubevirt_1_0_are_read_too() {
    let facts = read(
        r#"kubevirt_info{goversion="go1.19.9",kubeversion="v1.0.1"} 1
kubevirt_vmi_cpu_usage_seconds{name="web",namespace="prod",node="n1"} 12
kubevirt_vmi_memory_domain_bytes_total{name="web",namespace="prod",node="n1"} 5
kubevirt_vmi_memory_pgmajfault{name="web",namespace="prod",node="n1"} 6
kubevirt_vmi_memory_swap_out_traffic_bytes_total{name="web",namespace="prod",node="n1"} 7
kubevirt_vmi_storage_write_times_ms_total{drive="rootdisk",name="web",namespace="prod",node="n1"} 8
"#,
    );
    let GuestFacts { memory, counters, .. } = &facts.guests[0];
    assert_eq!((counters.cpu_time, memory.domain), (Some(12_000_000_000), Some(5)));
    assert_eq!((counters.paging.major_faults, counters.paging.swap_out), (Some(6), Some(7)));
    assert_eq!(counters.drives[0].write.time, Some(8_000_000));
    assert_eq!(facts.contention_since, Some(KubevirtVersion(1, 1)));
}

#[test]
fn a_guest_of_another_node_or_namespace_is_left_out() {
    let of = |namespace: &str, node: &str| {
        format!(
            "kubevirt_vmi_memory_unused_bytes{{name=\"x\",namespace=\"{namespace}\",node=\"{node}\"}} 1\n"
        )
    };
    let answer = [of("a", "n1"), of("b", "n2"), of("c", ""), of("", "n1"), of("d", "n1")].concat();
    let found = |namespaces: Option<&[&str]>| {
        let facts = read_in(99, &answer, namespaces).unwrap();
        facts.guests.iter().map(|guest| guest.instance.namespace.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(found(None), ["a", "d"]);
    assert_eq!(found(Some(&["d", "e"])), ["d"]);
}

#[test]
fn of_a_series_that_is_there_twice_the_first_counts() {
    let series = |name: &str, label: &str, value: &str| {
        format!("kubevirt_vmi_{name}{{{label}name=\"web\",namespace=\"a\",node=\"n1\"}} {value}\n")
    };
    let delay = |id: &str, value: &str| series("vcpu_delay_seconds_total", &format!("id=\"{id}\","), value);
    let answer = [
        series("memory_unused_bytes", "", "NaN"),
        series("memory_unused_bytes", "", "5"),
        series("memory_unused_bytes", "", "6"),
        delay("0", "1"),
        delay("0", "1"),
        delay("1", "-1"),
        series("network_receive_bytes_total", "", "7"),
        series("storage_iops_read_total", "drive=\"\",", "7"),
        delay("1024", "1"),
        delay("x", "1"),
    ];
    let facts = read(&answer.concat());
    let GuestFacts { memory, counters, .. } = &facts.guests[0];
    assert_eq!(memory.unused, Some(5), "what is no number is no value");
    assert!(counters.interfaces.is_empty() && counters.drives.is_empty(), "a device has a name");
    assert_eq!(counters.delay, Some(VcpuDelay { nanos: 1_000_000_000, vcpus: 1 }));
}

/// The progress of the migration of a guest of this version.
fn progress(version: &str, lines: &[(&str, &str)]) -> MigrationProgress {
    let series = |(name, value): &(&str, &str)| {
        format!("kubevirt_vmi_migration_{name}_bytes{{name=\"web\",namespace=\"a\",node=\"n1\"}} {value}\n")
    };
    let series: String = lines.iter().map(series).collect();
    let facts = read(&format!("kubevirt_info{{kubeversion=\"{version}\"}} 1\n{series}"));
    facts.guests[0].migration.as_deref().copied().unwrap_or_default()
}

#[test]
fn of_the_samples_of_a_migration_the_last_counts() {
    let of = progress(
        "v1.8.2",
        &[
            ("data_bytes_total", "9"),
            ("data_processed", "5 1772615520000"),
            ("data_processed", "6 1772615525000"),
            ("data_processed", "NaN 1772615530000"),
            ("data_remaining", "4 1772615520000"),
            ("dirty_memory_rate", "1e9 1772615520000"),
            ("memory_transfer_rate", "2e9 1772615520000"),
        ],
    );
    let want = MigrationProgress {
        processed: Some(6),
        remaining: Some(4),
        dirty_rate: Some(1_000_000_000),
        transfer_rate: Some(2_000_000_000),
    };
    assert_eq!(of, want);
}

/// KubeVirt 1.4.0: only the series of migrations lack the label.
#[test]
fn a_migration_without_its_node_is_one_of_this_node() {
    let facts = read(
        r#"kubevirt_info{goversion="go1.22.8",kubeversion="v1.4.0"} 1
kubevirt_vmi_memory_unused_bytes{name="other",namespace="a"} 1
kubevirt_vmi_migration_data_remaining_bytes{name="web",namespace="a"} 4 1772615520000
kubevirt_vmi_migration_data_remaining_bytes{name="far",namespace="a",node="n2"} 5 1772615520000
"#,
    );
    assert_eq!(names(&facts), ["web"]);
    assert_eq!(facts.guests[0].migration.as_deref().unwrap().remaining, Some(4));
}

#[test]
fn the_transfer_rate_of_a_migration_has_the_name_of_its_version() {
    for (version, disk, memory, want) in [
        ("v1.1.0", "7", "0", Some(7)),
        ("v1.6.3", "7", "0", Some(7)),
        ("v1.7.0-beta.0", "0", "7", Some(7)),
        ("v1.9.0", "0", "7", Some(7)),
        ("v1.0.1", "7", "7", None),
    ] {
        let lines = [("disk_transfer_rate", disk), ("memory_transfer_rate", memory)];
        assert_eq!(progress(version, &lines).transfer_rate, want, "{version}");
    }
}

#[test]
fn a_last_line_that_is_cut_is_dropped() {
    let line = |value: &str| {
        format!("kubevirt_vmi_memory_unused_bytes{{name=\"x\",namespace=\"a\",node=\"n1\"}} {value}")
    };
    assert_eq!(read(&format!("# TYPE x gauge\n{}", line("123"))).guests, []);
    assert_eq!(read(&format!("{}\n{}", line("12345"), line("1"))).guests[0].memory.unused, Some(12345));
}

#[test]
fn an_answer_of_another_kind_is_refused() {
    for answer in [
        "",
        "<html>\n<body>\nkubevirt is away\n",
        "{\"kind\": \"Status\"}\n",
        "\n\n",
        "kubevirt_vmi_memory_unused_bytes{\n",
    ] {
        assert!(matches!(read_in(5, answer, None), Err(Failure::Undecodable)), "{answer}");
    }
    assert_eq!(read("# HELP go_goroutines x\ngo_goroutines 1\n").guests, [], "a node without guests");
}

#[test]
fn a_long_line_is_left_out_and_the_others_are_read() {
    let long = |length: usize| {
        let label = "x".repeat(length);
        format!(
            "kubevirt_vmi_memory_unused_bytes{{kubernetes_vmi_label_a=\"{label}\",name=\"long\",namespace=\"a\",node=\"n1\"}} 1\n"
        )
    };
    for piece in [100, 1 << 14, 1 << 20] {
        let answer = [long(10_000), ANSWER.to_owned(), long(LONGEST_LINE), long(1)].concat();
        assert_eq!(names(&read_in(piece, &answer, None).unwrap()), ["long", "web", "db"], "{piece}");
        let answer = [long(LONGEST_LINE), ANSWER.to_owned()].concat();
        assert_eq!(names(&read_in(piece, &answer, None).unwrap()), ["web", "db"], "{piece}");
    }
    let mut reader = AnswerReader::new("n1", None, usize::MAX);
    reader.read(b"kubevirt_vmi_memory_unused_bytes{").unwrap();
    (0..1000).for_each(|_| reader.read(&[b'x'; 10_000]).unwrap());
    assert!(reader.begun.capacity() <= 2 * LONGEST_LINE, "an endless line is never held");
}

/// One line of a guest, with these labels besides.
fn series(family: &str, guest: usize, label: &str) -> String {
    format!("kubevirt_vmi_{family}{{{label}name=\"vm-{guest}\",namespace=\"a\",node=\"n1\"}} 1\n")
}

#[test]
fn a_node_cannot_fill_this_program_s_memory() {
    let guests = |count| (0..count).map(|guest| series("memory_unused_bytes", guest, "")).collect::<String>();
    assert_eq!(read(&guests(MOST_GUESTS)).guests.len(), MOST_GUESTS);
    assert!(matches!(read_in(1 << 14, &guests(MOST_GUESTS + 1), None), Err(Failure::TooMany(MOST_GUESTS))));

    let interface = |of: usize| format!("interface=\"eth{of}\",");
    let interfaces = |guest: usize, count: usize| {
        (0..count).map(|of| series("network_receive_bytes_total", guest, &interface(of))).collect::<String>()
    };
    for (count, left_out) in [(MOST_INTERFACES, false), (MOST_INTERFACES + 1, true)] {
        let facts = read(&interfaces(0, count));
        let counters = &facts.guests[0].counters;
        assert_eq!((counters.interfaces.len(), counters.interfaces_left_out), (MOST_INTERFACES, left_out));
    }
    let drives =
        (0..=MOST_DRIVES).map(|of| series("storage_iops_read_total", 0, &format!("drive=\"d{of}\",")));
    let facts = read(&drives.collect::<String>());
    assert_eq!(
        (facts.guests[0].counters.drives.len(), facts.guests[0].counters.drives_left_out),
        (MOST_DRIVES, true)
    );

    let lines = "\n".repeat(MOST_LINES + 1);
    assert!(matches!(read_in(1 << 14, &lines, None), Err(Failure::TooMany(MOST_LINES))));
    let line = series("memory_unused_bytes", 1, "");
    let mut reader = AnswerReader::new("n1", None, line.len() * 2);
    assert!(reader.read(line.repeat(2).as_bytes()).is_ok());
    assert!(matches!(reader.read(line.as_bytes()), Err(Failure::TooLarge(_))));
}

/// A line of an interface with this name, of a guest of this namespace.
fn interface(namespace: &str, guest: usize, name: &str) -> String {
    series("network_receive_bytes_total", guest, &format!("interface=\"{name}\","))
        .replace("namespace=\"a\"", &format!("namespace=\"{namespace}\""))
}

/// More devices than one node may have, or names as long as they may be: all guests keep their memory, and the other
/// namespaces their devices, wherever they stand in the answer.
#[test]
fn the_devices_of_one_namespace_do_not_hide_those_of_another() {
    let long = "x".repeat(220);
    for (guests, name) in
        [(MOST_DEVICES / MOST_INTERFACES + 1, "eth"), (MOST_DEVICES / MOST_INTERFACES, &*long)]
    {
        let of_guest =
            |guest| (0..MOST_INTERFACES).map(move |of| interface("a", guest, &format!("{name}-{of}")));
        let first = interface("b", 0, "eth0");
        let many: String = (0..guests).flat_map(of_guest).collect();
        let last = interface("b", 1, "eth0")
            + &interface("a", guests, "eth0")
            + &series("memory_unused_bytes", 7, "");
        let facts = read_in(1 << 14, &[first, many, last].concat(), None).unwrap();
        assert_eq!(facts.guests.len(), guests + 3);
        for guest in &facts.guests {
            let GuestCounters { interfaces, interfaces_left_out, drives_left_out, .. } = &guest.counters;
            let is_large = *guest.instance.namespace == *"a";
            assert_eq!(interfaces.len(), usize::from(!is_large), "{guest:?}");
            assert_eq!((*interfaces_left_out, *drives_left_out), (is_large, is_large), "{guest:?}");
        }
        let named = |facts: &GuestFacts| *facts.instance.name == *"vm-7" && facts.memory.unused == Some(1);
        assert!(facts.guests.iter().any(named));
    }
}

#[test]
fn as_many_devices_as_may_be_leave_room_for_guests_without_one() {
    let of_guest = |guest| (0..MOST_INTERFACES).map(move |of| interface("a", guest, &format!("eth-{of}")));
    let mut answer: String = (0..MOST_DEVICES / MOST_INTERFACES).flat_map(of_guest).collect();
    answer += &series("memory_unused_bytes", 900, "");
    let facts = read(&answer);
    assert!(facts.guests.iter().all(|guest| !guest.counters.interfaces_left_out), "nothing had to go");
}

/// Names as long as they may be, so that no guest is ever without room for itself.
#[test]
fn all_guests_fit_without_devices() {
    let (name, namespace) = ("x".repeat(250), "y".repeat(256));
    let guest = |of| {
        series("memory_unused_bytes", of, "")
            .replace("\"vm-", &format!("\"{name}"))
            .replace("\"a\"", &format!("\"{namespace}\""))
    };
    let answer: String = (0..MOST_GUESTS).map(guest).collect();
    let facts = read(&answer);
    assert_eq!(facts.guests.len(), MOST_GUESTS);
    assert!(facts.guests.iter().all(|guest| guest.instance.name.len() > 250), "a name was not read as it is");
}

/// KubeVirt writes all labels of a VMI into each of its series: 3,500 labels make half a megabyte of each.
#[test]
fn the_labels_of_one_vmi_do_not_hide_the_other_guests_of_its_node() {
    const LIMIT: usize = 1 << 20;
    let labels = format!("kubernetes_vmi_label_l=\"{}\",", "x".repeat(LONGEST_LINE));
    let fewer_labels = format!("kubernetes_vmi_label_l=\"{}\",", "x".repeat(LONGEST_LINE / 2));
    let long = series("memory_unused_bytes", 1, &labels).repeat(40);
    let shorter = series("memory_unused_bytes", 2, &fewer_labels).repeat(100);
    let other = series("migration_data_total_bytes", 1, &fewer_labels).repeat(100);
    assert!([&long, &shorter, &other].iter().all(|series| series.len() > 2 * LIMIT));
    for piece in [100, 1 << 14, 1 << 24] {
        let mut reader = AnswerReader::new("n1", None, LIMIT);
        let answer = [&*long, &*shorter, &*other, ANSWER].concat();
        answer.as_bytes().chunks(piece).for_each(|piece| reader.read(piece).unwrap());
        assert_eq!(names(&reader.finish().unwrap()), ["vm-2", "web", "db"], "{piece}");
    }
    let mut reader = AnswerReader::new("n1", None, LIMIT);
    let endless = vec![b'x'; 1 << 20];
    let failure = (0..=MOST_RECEIVED >> 20).find_map(|_| reader.read(&endless).err());
    assert!(matches!(failure, Some(Failure::TooLarge(MOST_RECEIVED))), "{failure:?}");
}
