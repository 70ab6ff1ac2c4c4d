//! Below every page: the list of keyboard shortcuts, and the area where scripts announce what they did. It is
//! rendered on the server only, after the app, so that it adds nothing to the browser half; `public/keys.js`
//! makes it work.

use leptos::prelude::*;

use i18n::t;

#[component]
pub fn Keys() -> impl IntoView {
    let keys = [
        (&["/"][..], t!(keys.search)),
        (&["↓", "↑", "→", "←"], t!(keys.walk)),
        (&["Home", "End"], t!(keys.ends)),
        (&["Enter"], t!(keys.open)),
        (&["?"], t!(keys.help)),
        (&["Esc"], t!(keys.close)),
    ];
    let rows: Vec<_> = keys.into_iter().map(|(keys, what)| row(keys, what)).collect();
    view! {
        <footer class="foot">
            <button id="keys-open" class="button" type="button" aria-haspopup="dialog">
                {t!(keys.title)}
                " "
                <kbd aria-hidden="true">"?"</kbd>
            </button>
            <span id="announcement" class="vh" role="status"></span>
        </footer>
        <dialog id="keys" aria-labelledby="keys-title">
            <h2 id="keys-title">{t!(keys.title)}</h2>
            <dl>{rows}</dl>
            <p class="small">{t!(keys.fields)}</p>
            <form method="dialog">
                <label>
                    <input type="checkbox" checked=true />
                    " "
                    {t!(keys.single)}
                </label>
                <button class="button">{t!(keys.done)}</button>
            </form>
        </dialog>
    }
}

fn row(keys: &[&'static str], what: &'static str) -> impl IntoView + use<> {
    let keys: Vec<_> = keys.iter().map(|key| view! { <kbd>{*key}</kbd> " " }).collect();
    view! {
        <div>
            <dt>{keys}</dt>
            <dd>{what}</dd>
        </div>
    }
}
