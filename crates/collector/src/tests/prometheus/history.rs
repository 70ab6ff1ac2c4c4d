//! Questions about the past.

use std::collections::HashMap;

use super::*;
use crate::{
    budget::Budgets,
    long_term::{LongTermHistory, Requester},
    prometheus::PrometheusHistory,
};
use model::activity_history::ActivityFigure;
use wukong_core::{
    long_term::{LongTermAnswer, Names, Times, VmSelection},
    observation::Key,
};

/// A task that answers questions about the past until it is dropped.
struct HistoryTask {
    long_term: LongTermHistory,
    task: tokio::task::JoinHandle<()>,
}

impl HistoryTask {
    fn start(server: &Server) -> Self {
        let (long_term, questions) = LongTermHistory::new();
        let history =
            PrometheusHistory::new(&with_prometheus(prometheus(&server.url)), Budgets::default().outside)
                .unwrap();
        Self { long_term, task: tokio::spawn(history.run(questions, Default::default())) }
    }

    /// Asks for `count` points, from the first minute on, of `web` in each of these namespaces.
    async fn of_all(&self, namespaces: &[&str], count: usize) -> Result<LongTermAnswer, SourceError> {
        let keys = || namespaces.iter().map(|namespace| Key::new(namespace, "web")).collect();
        let of = VmSelection::All(Arc::new(Names { instances: keys(), claims: keys() }));
        let times = Times { from: 60_000, step: 60_000, count };
        self.long_term.answer(Requester::Backfill, of, times).await.as_ref().clone()
    }
}

impl Drop for HistoryTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn a_refused_range_query_loses_only_its_figure() {
    let server = Server::start(|request, _| match request.query.contains("vmi_cpu") {
        true => says(422, r#"{"status":"error","errorType":"execution","error":"too many samples"}"#),
        false => healthy_history(request),
    });
    let recording = HistoryTask::start(&server).of_all(&["prod"], 2).await.unwrap();
    let key = Key::new("prod", "web");
    assert_eq!((recording.cpu.len(), &recording.memory[&key]), (0, &vec![Some(7), Some(8)]));
    assert_eq!(recording.used[&key], [Some(7), Some(8)]);
    let [failure] = recording.failures.as_slice() else { panic!("{:?}", recording.failures) };
    assert!(failure.detail.english().contains("too many samples"), "{failure:?}");
}

/// VictoriaMetrics/VictoriaMetrics#1914, #5530: the error repeats the query, which may be long, before the reason.
#[tokio::test]
async fn a_longer_step_is_used_if_the_server_refuses_that_many_points() {
    let query = format!("max by (namespace) (m{{namespace=~'{}'}})", "prod|".repeat(500));
    let refusal = format!(
        r#"{{"status":"error","errorType":"422","error":"error when executing query={query}: cannot evaluate {query}: too many points for the given step=60000: 8; cannot exceed -search.maxPointsPerTimeseries=4"}}"#
    );
    assert!(refusal.len() > 4 << 10);
    let server = Server::start(move |request, _| match request.query.contains("step=60.000") {
        true => (StatusCode::UNPROCESSABLE_ENTITY, refusal.clone()).into_response(),
        false => healthy_history(request),
    });
    let recording = HistoryTask::start(&server).of_all(&["prod"], 2).await.unwrap();
    let key = Key::new("prod", "web");
    assert_eq!((recording.failures.len(), recording.memory[&key][1]), (0, Some(8)), "{recording:?}");
    assert!(server.asked("/api/v1/query_range").iter().any(|request| request.query.contains("step=240.000")));
}

/// The history of one VM, two points of a minute.
async fn of_web(server: &Server) -> LongTermAnswer {
    let of =
        VmSelection::One { namespace: "prod".into(), instance: "web".into(), claims: vec!["web".into()] };
    let times = Times { from: 60_000, step: 60_000, count: 2 };
    let task = HistoryTask::start(server);
    task.long_term.answer(Requester::default(), of, times).await.as_ref().clone().unwrap()
}

#[tokio::test]
async fn what_a_guest_did_is_asked_for_about_one_vm_alone() {
    let server = Server::start(|request, _| healthy_history(request));
    let all = HistoryTask::start(&server).of_all(&["prod"], 2).await.unwrap();
    assert!(all.activity.iter().all(HashMap::is_empty));
    assert!(server.asked("/api/v1/query_range").iter().all(|request| !request.query.contains("network")));
    let web = of_web(&server).await;
    let key = Key::new("prod", "web");
    let of = |figure: ActivityFigure| web.activity[figure as usize][&key].clone();
    assert_eq!(
        of(ActivityFigure::NetworkReceive),
        [Some(7_000), Some(8_000)],
        "thousandths of bytes a second"
    );
    assert_eq!(of(ActivityFigure::ReadLatency), [Some(1_000_000_000); 2], "7 s of 7 operations a second");
    assert_eq!(of(ActivityFigure::Contention), [Some(100_000); 2]);
    assert_eq!(of(ActivityFigure::GuestMemory), [Some(0), Some(0)]);
}

#[tokio::test]
async fn a_refused_query_about_what_a_guest_did_loses_only_its_figure() {
    let server = Server::start(|request, _| match request.query.contains("iops_read") {
        true => says(422, r#"{"status":"error","errorType":"execution","error":"too many samples"}"#),
        false => healthy_history(request),
    });
    let web = of_web(&server).await;
    assert_eq!((web.cpu.len(), web.memory.len(), web.failures.len()), (1, 1, 1));
    let known = ActivityFigure::ALL.map(|figure| !web.activity[figure as usize].is_empty());
    assert_eq!(known, [true, true, true, true, true, true, false, true]);
}

/// A claim and an instance called `prod/web`, with one sample per minute.
fn healthy_history(_: &RecordedRequest) -> Response {
    let labels = r#""namespace":"prod","name":"web","persistentvolumeclaim":"web""#;
    let values = r#"[60,"7"],[120,"8"]"#;
    json(format!(
        r#"{{"status":"success","data":{{"result":[{{"metric":{{{labels}}},"values":[{values}]}}]}}}}"#
    ))
}
