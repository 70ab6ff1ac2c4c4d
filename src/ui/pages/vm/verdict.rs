//! What is wrong with the VM and what helps, or that nothing is; why it was restarted lately; and which figures are unknown.

use leptos::prelude::*;

use super::unknown::unknown_activity;
use crate::ui::{
    components::{
        icon::{Icon, icon},
        why::unknown_figures,
    },
    words,
};
use i18n::t;
use model::{
    details::VmDetails,
    message::Message,
    vm::Vm,
    vm_health::{Level, Problem, VmHealth},
};

pub fn verdict(
    vm: &Vm,
    details: &VmDetails,
    health: &VmHealth,
    restart: Option<&Message>,
) -> impl IntoView + use<> {
    let (class, drawing, word) = match health.level {
        Level::Critical => ("verdict crit", Icon::Error, t!(vm.critical)),
        Level::High => ("verdict warn", Icon::Warn, t!(vm.warning)),
        Level::Normal if restart.is_some() => ("verdict warn", Icon::Warn, t!(vm.warning)),
        Level::Normal if health.problems.is_empty() => ("verdict healthy", Icon::Healthy, ""),
        Level::Normal => ("verdict", Icon::Nothing, ""),
    };
    let problems: Vec<_> = health.problems.iter().map(problem).collect();
    let calm = (problems.is_empty() && restart.is_none()).then(|| {
        view! {
            <p>
                <b>{t!(vm.calm)}</b>
            </p>
        }
    });
    let restart = restart.map(|restart| {
        view! {
            <p>
                <b>{restart.text()}</b>
                " "
                <a href="#timeline">{t!(vm.timeline)}</a>
            </p>
        }
    });
    let fix = vm.failure.is_some().then(|| view! { <a href="#why">{t!(notice.how_to_fix)}</a> });
    view! {
        <section class=class aria-label=t!(vm.verdict)>
            {icon(drawing)} <span class="vh">{word}</span>
            <div>{calm} {problems} {restart} {fix} {unknown(vm, details)}</div>
        </section>
    }
}

fn problem(problem: &Problem) -> impl IntoView + use<> {
    view! {
        <p>
            <b>{problem.text.text()}</b>
            " "
            {problem.advice.text()}
        </p>
    }
}

/// The figures that are not known, with a link to the reasons.
fn unknown(vm: &Vm, details: &VmDetails) -> Option<impl IntoView + use<>> {
    let figures = unknown_figures(vm, &unknown_activity(vm, details));
    let figures: Vec<&str> = figures.iter().map(String::as_str).collect();
    (!figures.is_empty()).then(|| {
        view! {
            <p class="small">
                {t!(vm.unknown_list, figures = words::list(&figures))} " " <a href="#why">{t!(card.why)}</a>
            </p>
        }
    })
}
