//! The compact records from which the JSON of objects is written.

use std::sync::Arc;

use serde_json::Value;

use crate::{
    guest::Guest,
    node::{Node, PlainPod},
};

/// An object in the store.
#[derive(Clone, Debug)]
pub enum Body {
    Guest(Part, Arc<Guest>),
    Plain(Arc<PlainPod>),
    Node(Arc<Node>),
    Namespace(Arc<str>),
    /// A test's own object, served exactly as it was written.
    Raw(Arc<Value>),
}

/// One of the objects of a guest. The numbers are a launcher's serial and a disk's index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Wukong,
    Machine,
    Instance,
    Launcher(u32),
    /// The pods that hold hotplugged disks; they are stored as plain pods.
    Attachment,
    Claim(usize),
    PersistentVolume(usize),
    LonghornVolume(usize),
    /// By the serial number of the migration's target.
    Migration(u32),
    /// By the index of the occurrence.
    Event(usize),
}

/// Label names and values of an object.
pub type Labels = Vec<(String, String)>;
