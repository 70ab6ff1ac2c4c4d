//! The components in deploy/components, which stand beside a tier.

use std::{collections::BTreeSet, fs, panic};

use serde_json::{Value, json};

use super::{TIERS, add_component, arguments, deploy, find, grants, list, objects, text};

/// The tiers where everybody signs in.
const SIGNED_IN: [&str; 3] = ["cluster", "nodes-stats", "nodes-proxy"];
/// Those that let people in from outside.
const WAYS_IN: [(&str, &str); 2] = [("ingress", "Ingress"), ("gateway", "HTTPRoute")];

fn composed(tier: &str, components: &[&str]) -> Vec<Value> {
    let mut objects = objects(tier);
    components.iter().for_each(|component| add_component(component, &mut objects));
    objects
}

fn all() -> BTreeSet<String> {
    let entries = fs::read_dir(deploy().join("components")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn pod(objects: &[Value]) -> &Value {
    &find(objects, "Deployment")["spec"]["template"]["spec"]
}

fn flag(objects: &[Value], name: &str) -> String {
    let flag = format!("--{name}=");
    let found =
        arguments(objects).into_iter().find_map(|argument| Some(argument.strip_prefix(&flag)?.to_owned()));
    found.unwrap_or_else(|| panic!("--{name} is not set"))
}

#[test]
fn every_component_stands_beside_every_tier_and_keeps_what_it_has() {
    assert_eq!(
        all(),
        ["gateway", "ingress", "oauth2-proxy", "oidc", "replicas", "tls"].map(str::to_owned).into()
    );
    for tier in SIGNED_IN {
        for components in [
            &["ingress", "replicas", "tls"][..],
            &["tls", "gateway", "replicas"],
            &["oauth2-proxy", "replicas"],
            &["ingress", "oidc", "tls"],
            &["gateway", "oidc", "replicas"],
        ] {
            let objects = composed(tier, components);
            let before: BTreeSet<_> = arguments(&super::objects(tier)).into_iter().collect();
            let after: BTreeSet<_> = arguments(&objects).into_iter().collect();
            let dropped: Vec<_> = before.difference(&after).collect();
            let is_widened =
                |flag: &&&String| flag.starts_with("--allowed-hosts=") || flag.as_str() == "--sign-in=token";
            assert!(dropped.iter().all(|flag| is_widened(&flag)), "{tier}: {dropped:?}");
            assert!(flag(&objects, "sign-in").split(',').any(|mode| mode == "token"), "{tier}");
            let names: BTreeSet<_> =
                objects.iter().map(|o| (text(&o["kind"]), text(&o["metadata"]["name"]))).collect();
            assert_eq!(names.len(), objects.len(), "{tier}: a name is used twice");
            let namespaced = objects
                .iter()
                .filter(|o| !text(&o["kind"]).starts_with("ClusterRole") && o["kind"] != "Namespace");
            for object in namespaced {
                assert_eq!(object["metadata"]["namespace"], "wukong-dashboard", "{object}");
                assert_eq!(
                    object["metadata"]["labels"]["app.kubernetes.io/name"], "wukong-dashboard",
                    "{object}"
                );
            }
        }
        // Permissions are the tier's alone.
        let roles = |objects: &[Value]| objects.iter().filter(|o| text(&o["kind"]).contains("Role")).count();
        assert_eq!(roles(&composed(tier, &["ingress", "replicas", "tls"])), roles(&super::objects(tier)));
        assert!(!grants(tier).is_empty());
    }
}

#[test]
fn the_namespaced_tier_may_have_tls_and_replicas_but_no_way_in_without_a_sign_in() {
    composed("namespaced", &["tls", "replicas"]);
    for component in WAYS_IN.map(|(component, _)| component).into_iter().chain(["oauth2-proxy", "oidc"]) {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(|_| {}));
        let built = panic::catch_unwind(|| composed("namespaced", &[component]));
        panic::set_hook(hook);
        assert!(built.is_err(), "{component}: everybody would see every VM");
    }
}

#[test]
fn each_way_in_admits_one_host_name_and_one_namespace() {
    for (component, kind) in WAYS_IN {
        let objects = composed("cluster", &[component]);
        let url = flag(&objects, "public-url");
        let host = url.strip_prefix("https://").expect("https");
        assert!(flag(&objects, "allowed-hosts").split(',').any(|allowed| allowed == host), "{component}");
        assert!(!flag(&objects, "trusted-proxies").is_empty());
        let way = find(&objects, kind);
        let hosts = [&way["spec"]["rules"][0]["host"], &way["spec"]["hostnames"][0]];
        assert!(hosts.contains(&&json!(host)), "{component}: {hosts:?}");
        let policies: Vec<_> = objects.iter().filter(|object| object["kind"] == "NetworkPolicy").collect();
        let rules: Vec<_> = policies.iter().flat_map(|policy| list(&policy["spec"]["ingress"])).collect();
        assert_eq!(rules.len(), 1, "{component}");
        assert!(
            list(&rules[0]["from"]).iter().all(|from| from["namespaceSelector"]["matchLabels"].is_object())
        );
        assert_eq!(rules[0]["ports"][0]["port"], pod(&objects)["containers"][0]["ports"][0]["name"]);
    }
}

#[test]
fn an_oauth2_proxy_is_let_in_and_proves_who_asks() {
    let objects = composed("cluster", &["oauth2-proxy"]);
    let url = flag(&objects, "public-url");
    assert!(flag(&objects, "proxy-sign-out-url").starts_with(&format!("{url}/oauth2/sign_out")));
    let shown = include_str!("../../../docs/sign-in.md");
    for name in ["public-url", "proxy-issuer", "proxy-audience", "proxy-sign-out-url"] {
        let line = format!("--{name}={}\n", flag(&objects, name));
        assert!(shown.contains(&line), "docs/sign-in.md does not have {line}");
    }
    let policies: Vec<_> = objects.iter().filter(|object| object["kind"] == "NetworkPolicy").collect();
    let rules: Vec<_> = policies.iter().flat_map(|policy| list(&policy["spec"]["ingress"])).collect();
    assert_eq!(rules.len(), 1);
    assert!(rules[0]["from"][0]["podSelector"]["matchLabels"].is_object());
    assert_eq!(rules[0]["ports"][0]["port"], pod(&objects)["containers"][0]["ports"][0]["name"]);
}

#[test]
fn the_secret_of_a_provider_s_client_is_mounted_where_its_flag_says() {
    let objects = composed("cluster", &["ingress", "oidc"]);
    let shown = include_str!("../../../docs/sign-in.md");
    for name in ["oidc-issuer", "oidc-client-id", "oidc-client-secret-file"] {
        let line = format!("--{name}={}\n", flag(&objects, name));
        assert!(shown.contains(&line), "docs/sign-in.md does not have {line}");
    }
    let pod = pod(&objects);
    let volume = list(&pod["volumes"]).iter().find(|volume| volume["name"] == "oidc").expect("a volume");
    let secret = text(&volume["secret"]["secretName"]);
    let command = format!("create secret generic {secret} -n wukong-dashboard --from-file=secret=");
    assert!(shown.contains(&command), "docs/sign-in.md does not make {secret}");
    let mounts = list(&pod["containers"][0]["volumeMounts"]);
    let mount = mounts.iter().find(|mount| mount["name"] == "oidc").expect("a mount");
    let file = format!("{}/secret", text(&mount["mountPath"]));
    assert_eq!(flag(&objects, "oidc-client-secret-file"), file);
    check_modes(pod);
    let policies = objects.iter().filter(|object| object["kind"] == "NetworkPolicy");
    let own = policies.filter(|policy| text(&policy["metadata"]["name"]).ends_with("-oidc"));
    let out: Vec<_> = own.flat_map(|policy| list(&policy["spec"]["egress"])).collect();
    assert_eq!(out, [&json!({ "ports": [{ "protocol": "TCP", "port": 443 }] })]);
}

/// The dashboard sends a sign of life every 15 s.
#[test]
fn event_streams_pass() {
    let ingress = composed("cluster", &["ingress"]);
    let annotations = &find(&ingress, "Ingress")["metadata"]["annotations"];
    let of = |name: &str| text(&annotations[format!("nginx.ingress.kubernetes.io/{name}")]).to_owned();
    assert_eq!((of("proxy-buffering"), of("affinity")), ("off".to_owned(), "cookie".to_owned()));
    assert!(of("proxy-read-timeout").parse::<u32>().unwrap() >= 60);
    let gateway = composed("cluster", &["gateway"]);
    let timeouts = &find(&gateway, "HTTPRoute")["spec"]["rules"][0]["timeouts"];
    assert_eq!(*timeouts, json!({ "request": "0s", "backendRequest": "0s" }));
}

#[test]
fn every_way_in_leads_to_a_port_of_the_service() {
    let objects = composed("cluster", &["ingress"]);
    let service = find(&objects, "Service");
    let backend = &find(&objects, "Ingress")["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"];
    assert_eq!(backend["name"], service["metadata"]["name"]);
    assert_eq!(backend["port"]["name"], service["spec"]["ports"][0]["name"]);
    let objects = composed("cluster", &["gateway"]);
    let backend = &find(&objects, "HTTPRoute")["spec"]["rules"][0]["backendRefs"][0];
    assert_eq!(backend["name"], service["metadata"]["name"]);
    assert_eq!(backend["port"], service["spec"]["ports"][0]["port"]);
}

#[test]
fn session_keys_are_read_from_a_secret_that_may_be_missing_for_one_replica_alone() {
    for (components, replicas, optional) in [(&[][..], 1, true), (&["replicas"], 2, false)] {
        let objects = composed("nodes-stats", components);
        let pod = pod(&objects);
        assert_eq!(find(&objects, "Deployment")["spec"]["replicas"], replicas);
        let secret = &pod["volumes"][0]["secret"];
        assert_eq!(
            (&secret["secretName"], &secret["optional"]),
            (&json!("wukong-dashboard-session"), &json!(optional))
        );
        let mount = &pod["containers"][0]["volumeMounts"][0];
        assert_eq!(mount["name"], pod["volumes"][0]["name"]);
        // `--from-file=keys=…` of docs/sign-in.md.
        let keys = flag(&objects, "session-key-file");
        assert_eq!(keys, format!("{}/keys", text(&mount["mountPath"])));
        check_modes(pod);
    }
}

/// A Secret is for the group of the pod alone; 288 is 0440.
fn check_modes(pod: &Value) {
    assert_eq!(pod["securityContext"]["fsGroup"], pod["securityContext"]["runAsGroup"]);
    for volume in list(&pod["volumes"]) {
        assert_eq!(volume["secret"]["defaultMode"], 0o440, "{volume}");
    }
}

#[test]
fn replicas_are_spread_and_drained_one_at_a_time() {
    let objects = composed("cluster", &["replicas"]);
    let labels = &find(&objects, "Deployment")["spec"]["selector"]["matchLabels"];
    let spread = &pod(&objects)["topologySpreadConstraints"][0];
    assert_eq!(spread["labelSelector"]["matchLabels"], *labels);
    assert_eq!(spread["topologyKey"], "kubernetes.io/hostname");
    let budget = &find(&objects, "PodDisruptionBudget")["spec"];
    assert_eq!((&budget["maxUnavailable"], &budget["selector"]["matchLabels"]), (&json!(1), labels));
}

#[test]
fn with_tls_the_files_are_mounted_and_probes_speak_it() {
    let objects = composed("cluster", &["tls"]);
    let (pod, certificate) = (pod(&objects), find(&objects, "Certificate"));
    let container = &pod["containers"][0];
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        assert_eq!(container[probe]["httpGet"]["scheme"], "HTTPS", "{probe}");
    }
    let volume = list(&pod["volumes"]).iter().find(|volume| volume["name"] == "tls").expect("a volume");
    assert_eq!(volume["secret"]["secretName"], certificate["spec"]["secretName"]);
    let mount =
        list(&container["volumeMounts"]).iter().find(|mount| mount["name"] == "tls").expect("a mount");
    for (name, file) in [("tls-cert", "tls.crt"), ("tls-key", "tls.key")] {
        assert_eq!(flag(&objects, name), format!("{}/{file}", text(&mount["mountPath"])));
    }
    check_modes(pod);
    let service = find(&objects, "Service");
    assert_eq!(service["spec"]["ports"][0]["appProtocol"], "https");
    let names = list(&certificate["spec"]["dnsNames"]);
    assert!(names.contains(&json!("wukong-dashboard.wukong-dashboard.svc")), "{names:?}");
}

#[test]
fn the_example_is_a_tier_with_components() {
    assert_eq!(objects("example"), composed("nodes-stats", &["ingress", "replicas"]));
    for tier in TIERS {
        assert!(find(&objects(tier), "Deployment")["spec"]["replicas"] == 1, "{tier}");
    }
}
