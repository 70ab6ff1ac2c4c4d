//! Which VM a square is: by mouse, touch and keyboard. It works in the browser only. The names of a block are
//! fetched once, and again when its squares have changed.

use std::collections::HashMap;

use leptos::{
    ev::{FocusEvent, KeyboardEvent, MouseEvent, PointerEvent},
    html,
    prelude::*,
    reactive::spawn_local_scoped_with_cancellation,
};
use leptos_router::{NavigateOptions, hooks::use_navigate};
use web_sys::{Element, wasm_bindgen::JsCast};

use crate::{
    server_fns,
    ui::{
        components::{card::vm_address, meter::value_text},
        map::legend::{measure, word},
    },
};
use i18n::{self as names, t, text};
use model::{
    map::{BLOCK, COLUMNS, Cell, Map, MapGroup, MapNames, MapVm},
    query::Query,
    vm::Status,
};

/// The distance between two squares, in CSS pixels.
const PITCH: i32 = 24;

/// A cell: the index of its group, and its index in the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Here {
    group: usize,
    cell: usize,
}

/// Fetched names, and the cells that they belong to.
#[derive(Clone)]
struct Fetched {
    names: MapNames,
    cells: Vec<u8>,
}

/// Navigates to an address.
type Go = Box<dyn Fn(&str) + Send + Sync>;

type Known = HashMap<(String, usize), Fetched>;

/// The selected cell, the names that are known, and the tip that shows them.
#[derive(Clone, Copy)]
pub struct Pointer {
    map: Memo<Map>,
    query: Memo<Query>,
    here: RwSignal<Option<Here>>,
    known: RwSignal<Known>,
    /// The block whose names are being fetched.
    asked: StoredValue<Option<(String, usize)>>,
    tip: NodeRef<html::Div>,
    go: StoredValue<Go>,
}

impl Pointer {
    pub fn new(map: Memo<Map>, query: Memo<Query>) -> Self {
        let go = use_navigate();
        let pointer = Self {
            map,
            query,
            here: RwSignal::new(None),
            known: RwSignal::new(Known::new()),
            asked: StoredValue::new(None),
            tip: NodeRef::new(),
            go: StoredValue::new(Box::new(move |address| go(address, NavigateOptions::default()))),
        };
        // Another query has other cells. Effects run in the browser only.
        Effect::new(move |before: Option<()>| {
            query.track();
            if before.is_some() {
                pointer.known.update(Known::clear);
                pointer.hide();
            }
        });
        pointer
    }

    pub fn moved(self, event: &PointerEvent) {
        if event.pointer_type() == "mouse" {
            self.to(self.under(event));
        }
    }

    /// The pointer left the map. A cell selected by keyboard stays selected.
    pub fn left(self) {
        if focused().is_none() {
            self.hide();
        }
    }

    pub fn hide(self) {
        self.here.set(None);
    }

    /// A mouse click opens the VM. The first touch shows its name, the second opens it.
    pub fn clicked(self, event: &MouseEvent) {
        let Some(here) = self.under(event) else { return };
        let touch = event.dyn_ref::<PointerEvent>().is_some_and(|event| event.pointer_type() != "mouse");
        if touch && self.here.get_untracked() != Some(here) {
            return self.to(Some(here));
        }
        self.to(Some(here));
        self.open(here);
    }

    /// A group got the focus, by keyboard or by a press that a click will follow.
    pub fn focused(self, event: &FocusEvent) {
        let cells = event.target().and_then(|target| target.dyn_into::<Element>().ok());
        let cells = cells.filter(|cells| cells.class_list().contains("cells"));
        if let Some(group) = cells.and_then(|cells| place_of_group(&cells))
            && self.here.with_untracked(|here| here.is_none_or(|here| here.group != group))
        {
            self.to(Some(Here { group, cell: 0 }));
        }
    }

    pub fn pressed(self, event: &KeyboardEvent) {
        let Some(group) = focused().and_then(|cells| place_of_group(&cells)) else { return };
        let here = self.here.get_untracked().filter(|here| here.group == group);
        let here = here.unwrap_or(Here { group, cell: 0 });
        let count = self.map.with_untracked(|map| map.groups.get(group).map_or(0, |group| group.cells.len()));
        match event.key().as_str() {
            "Enter" => self.open(here),
            "Escape" => self.hide(),
            key => match step(key, here.cell, count) {
                Some(cell) => self.to(Some(Here { group, cell })),
                None => return,
            },
        }
        event.prevent_default();
        event.stop_propagation();
    }

    fn to(self, here: Option<Here>) {
        if self.here.get_untracked() == here {
            return;
        }
        if let (Some(here), Some(tip)) = (here, self.tip.get_untracked()) {
            // The tip is moved into the cell's block, because only there can the stylesheet position it.
            let Some(block) = block_element(here) else { return };
            let _ = block.append_child(&tip);
        }
        self.here.set(here);
        if let Some(here) = here {
            self.fetch(here, None);
        }
    }

    fn open(self, here: Here) {
        match self.told(here) {
            Some(vm) => self.follow(&vm),
            None => self.fetch(here, Some(here)),
        }
    }

    fn follow(self, vm: &MapVm) {
        self.go.with_value(|go| go(&vm_address(&vm.namespace, &vm.name)));
    }

    /// Fetches the names of the block around a cell, unless they are known. Then opens `open`, if given.
    fn fetch(self, here: Here, open: Option<Here>) {
        let block = here.cell / BLOCK;
        let Some((name, cells)) = self.cells(here) else { return };
        let key = (name, block);
        let fresh = self.known.with_untracked(|known| known.get(&key).is_some_and(|it| it.cells == cells));
        if fresh || (open.is_none() && self.asked.with_value(|asked| asked.as_ref() == Some(&key))) {
            return;
        }
        self.asked.set_value(Some(key.clone()));
        let query = self.query.with_untracked(Query::to_query_string);
        spawn_local_scoped_with_cancellation(async move {
            let answer = server_fns::map_names(query, key.0.clone(), block as u32).await;
            self.asked.set_value(None);
            if let Ok(names) = answer.inspect_err(server_fns::Failure::reload_if_other_build) {
                self.known.update(|known| drop(known.insert(key, Fetched { names, cells })));
            }
            if let Some(vm) = open.and_then(|here| self.told(here)) {
                self.follow(&vm);
            }
        });
    }

    /// Returns the name of the group and the cells of the block.
    fn cells(self, here: Here) -> Option<(String, Vec<u8>)> {
        self.map.with_untracked(|map| {
            let group = map.groups.get(here.group)?;
            let cells = group.cells.chunks(BLOCK).nth(here.cell / BLOCK)?;
            Some((group.name.clone(), cells.to_vec()))
        })
    }

    /// Returns the VM of a cell; `None` if it is not known, or no longer true because the cells have changed
    /// since.
    fn told(self, here: Here) -> Option<MapVm> {
        self.map.with(|map| {
            let group: &MapGroup = map.groups.get(here.group)?;
            let block = here.cell / BLOCK;
            self.known.with(|known| {
                let names = &known.get(&(group.name.clone(), block))?.names;
                let vm = names.vms.get(here.cell % BLOCK);
                vm.filter(|_| group.marks.get(block) == Some(&names.mark)).cloned()
            })
        })
    }

    fn under(self, event: &MouseEvent) -> Option<Here> {
        // No element inside a block receives pointer events, so the offset is relative to the block's corner.
        let block = event.target()?.dyn_into::<Element>().ok()?;
        if !block.class_list().contains("block") {
            return None;
        }
        let group = place_of_group(&block.parent_element()?)?;
        let [column, row] =
            [event.offset_x(), event.offset_y()].map(|offset| (offset.max(0) / PITCH) as usize);
        let cell = BLOCK * place(&block) + row * COLUMNS + column;
        let count = self.map.with_untracked(|map| map.groups.get(group).map_or(0, |group| group.cells.len()));
        (column < COLUMNS && cell < count).then_some(Here { group, cell })
    }
}

/// Returns the cell that a key leads to in a group of `count` cells; `None` if the key is not handled or
/// leads nowhere.
fn step(key: &str, cell: usize, count: usize) -> Option<usize> {
    let to = match key {
        "ArrowRight" => cell + 1,
        "ArrowLeft" => cell.checked_sub(1)?,
        "ArrowDown" => cell + COLUMNS,
        "ArrowUp" => cell.checked_sub(COLUMNS)?,
        "Home" => 0,
        "End" => count.checked_sub(1)?,
        _ => return None,
    };
    (to < count).then_some(to)
}

/// The group that has the keyboard focus.
fn focused() -> Option<Element> {
    document().active_element().filter(|element| element.class_list().contains("cells"))
}

/// The index of a group in the map.
fn place_of_group(cells: &Element) -> Option<usize> {
    Some(place(&cells.parent_element()?))
}

/// The number of siblings before an element.
fn place(element: &Element) -> usize {
    core::iter::successors(element.previous_element_sibling(), Element::previous_element_sibling).count()
}

fn block_element(here: Here) -> Option<Element> {
    let sections = document().query_selector(".map").ok().flatten()?.children();
    let cells = sections.item(here.group as u32)?.query_selector(".cells").ok().flatten()?;
    cells.children().item((here.cell / BLOCK) as u32)
}

/// The ring around the selected cell, and the text about its VM. There is one for the whole map, which is
/// moved.
pub fn tip(pointer: Pointer) -> impl IntoView {
    let vm = move || pointer.here.get().and_then(|here| pointer.told(here));
    let class = move || pointer.here.get().map_or_else(|| "here".to_owned(), place_class);
    // Screen readers are told of the cell once its name is known.
    Effect::new(move |_| {
        let (here, told) = (pointer.here.get(), vm().is_some());
        if let Some(cells) = focused() {
            let _ = match here.filter(|_| told) {
                Some(here) => cells.set_attribute("aria-activedescendant", &id(here)),
                None => cells.remove_attribute("aria-activedescendant"),
            };
        }
    });
    let place =
        move |of: fn(&Pointer, Here) -> usize| pointer.here.get().map(|here| of(&pointer, here).to_string());
    view! {
        <div
            class=class
            node_ref=pointer.tip
            hidden=move || pointer.here.get().is_none()
            role="option"
            aria-selected="true"
            id=move || pointer.here.get().map_or_else(|| "here".to_owned(), id)
            aria-posinset=move || place(|_, here| here.cell + 1)
            aria-setsize=move || place(|pointer, here| {
                pointer.map.with(|map| map.groups.get(here.group).map_or(0, |group| group.cells.len()))
            })
        >
            <p>
                <b>{move || vm().map_or_else(|| "…".to_owned(), |vm| vm.name)}</b>
                <span>{move || vm().map(|vm| vm.namespace).unwrap_or_default()}</span>
                <span>{move || vm().map(|vm| figure(&vm, pointer.query.with(|query| measure(query.color))))}</span>
            </p>
        </div>
    }
}

fn id(here: Here) -> String {
    ["cell-", &here.group.to_string(), "-", &here.cell.to_string()].concat()
}

/// CSS classes for the column and row in the block.
fn place_class(here: Here) -> String {
    let cell = here.cell % BLOCK;
    ["here x", &(cell % COLUMNS).to_string(), " y", &(cell / COLUMNS).to_string()].concat()
}

/// Examples: `CPU 1.31 of 4 vCPU, 32 %`, `CPU unknown: no launcher pod found`, `Stopped`.
fn figure(vm: &MapVm, measure: &'static str) -> String {
    match &vm.figure {
        _ if vm.status != Status::Running => word(Cell::Off(vm.status)).to_owned(),
        Ok(sample) => t!(map.figure, measure = measure, value = value_text(sample)),
        Err(reason) => t!(map.figure_unknown, measure = measure, reason = text(names::reason(*reason))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_walk_the_squares_and_stay_in_the_group() {
        for (key, from, to) in [
            ("ArrowRight", 0, Some(1)),
            ("ArrowRight", 11, None),
            ("ArrowLeft", 0, None),
            ("ArrowDown", 1, Some(11)),
            ("ArrowDown", 5, None),
            ("ArrowUp", 11, Some(1)),
            ("ArrowUp", 9, None),
            ("Home", 7, Some(0)),
            ("End", 0, Some(11)),
            ("a", 0, None),
        ] {
            assert_eq!(step(key, from, 12), to, "{key} from {from}");
        }
        assert_eq!(step("End", 0, 0), None);
    }
}
