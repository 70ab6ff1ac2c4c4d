//! Chinese pages: they say the same, and no English is left on them.

use super::*;

#[test]
fn chinese_pages_have_the_same_content() {
    let text = chinese("/", snapshot(sample::vms(), sample::broken_sources())).text();
    for expected in [
        "1.31 / 4 vCPU",
        "32 %",
        "metrics.k8s.io 14 秒前",
        "第 1–13 个，共 13 个",
        "CPU、内存：刚启动，指标 API 需要两次采样。",
        "磁盘：4 个卷中 1 个未知。",
        "KubeVirt 没有给出原因。",
        "staging 中的 new-vm 未能启动",
        "372 Gi 内存已分配",
        "迁移中",
        "KubeVirt 状态：ErrorUnschedulable。",
    ] {
        assert!(
            text.contains(expected) || text.replace(' ', "").contains(&expected.replace(' ', "")),
            "{expected} is not in {text}"
        );
    }
    let page = chinese("/vms/payments/db-postgres-0", snapshot(sample::vms(), sample::sources()));
    assert!(page.text().contains("卷 data ：块卷。") || page.text().contains("卷 data"), "{}", page.text());
    assert!(page.html.contains("<html lang=\"zh-CN\""));
}

/// Words that Chinese pages share with English ones: names and units.
const TERMS: &[&str] = &[
    "wukong",
    "dashboard",
    "CPU",
    "vCPU",
    "IP",
    "MAC",
    "Gi",
    "Ti",
    "KubeVirt",
    "Wukong",
    "VirtualMachine",
    "Launcher",
    "launcher",
    "Pod",
    "PVC",
    "API",
    "UTC",
    "IOPS",
    "kubelet",
    "prometheus",
    "longhorn",
    "ceph",
    "guest",
    "agent",
    "Longhorn",
    "Ceph",
    "RBD",
    "PSI",
    "Prometheus",
    "kubectl",
    "working",
    "set",
    "watch",
    "list",
    "get",
    "nodes",
    "proxy",
    "stats",
    "pods",
    "persistentvolumes",
    "persistentvolumeclaims",
    "virtualmachines",
    "virtualmachineinstances",
    "virtualmachineinstancemigrations",
    "virtualmachineinstancetypes",
    "virtualmachineclusterinstancetypes",
    "wukongs",
    "read",
    "rbd",
    "image",
    "metrics",
    "EN",
    "CSV",
    "JSON",
    "Home",
    "End",
    "Enter",
    "Esc",
    "page",
    "yaml",
    "top",
    "containers",
    "raw",
    "virtualmachineinstance",
    "wukong-dashboard",
];

#[test]
fn chinese_pages_contain_no_english() {
    let mut vms = sample::vms();
    for vm in &mut vms {
        let usage = &mut vm.summary.usage;
        let volumes = vm.volumes.iter_mut().map(|volume| &mut volume.usage);
        for figure in [&mut usage.cpu, &mut usage.memory, &mut usage.disk].into_iter().chain(volumes) {
            if let Figure::Missing(missing) = figure {
                (missing.detail, missing.fix) = Default::default();
            }
        }
    }
    let names: String = vms.iter().map(|vm| format!("{vm:?} prod-hz-1")).collect();
    let mut sources = sample::broken_sources();
    for source in &mut sources {
        (source.error, source.fix) = Default::default();
    }
    for url in [
        "/",
        "/?q=x",
        "/?page=0",
        "/vms/payments/db-postgres-0",
        "/vms/legacy/frozen-erp",
        "/vms/shop/frontend-canary",
        "/vms/a/b",
        "/sources",
        "/no",
    ] {
        let html = chinese(url, snapshot(vms.clone(), sources.clone())).html;
        let html = html.replace("</script>", "<script>");
        let without_scripts: String = html.split("<script").step_by(2).collect();
        let body = without_scripts.split_once("<body").map_or("", |(_, body)| body);
        let attributes = ["title=\"", "aria-label=\"", "placeholder=\"", "aria-valuetext=\"", "data-th=\""];
        let attributes = attributes
            .iter()
            .flat_map(|name| body.split(name).skip(1).filter_map(|rest| rest.split('"').next()));
        let texts = attributes.fold(text(body), |texts, value| texts + " " + value);
        // A token with a dot, slash, hyphen or digit is a name.
        let tokens = texts.split(|c: char| !(c.is_ascii_alphanumeric() || "-._/:@".contains(c)));
        let words = tokens.filter(|token| token.bytes().all(|b| b.is_ascii_alphabetic()));
        let english: Vec<_> =
            words.filter(|word| word.len() > 2 && !TERMS.contains(word) && !names.contains(word)).collect();
        assert!(english.is_empty(), "{url}: {english:?}");
    }
}
