//! The route of the pages of nodes, of namespaces, and of one node, which share a chunk.

use leptos::prelude::*;
use leptos_router::{LazyRoute, hooks::use_params_map, lazy_route};

use super::{groups::page_of_groups, node::page_of_node};

/// The pages of nodes, of namespaces, and of one node. Everything is made in `view`, whose code is fetched with the page.
pub struct GroupsRoute;

#[lazy_route]
impl LazyRoute for GroupsRoute {
    fn data() -> Self {
        Self
    }

    fn view(_this: Self) -> AnyView {
        if use_params_map().with_untracked(|params| params.get("name").is_some()) {
            return page_of_node();
        }
        page_of_groups()
    }
}
