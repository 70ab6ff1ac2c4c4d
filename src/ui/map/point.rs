//! Which VM a square is: by mouse, touch and keyboard. It works in the browser only. The names of a block are
//! fetched once, and again when its squares have changed.

use std::collections::HashMap;

use leptos::{
    ev::{FocusEvent, KeyboardEvent, MouseEvent, PointerEvent},
    html,
    prelude::*,
    reactive::spawn_local_scoped_with_cancellation,
};
use leptos_router::NavigateOptions;
use web_sys::{Element, wasm_bindgen::JsCast};

use crate::{
    server_fns,
    ui::{
        address::use_go,
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
struct CellPosition {
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
type Navigate = Box<dyn Fn(&str) + Send + Sync>;

/// The fetched names by group and block.
type NamesByBlock = HashMap<(String, usize), Fetched>;

/// The selected cell, the names that are known, and the tip that shows them.
#[derive(Clone, Copy)]
pub struct Pointer {
    map: Memo<Map>,
    query: Memo<Query>,
    selected: RwSignal<Option<CellPosition>>,
    names: RwSignal<NamesByBlock>,
    /// The block whose names are being fetched.
    pending: StoredValue<Option<(String, usize)>>,
    tip: NodeRef<html::Div>,
    navigate: StoredValue<Navigate>,
}

impl Pointer {
    pub fn new(map: Memo<Map>, query: Memo<Query>) -> Self {
        let navigate = use_go();
        let pointer = Self {
            map,
            query,
            selected: RwSignal::new(None),
            names: RwSignal::new(NamesByBlock::new()),
            pending: StoredValue::new(None),
            tip: NodeRef::new(),
            navigate: StoredValue::new(Box::new(move |address| {
                navigate(address, NavigateOptions::default())
            })),
        };
        // Another query has other cells. Effects run in the browser only.
        Effect::new(move |before: Option<()>| {
            query.track();
            if before.is_some() {
                pointer.names.update(NamesByBlock::clear);
                pointer.hide();
            }
        });
        pointer
    }

    pub fn moved(self, event: &PointerEvent) {
        if event.pointer_type() == "mouse" {
            self.select(self.position_under(event));
        }
    }

    /// The pointer left the map. A cell selected by keyboard stays selected.
    pub fn left(self) {
        if focused().is_none() {
            self.hide();
        }
    }

    pub fn hide(self) {
        self.selected.set(None);
    }

    /// A mouse click opens the VM. The first touch shows its name, the second opens it.
    pub fn clicked(self, event: &MouseEvent) {
        let Some(position) = self.position_under(event) else { return };
        let touch = event.dyn_ref::<PointerEvent>().is_some_and(|event| event.pointer_type() != "mouse");
        if touch && self.selected.get_untracked() != Some(position) {
            return self.select(Some(position));
        }
        self.select(Some(position));
        self.open(position);
    }

    /// A group got the focus, by keyboard or by a press that a click will follow.
    pub fn focused(self, event: &FocusEvent) {
        let cells = event.target().and_then(|target| target.dyn_into::<Element>().ok());
        let cells = cells.filter(|cells| cells.class_list().contains("cells"));
        if let Some(group) = cells.and_then(|cells| group_index(&cells))
            && self
                .selected
                .with_untracked(|position| position.is_none_or(|position| position.group != group))
        {
            self.select(Some(CellPosition { group, cell: 0 }));
        }
    }

    pub fn pressed(self, event: &KeyboardEvent) {
        let Some(group) = focused().and_then(|cells| group_index(&cells)) else { return };
        let position = self.selected.get_untracked().filter(|position| position.group == group);
        let position = position.unwrap_or(CellPosition { group, cell: 0 });
        let count = self.map.with_untracked(|map| map.groups.get(group).map_or(0, |group| group.cells.len()));
        match event.key().as_str() {
            "Enter" => self.open(position),
            "Escape" => self.hide(),
            key => match step(key, position.cell, count) {
                Some(cell) => self.select(Some(CellPosition { group, cell })),
                None => return,
            },
        }
        event.prevent_default();
        event.stop_propagation();
    }

    fn select(self, position: Option<CellPosition>) {
        if self.selected.get_untracked() == position {
            return;
        }
        if let (Some(position), Some(tip)) = (position, self.tip.get_untracked()) {
            // The tip is moved into the cell's block, because only there can the stylesheet position it.
            let Some(block) = block_element(position) else { return };
            let _ = block.append_child(&tip);
        }
        self.selected.set(position);
        if let Some(position) = position {
            self.fetch(position, None);
        }
    }

    fn open(self, position: CellPosition) {
        match self.vm_at(position) {
            Some(vm) => self.go_to(&vm),
            None => self.fetch(position, Some(position)),
        }
    }

    fn go_to(self, vm: &MapVm) {
        self.navigate.with_value(|navigate| navigate(&vm_address(&vm.namespace, &vm.name)));
    }

    /// Fetches the names of the block around a cell, unless they are known. Then opens `open`, if given.
    fn fetch(self, position: CellPosition, open: Option<CellPosition>) {
        let block = position.cell / BLOCK;
        let Some((name, cells)) = self.cells(position) else { return };
        let key = (name, block);
        let known = self.names.with_untracked(|names| names.get(&key).is_some_and(|it| it.cells == cells));
        if known || (open.is_none() && self.pending.with_value(|pending| pending.as_ref() == Some(&key))) {
            return;
        }
        self.pending.set_value(Some(key.clone()));
        let query = self.query.with_untracked(Query::to_query_string);
        spawn_local_scoped_with_cancellation(async move {
            let answer = server_fns::map_names(query, key.0.clone(), block as u32).await;
            self.pending.set_value(None);
            if let Ok(names) = answer.inspect_err(server_fns::Failure::reload_if_other_build) {
                self.names.update(|all| drop(all.insert(key, Fetched { names, cells })));
            }
            if let Some(vm) = open.and_then(|position| self.vm_at(position)) {
                self.go_to(&vm);
            }
        });
    }

    /// Returns the name of the group and the cells of the block.
    fn cells(self, position: CellPosition) -> Option<(String, Vec<u8>)> {
        self.map.with_untracked(|map| {
            let group = map.groups.get(position.group)?;
            let cells = group.cells.chunks(BLOCK).nth(position.cell / BLOCK)?;
            Some((group.name.clone(), cells.to_vec()))
        })
    }

    /// Returns the VM of a cell; `None` if it is not known, or no longer true because the cells have changed
    /// since.
    fn vm_at(self, position: CellPosition) -> Option<MapVm> {
        self.map.with(|map| {
            let group: &MapGroup = map.groups.get(position.group)?;
            let block = position.cell / BLOCK;
            self.names.with(|names| {
                let names = &names.get(&(group.name.clone(), block))?.names;
                let vm = names.vms.get(position.cell % BLOCK);
                vm.filter(|_| group.marks.get(block) == Some(&names.mark)).cloned()
            })
        })
    }

    fn position_under(self, event: &MouseEvent) -> Option<CellPosition> {
        // No element inside a block receives pointer events, so the offset is relative to the block's corner.
        let block = event.target()?.dyn_into::<Element>().ok()?;
        if !block.class_list().contains("block") {
            return None;
        }
        let group = group_index(&block.parent_element()?)?;
        let [column, row] =
            [event.offset_x(), event.offset_y()].map(|offset| (offset.max(0) / PITCH) as usize);
        let cell = BLOCK * sibling_index(&block) + row * COLUMNS + column;
        let count = self.map.with_untracked(|map| map.groups.get(group).map_or(0, |group| group.cells.len()));
        (column < COLUMNS && cell < count).then_some(CellPosition { group, cell })
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
fn group_index(cells: &Element) -> Option<usize> {
    Some(sibling_index(&cells.parent_element()?))
}

/// The number of siblings before an element.
fn sibling_index(element: &Element) -> usize {
    core::iter::successors(element.previous_element_sibling(), Element::previous_element_sibling).count()
}

fn block_element(position: CellPosition) -> Option<Element> {
    let sections = document().query_selector(".map").ok().flatten()?.children();
    let cells = sections.item(position.group as u32)?.query_selector(".cells").ok().flatten()?;
    cells.children().item((position.cell / BLOCK) as u32)
}

/// The ring around the selected cell, and the text about its VM. There is one for the whole map, which is
/// moved.
pub fn tip(pointer: Pointer) -> impl IntoView {
    let vm = move || pointer.selected.get().and_then(|position| pointer.vm_at(position));
    let class = move || pointer.selected.get().map_or_else(|| "selected".to_owned(), position_class);
    // Screen readers announce the cell once its name is known.
    Effect::new(move |_| {
        let (position, known) = (pointer.selected.get(), vm().is_some());
        if let Some(cells) = focused() {
            let _ = match position.filter(|_| known) {
                Some(position) => cells.set_attribute("aria-activedescendant", &id(position)),
                None => cells.remove_attribute("aria-activedescendant"),
            };
        }
    });
    let number = move |of: fn(&Pointer, CellPosition) -> usize| {
        pointer.selected.get().map(|position| of(&pointer, position).to_string())
    };
    view! {
        <div
            class=class
            node_ref=pointer.tip
            hidden=move || pointer.selected.get().is_none()
            role="option"
            aria-selected="true"
            id=move || pointer.selected.get().map_or_else(|| "selected".to_owned(), id)
            aria-posinset=move || number(|_, position| position.cell + 1)
            aria-setsize=move || number(|pointer, position| {
                pointer.map.with(|map| map.groups.get(position.group).map_or(0, |group| group.cells.len()))
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

fn id(position: CellPosition) -> String {
    ["cell-", &position.group.to_string(), "-", &position.cell.to_string()].concat()
}

/// CSS classes for the column and row in the block.
fn position_class(position: CellPosition) -> String {
    let cell = position.cell % BLOCK;
    ["selected x", &(cell % COLUMNS).to_string(), " y", &(cell / COLUMNS).to_string()].concat()
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
    fn keys_move_within_the_group() {
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
