//! Not a test: keeps the cluster and the program up for a command, such as the browser tests.

use std::process::Command;

use super::{figures::settled, harness::shared::on_the_cluster};

/// Runs the command in `WUKONG_WITH_CLUSTER` with `BASE_URL` and `KUBECONFIG` set; passes if it ends with 0.
/// `end2end/cluster/with-cluster.sh` calls it.
#[test]
#[ignore = "end2end/cluster/with-cluster.sh COMMAND runs it"]
fn serve_for_browser() {
    let Ok(command) = std::env::var("WUKONG_WITH_CLUSTER") else {
        println!("skipped: WUKONG_WITH_CLUSTER names no command");
        return;
    };
    on_the_cluster(async |cluster| {
        let (_access, program) = cluster.program("browser").await;
        settled(&program, cluster).await;
        println!("the program on a real control plane: {}", program.url);
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &command])
            .env("BASE_URL", &program.url)
            .env("KUBECONFIG", cluster.plane.admin_kubeconfig());
        // The stub kubelets live on this process's other threads: one of them may wait for the shell.
        let status = tokio::task::spawn_blocking(move || shell.status()).await.unwrap().expect("sh");
        assert!(status.success(), "{command}: {status}");
    });
}
