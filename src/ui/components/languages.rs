//! Links to the current page in other languages. Each reloads the page (`external`), since the browser half
//! has one language loaded; the server remembers the choice.

use leptos::prelude::*;
use leptos_router::hooks::use_location;

use i18n::t;
use model::{params::Params, query::encode};

#[component]
pub fn Languages() -> impl IntoView {
    let location = use_location();
    move || {
        let link = |tag: &'static str, name: &'static str| {
            let address = address(&location.pathname.read(), &location.search.read(), tag);
            let here = (tag == t!(language.tag)).then_some("true");
            view! {
                <a href=address rel="external" lang=tag aria-current=here>
                    {name}
                </a>
            }
        };
        view! {
            <nav class="languages" aria-label=t!(language.choose)>
                {link("en", t!(language.en))}
                {link("zh-CN", t!(language.zh))}
            </nav>
        }
    }
}

/// The address of the same page and view in another language.
fn address(path: &str, query: &str, tag: &str) -> String {
    let params = Params::parse(query).unwrap_or_default();
    let mut address = [path, "?"].concat();
    for (name, value) in params.iter().filter(|(name, _)| *name != "lang") {
        encode(&mut address, name);
        address.push('=');
        encode(&mut address, value);
        address.push('&');
    }
    address.push_str("lang=");
    address + tag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changing_the_language_keeps_the_query() {
        assert_eq!(address("/", "", "en"), "/?lang=en");
        assert_eq!(address("/", "q=a%26b&lang=en&page=2", "zh-CN"), "/?q=a%26b&page=2&lang=zh-CN");
        assert_eq!(address("/", "l%61ng=en&q=a+b&page", "en"), "/?q=a%20b&page=&lang=en");
        assert_eq!(address("/vms/a/b%20c", "lang=en", "en"), "/vms/a/b%20c?lang=en");
    }
}
