//! Kubelets that can be reached directly.

use std::sync::Arc;

use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{self, ClientConfig, RootCertStore},
};

use super::support::get;
use crate::{Fault, Guest, Kubelet, Node, Options, Scenario, Target, start};

#[tokio::test]
async fn a_kubelet_can_be_asked_direct_at_its_own_address() {
    let scenario = Scenario::empty().node(Node::new("n1").direct()).node(Node::new("n2"));
    let sim = start(Options::exactly(scenario)).await.unwrap();
    sim.world().put(Guest::new("a", "one").running_on("n1", 0));
    let (port, authority) = sim.kubelets().expect("Linux has a whole network of loopback addresses");
    let pods = get(&sim, "/api/v1/pods").await;
    let address = pods["items"][0]["status"]["hostIP"].as_str().unwrap();
    assert!(address.starts_with("127."), "{address}");

    let summary = direct(address, port, authority).await.unwrap();
    assert_eq!(summary["node"]["nodeName"], "n1");
    assert!(summary.to_string().contains("one-root"));
    sim.faults().add_times(Target::Summary("n1".into()), Fault::status(403), 1);
    assert_eq!(direct(address, port, authority).await.unwrap()["code"], 403);
    assert_eq!(sim.requests().count(&Target::Path("/stats/summary".into())), 2);
    sim.world().set_kubelet("n1", Kubelet::Refuses);
    assert!(direct(address, port, authority).await.is_err());
    assert!(
        direct(&Node::new("n2").ip(), port, authority).await.is_err(),
        "it is asked through the API server"
    );
    sim.shutdown().await;
}

/// Sends one request over TLS to this address.
async fn direct(address: &str, port: u16, authority: &str) -> std::io::Result<Value> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect((address, port)).await?;
    let name = ServerName::try_from(address.to_owned()).unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    stream.write_all(b"GET /stats/summary HTTP/1.0\r\nhost: kubelet\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok(serde_json::from_str(body)?)
}
